# SPDX-License-Identifier: Apache-2.0
import math
from array import array

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from tests.tiny_bundle import street_image

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.packet import check_packet
from mtl_split_ros.packets import contract_msg, packet_from_msg, packet_to_msg

HEADER = Header(stamp=Time(sec=2**31 - 1, nanosec=999_999_999), frame_id='front')


def test_a_packet_comes_back_from_the_wire(tiny_bundle: Bundle) -> None:
    stage = EncodeStage(tiny_bundle, load_network(tiny_bundle.encoder_path))
    for codec in (CodecId.ENTROPY, CodecId.FLOAT16, CodecId.LOSSLESS):
        packet = stage.encode(street_image(133, 57), 0, codec, 2**32 - 1, 11, 22)
        message = packet_to_msg(packet, HEADER)
        assert isinstance(message.data, array)
        message = deserialize_message(serialize_message(message), type(message))
        assert message.header == HEADER
        again = packet_from_msg(message, tiny_bundle)
        check_packet(again, tiny_bundle)
        assert bytes(again.payload) == bytes(packet.payload)
        assert again.letterbox == packet.letterbox
        assert again.edge_times_us == packet.edge_times_us
        assert (again.edge_times_us.wait, again.edge_times_us.convert) == (11, 22)
        assert (again.sequence, again.codec, again.rate) == (2**32 - 1, codec, 0)


def test_data_is_a_view_of_the_message(tiny_bundle: Bundle) -> None:
    stage = EncodeStage(tiny_bundle, load_network(tiny_bundle.encoder_path))
    message = packet_to_msg(stage.encode(street_image(96, 64), 0, CodecId.FLOAT16, 0), HEADER)
    packet = packet_from_msg(message, tiny_bundle)
    assert np.shares_memory(np.asarray(packet.data), np.frombuffer(message.data, np.uint8))


def test_contract(tiny_bundle: Bundle) -> None:
    message = contract_msg(tiny_bundle, 2**64 - 1, Time(sec=5))
    assert message.header.stamp.sec == 5
    assert (message.fingerprint, message.session) == (tiny_bundle.fingerprint, 2**64 - 1)
    assert (message.bundle, message.version, message.family) == ('tiny', '1.0.0', 'mtl_split')
    assert (message.channels, message.height, message.width) == tiny_bundle.feature_shape
    assert (message.input_width, message.input_height) == (96, 64)
    assert message.tasks == ['detection', 'segmentation', 'time_of_day']
    assert len(message.rate_bytes) == len(tiny_bundle.rates)
    assert all(math.isnan(value) for value in message.rate_bytes)
