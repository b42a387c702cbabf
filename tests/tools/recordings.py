# SPDX-License-Identifier: Apache-2.0
"""Recordings of pictures and of results, made by the messages that ROS has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.serialization import serialize_message
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from std_msgs.msg import Header
from tests.tiny_bundle import street_image

from mtl_split_ros.images import to_image_msg
from mtl_split_tools.bags import jazzy_types, offered_qos, write_bag

START = 1_700_000_000
STEP = 10**8


def header(number: int) -> Header:
    """Return the header of picture `number`."""
    made = Header(frame_id='left')
    made.stamp.sec = START + number
    return made


def write_messages(
    path: Path,
    messages: Sequence[tuple[str, int, Any]],
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """Write topic, moment in nanoseconds and message, in this order."""
    connections: dict[str, Any] = {}
    with write_bag(path, storage, compression) as writer:
        for topic, moment, message in messages:
            kind = f'{type(message).__module__.split(".")[0]}/msg/{type(message).__name__}'
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic, kind, typestore=jazzy_types(), offered_qos_profiles=[offered_qos()]
                )
            writer.write(connections[topic], moment, serialize_message(message))
    return path


def raw_bag(
    path: Path,
    count: int = 5,
    topics: tuple[str, ...] = ('/camera/image_raw',),
    bad: tuple[int, ...] = (),
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """Write pictures of odd size, ten a second; Bayer, so that nobody takes them, where `bad`."""
    messages = []
    for number in range(count):
        image = to_image_msg(street_image(121, 51, number), 'rgb8', header(number))
        image.encoding = 'bayer_rggb8' if number in bad else 'rgb8'
        messages += [(topic, number * STEP, image) for topic in topics]
    return write_messages(path, messages, storage, compression)
