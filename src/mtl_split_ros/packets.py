# SPDX-License-Identifier: Apache-2.0
"""Core's packets as FeatureMap messages and back, and the contract that announces them."""

import math
from array import array

import numpy as np
from builtin_interfaces.msg import Time
from mtl_split.msg import FeatureMap, SplitContract
from std_msgs.msg import Header

from mtl_split_core.bundle import Bundle
from mtl_split_core.geometry import Letterbox
from mtl_split_core.packet import EdgeTimes, FeaturePacket

UINT32_MAX = 2**32 - 1


def packet_to_msg(packet: FeaturePacket, header: Header) -> FeatureMap:
    """Make the message of a packet.

    Args:
        packet: From the encode stage.
        header: Of the source image, goes out as it is.
    """
    message = FeatureMap(header=header)
    message.fingerprint = packet.fingerprint
    message.sequence = packet.sequence
    message.codec = int(packet.codec)
    message.codec_version = packet.codec_version
    message.rate = packet.rate
    message.channels, message.height, message.width = packet.shape
    box = packet.letterbox
    message.source_width, message.source_height = box.source_width, box.source_height
    message.letterbox_scale = box.scale
    message.letterbox_left, message.letterbox_top = box.left, box.top
    times = packet.edge_times_us
    message.wait_us = min(times.wait, UINT32_MAX)
    message.convert_us = min(times.convert, UINT32_MAX)
    message.letterbox_us = min(times.letterbox, UINT32_MAX)
    message.encode_us = min(times.encode, UINT32_MAX)
    message.entropy_us = min(times.entropy, UINT32_MAX)
    message.crc32 = packet.crc32
    # array.array is the one type that rclpy takes without looking at every byte
    data = array('B')
    data.frombytes(packet.payload)
    message.data = data
    return message


def packet_from_msg(message: FeatureMap, bundle: Bundle) -> FeaturePacket:
    """Read a message without judging it; the tail stage's check does that.

    Args:
        message: From the wire.
        bundle: Gives the network's input size, which does not travel.

    Returns:
        The packet; its data is a view of the message.
    """
    return FeaturePacket(
        fingerprint=message.fingerprint,
        sequence=message.sequence,
        codec=message.codec,
        codec_version=message.codec_version,
        rate=message.rate,
        shape=(message.channels, message.height, message.width),
        letterbox=Letterbox(
            source_width=message.source_width,
            source_height=message.source_height,
            input_width=bundle.input.width,
            input_height=bundle.input.height,
            scale=message.letterbox_scale,
            left=message.letterbox_left,
            top=message.letterbox_top,
        ),
        edge_times_us=EdgeTimes(
            wait=message.wait_us,
            convert=message.convert_us,
            letterbox=message.letterbox_us,
            encode=message.encode_us,
            entropy=message.entropy_us,
        ),
        crc32=message.crc32,
        data=np.frombuffer(message.data, np.uint8),
    )


def contract_msg(bundle: Bundle, session: int, stamp: Time) -> SplitContract:
    """What an edge with this bundle sends.

    Args:
        bundle: The edge's.
        session: Random number of the edge process.
        stamp: When it became ready.
    """
    message = SplitContract()
    message.header.stamp = stamp
    message.fingerprint = bundle.fingerprint
    message.session = session
    message.bundle = bundle.name
    message.version = str(bundle.version)
    message.family = bundle.family
    message.tasks = [task.name for task in bundle.tasks]
    message.channels, message.height, message.width = bundle.feature_shape
    message.input_width, message.input_height = bundle.input.width, bundle.input.height
    message.rate_bytes = [
        math.nan if rate.bytes_mean is None else rate.bytes_mean for rate in bundle.rates
    ]
    return message
