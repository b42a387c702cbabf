# SPDX-License-Identifier: Apache-2.0
"""ROS messages as bytes, whole and damaged."""

from random import Random
from typing import Any

from rclpy.serialization import deserialize_message

from mtl_split_tools.fuzz.damage import worsen

_DAMAGED = 0.1


def decoded(data: bytes, kind: type) -> Any:
    """Return a message, None where the middleware would not hand one over.

    Args:
        data: The serialised message.
        kind: Class of the message.
    """
    try:
        return deserialize_message(data, kind)
    except RuntimeError:
        return None


def damaged(random: Random, data: bytes) -> bytes:
    """Return a serialised message, now and then with its bytes damaged.

    Args:
        random: Decides.
        data: The serialised message.
    """
    return worsen(random, data) if random.random() < _DAMAGED else data
