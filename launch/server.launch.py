# SPDX-License-Identifier: Apache-2.0
"""Starts the server side: compressed features in, perception topics out."""

from launch import LaunchDescription

from mtl_split_ros.launching import describe_node
from mtl_split_server.parameters import SERVER_PARAMETERS


def generate_launch_description() -> LaunchDescription:
    """Describe the server node and its arguments."""
    names = ('bundle', 'score_threshold', 'class_id', 'image_transport')
    return describe_node('server', SERVER_PARAMETERS, names)
