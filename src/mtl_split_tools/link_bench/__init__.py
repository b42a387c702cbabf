# SPDX-License-Identifier: Apache-2.0
"""What reaches the car in time over which link: the real nodes, a real link, every transport."""
