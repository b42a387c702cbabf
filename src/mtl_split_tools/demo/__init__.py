# SPDX-License-Identifier: Apache-2.0
"""`mtl-split demo`: camera side and server side on a real clip, measured and drawn."""
