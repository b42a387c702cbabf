# SPDX-License-Identifier: Apache-2.0
"""`mtl-split view`: pictures, results and figures in a browser, live or from a recording."""
