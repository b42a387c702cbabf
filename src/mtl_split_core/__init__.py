# SPDX-License-Identifier: Apache-2.0
"""What both ends of the split share: bundle, wire format, codec, geometry, stages and results."""
