# SPDX-License-Identifier: Apache-2.0
"""One frame on the wire, and the checks that stand between the wire and the decoder."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import PICTURE_FORMATS, CodecId
from mtl_split_core.codecs import CODEC_VERSIONS, codec_version, payload_limits, payload_shape
from mtl_split_core.errors import PacketError, RefusalReason
from mtl_split_core.geometry import Letterbox
from mtl_split_core.pictures import PICTURE_QUALITY

MAX_PAYLOAD = 2**24 + 2**16
"""Largest payload of any codec and bundle, bytes."""


@dataclass(frozen=True, slots=True)
class EdgeTimes:
    """Durations on the camera side, microseconds, 0 to 2**32 - 1.

    Args:
        wait: From arrival of the image to the start of work on it.
        convert: Message to RGB.
        letterbox: Letterbox and normalisation.
        encode: Encoder network.
        entropy: Codec.
    """

    wait: int = 0
    convert: int = 0
    letterbox: int = 0
    encode: int = 0
    entropy: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class FeaturePacket:
    """One frame as it travels.

    Args:
        fingerprint: uint64 of the bundle that made it.
        sequence: uint32, counts up by one per frame.
        codec: Codec id; not yet checked, so a plain number.
        codec_version: Version of its bitstream.
        rate: Rate index.
        shape: C, H, W of what the payload carries.
        letterbox: Where the source image lies in the network input.
        edge_times_us: Durations on the camera side.
        crc32: CRC-32 of the payload, as zlib computes it.
        data: The payload, contiguous.
    """

    fingerprint: int
    sequence: int
    codec: int
    codec_version: int
    rate: int
    shape: tuple[int, int, int]
    letterbox: Letterbox
    edge_times_us: EdgeTimes
    crc32: int
    data: bytes | memoryview | NDArray[np.uint8]

    @property
    def payload(self) -> memoryview:
        """The payload as bytes, without a copy."""
        return memoryview(self.data).cast('B')  # type: ignore[arg-type]


def check_packet(packet: FeaturePacket, bundle: Bundle) -> None:
    """Check everything that can be checked without decoding; cheap checks first.

    Args:
        packet: Packet from the wire.
        bundle: Bundle of this end.

    Raises:
        PacketError: Names field, value and what was expected.
    """
    _expect(
        RefusalReason.FINGERPRINT,
        'fingerprint',
        f'{packet.fingerprint:016x}',
        f'{bundle.fingerprint:016x} of bundle {bundle.name} {bundle.version}; '
        'run both ends with the same bundle, or, where its tail alone is another, the server with '
        'features_of',
        right=packet.fingerprint == bundle.fingerprint,
    )
    known = ', '.join(f'{codec.value} ({codec.name.lower()})' for codec in CodecId)
    right = packet.codec in CODEC_VERSIONS
    _expect(RefusalReason.CODEC, 'codec', packet.codec, f'one of {known}', right=right)
    codec = CodecId(packet.codec)
    version = codec_version(codec, bundle)
    right = packet.codec_version == version
    _expect(RefusalReason.CODEC, 'codec_version', packet.codec_version, version, right=right)
    rates = len(PICTURE_QUALITY) if codec in PICTURE_FORMATS else len(bundle.rates)
    right = 0 <= packet.rate < rates
    _expect(RefusalReason.RATE, 'rate', packet.rate, f'0 to {rates - 1}', right=right)
    shape = payload_shape(codec, bundle)
    right = tuple(packet.shape) == shape
    _expect(RefusalReason.SHAPE, 'shape', packet.shape, shape, right=right)
    size = (packet.letterbox.input_width, packet.letterbox.input_height)
    expected = (bundle.input.width, bundle.input.height)
    right = size == expected
    _expect(RefusalReason.GEOMETRY, 'letterbox input size', size, expected, right=right)
    packet.letterbox.validate()
    least, most = payload_limits(codec, bundle)
    most = min(most, MAX_PAYLOAD)
    count = len(packet.payload)
    right = least <= count <= most
    _expect(RefusalReason.SIZE, 'data', f'{count} bytes', f'{least} to {most}', right=right)
    crc = zlib.crc32(packet.payload)
    right = packet.crc32 == crc
    _expect(RefusalReason.CRC, 'crc32', f'{packet.crc32:08x}', f'{crc:08x}', right=right)


def _expect(
    reason: RefusalReason, field: str, value: object, expected: object, *, right: bool
) -> None:
    if not right:
        msg = f'{field} is {value}, expected {expected}'
        raise PacketError(reason, msg)
