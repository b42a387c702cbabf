# SPDX-License-Identifier: Apache-2.0
"""Ladon: a tiny learned codec in place of a ResNet's first layers (arXiv 2501.01420)."""
