# SPDX-License-Identifier: Apache-2.0
"""`mtl-split fuzz`: damaged input of every kind, through the code that reads it in the nodes."""
