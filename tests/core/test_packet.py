# SPDX-License-Identifier: Apache-2.0
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import PacketError, RefusalReason
from mtl_split_core.packet import FeaturePacket, check_packet


@pytest.fixture
def packet(encode_stage: EncodeStage, image: NDArray[np.uint8]) -> FeaturePacket:
    return encode_stage.encode(image, 1, CodecId.ENTROPY, 7)


@pytest.mark.parametrize('codec', list(CodecId))
def test_a_good_packet_passes(
    encode_stage: EncodeStage, tiny_bundle: Bundle, image: NDArray[np.uint8], codec: CodecId
) -> None:
    packet = encode_stage.encode(image, 1, codec, 7)
    for data in (packet.data, memoryview(packet.payload), np.frombuffer(packet.data, np.uint8)):
        check_packet(replace(packet, data=data), tiny_bundle)


@pytest.mark.parametrize(
    ('change', 'reason', 'text'),
    [
        ({'fingerprint': 1}, RefusalReason.FINGERPRINT, '0000000000000001'),
        ({'codec': 0}, RefusalReason.CODEC, r'codec is 0, expected one of 1 \(entropy\)'),
        ({'codec': 200}, RefusalReason.CODEC, 'codec is 200'),
        ({'codec_version': 2}, RefusalReason.CODEC, 'codec_version is 2, expected 1'),
        ({'rate': 2}, RefusalReason.RATE, 'rate is 2, expected 0 to 1'),
        ({'rate': 255}, RefusalReason.RATE, 'rate is 255'),
        ({'shape': (8, 8, 13)}, RefusalReason.SHAPE, r'\(8, 8, 13\)'),
        ({'shape': (65535, 65535, 65535)}, RefusalReason.SHAPE, '65535'),
        ({'shape': (0, 0, 0)}, RefusalReason.SHAPE, '0, 0, 0'),
        ({'data': b''}, RefusalReason.SIZE, '0 bytes'),
        ({'data': bytes(2**20)}, RefusalReason.SIZE, '1048576 bytes'),
        ({'crc32': 5}, RefusalReason.CRC, '00000005'),
        ({'data': b'abcd'}, RefusalReason.CRC, 'crc32'),
    ],
)
def test_each_wrong_field(
    packet: FeaturePacket,
    tiny_bundle: Bundle,
    change: dict[str, Any],
    reason: RefusalReason,
    text: str,
) -> None:
    with pytest.raises(PacketError, match=text) as info:
        check_packet(replace(packet, **change), tiny_bundle)
    assert info.value.reason is reason


@pytest.mark.parametrize(
    'change',
    [{'scale': float('nan')}, {'left': 3}, {'source_width': 0}, {'input_width': 48}, {'top': 9}],
)
def test_wrong_geometry(packet: FeaturePacket, tiny_bundle: Bundle, change: dict[str, Any]) -> None:
    letterbox = replace(packet.letterbox, **change)
    with pytest.raises(PacketError) as info:
        check_packet(replace(packet, letterbox=letterbox), tiny_bundle)
    assert info.value.reason is RefusalReason.GEOMETRY


def test_the_first_of_several_faults_is_named(packet: FeaturePacket, tiny_bundle: Bundle) -> None:
    faults: list[tuple[dict[str, Any], RefusalReason]] = [
        ({'crc32': 0}, RefusalReason.CRC),
        ({'data': b''}, RefusalReason.SIZE),
        ({'letterbox': replace(packet.letterbox, top=99)}, RefusalReason.GEOMETRY),
        ({'shape': (1, 1, 1)}, RefusalReason.SHAPE),
        ({'rate': 9}, RefusalReason.RATE),
        ({'codec': 99}, RefusalReason.CODEC),
        ({'fingerprint': 0}, RefusalReason.FINGERPRINT),
    ]
    for change, reason in faults:
        packet = replace(packet, **change)
        with pytest.raises(PacketError) as info:
            check_packet(packet, tiny_bundle)
        assert info.value.reason is reason


def test_float16_must_have_its_exact_size(
    encode_stage: EncodeStage, tiny_bundle: Bundle, image: NDArray[np.uint8]
) -> None:
    packet = encode_stage.encode(image, 0, CodecId.FLOAT16, 0)
    short = bytes(packet.payload[:-2])
    with pytest.raises(PacketError, match='1534 bytes, expected 1536 to 1536') as info:
        check_packet(replace(packet, data=short, crc32=zlib.crc32(short)), tiny_bundle)
    assert info.value.reason is RefusalReason.SIZE
