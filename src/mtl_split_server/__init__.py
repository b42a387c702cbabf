# SPDX-License-Identifier: Apache-2.0
"""Server side: what to answer and in which order, and the ROS node around it."""
