# SPDX-License-Identifier: Apache-2.0
"""`mtl-split annotate`: the whole pipeline over a recording, without nodes."""
