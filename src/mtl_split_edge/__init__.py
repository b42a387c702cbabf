# SPDX-License-Identifier: Apache-2.0
"""Camera side: what to send and when, and the ROS node around it."""
