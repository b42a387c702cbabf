# SPDX-License-Identifier: Apache-2.0
"""What both nodes share of ROS: image conversion, messages, parameters, QoS, diagnostics, spin."""
