# SPDX-License-Identifier: Apache-2.0
"""A long drive with a fault every twenty seconds: does it still answer, in order, in its memory?"""
