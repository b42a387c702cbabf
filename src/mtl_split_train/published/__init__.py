# SPDX-License-Identifier: Apache-2.0
"""Training and export of MTL-Split as published, the family `mtl_split` (arXiv 2407.05982)."""
