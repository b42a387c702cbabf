# SPDX-License-Identifier: Apache-2.0
"""A link played from a bandwidth trace, with the edge's own policy on one end of it."""
