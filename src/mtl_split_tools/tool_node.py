# SPDX-License-Identifier: Apache-2.0
"""The node of a tool that talks to a graph, by keys of its own where security is on."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter

from mtl_split_ros import security
from mtl_split_ros.ending import ends_in_time


@contextmanager
def tool_node(tool: str, name: str = '') -> Iterator[Node]:
    """Start ROS 2 and make a node, both for the time of the block.

    It has no services, so that its enclave needs rights for the topics of the tool alone.

    Args:
        tool: Names the enclave, `/TOOL`; where security is off, ROS 2 takes no notice of it.
        name: Of the node, default that of the tool.

    Yields:
        The node.

    Raises:
        SecurityError: ROS 2 is told to be secure and refuses, at once or later in the block.
        MtlSplitError: It does not start for another reason.
    """
    with security.refusals(os.environ):
        # nothing of sys.argv: rcl would take the --remap of `replay` for its own
        security.start(['--ros-args', '--enclave', f'/{tool}'])
        with ExitStack() as stack:
            stack.callback(rclpy.try_shutdown)
            node = Node(
                name or tool,
                use_global_arguments=False,
                enable_rosout=False,
                start_parameter_services=False,
                parameter_overrides=[Parameter('start_type_description_service', value=False)],
            )
            stack.callback(_end, node)
            yield node


def _end(node: Node) -> None:
    with ends_in_time():
        node.destroy_node()
