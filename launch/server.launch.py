# SPDX-License-Identifier: Apache-2.0
"""Starts the server side: compressed features in, perception topics out."""

from launch import LaunchDescription

from mtl_split_edge.parameters import EDGE_PARAMETERS
from mtl_split_ros.launching import describe_server
from mtl_split_server.parameters import SERVER_PARAMETERS


def generate_launch_description() -> LaunchDescription:
    """Describe the server node and its arguments."""
    names = ('bundle', 'features_of', 'score_threshold', 'class_id', 'image_transport')
    return describe_server(SERVER_PARAMETERS, names, EDGE_PARAMETERS)
