# SPDX-License-Identifier: Apache-2.0
"""Starts the camera side: image in, compressed features out."""

from launch import LaunchDescription

from mtl_split_edge.parameters import EDGE_PARAMETERS
from mtl_split_ros.launching import describe_edge


def generate_launch_description() -> LaunchDescription:
    """Describe the edge node and its arguments."""
    names = (
        'bundle',
        'mode',
        'rate',
        'codec',
        'picture',
        'deadline_ms',
        'profile',
        'score_threshold',
        'class_id',
        'image_transport',
    )
    return describe_edge(EDGE_PARAMETERS, names)
