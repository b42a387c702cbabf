# SPDX-License-Identifier: Apache-2.0
"""Bytes against accuracy: every rate of Z_b beside pictures, as figures and for the eye."""
