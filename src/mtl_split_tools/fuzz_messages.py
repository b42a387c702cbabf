# SPDX-License-Identifier: Apache-2.0
"""Damaged messages, each made from its number alone, so that any of them can be made again."""

import math
import zlib
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import cv2
import numpy as np

from mtl_split_core.bundle import Bundle
from mtl_split_core.codecs import PICTURE_FORMATS, CodecId, payload_shape
from mtl_split_core.encode import EncodeStage
from mtl_split_core.geometry import MAX_PIXELS, MAX_SIDE, Letterbox
from mtl_split_core.packet import MAX_PAYLOAD, FeaturePacket
from mtl_split_core.pictures import PICTURE_QUALITY
from mtl_split_edge.link import Report
from mtl_split_server.pipeline import Contract

_U8, _U16, _U32, _U64 = (2**bits - 1 for bits in (8, 16, 32, 64))
_FLOATS = (0.0, -0.0, -1.0, 1e-45, 1e-3, 3.4e38, -3.4e38, math.inf, -math.inf, math.nan)
_TEXTS = ('', 'camvid', '\0', '\x1b[2J', '{}%s%n', '\u202e', '☃', 'x' * 70_000, '../../etc/passwd')


class Corpus:
    """Valid packets of every codec, and everything that can be wrong with them.

    Args:
        bundle: The bundle.
        stage: Its encoder, for the valid ones.
    """

    def __init__(self, bundle: Bundle, stage: EncodeStage) -> None:
        self._bundle = bundle
        size = bundle.input
        random = np.random.default_rng(0)
        image = random.integers(0, 256, (size.height // 8, size.width // 8, 3), np.uint8)
        image = cv2.resize(image, (size.width, size.height)).astype(np.uint8)
        rates = range(len(bundle.rates))
        self._valid = [stage.encode(image, rate, CodecId.ENTROPY, 0) for rate in rates]
        self._valid += [stage.encode(image, 0, c, 0) for c in (CodecId.FLOAT16, CodecId.LOSSLESS)]
        self._valid += [
            stage.encode(image, rate, codec, 0)
            for codec in PICTURE_FORMATS
            for rate in range(len(PICTURE_QUALITY))
        ]
        self._giant = bytes(2 * MAX_PAYLOAD)
        self._bomb = zlib.compress(bytes(2**25), 9)
        self._ways: list[tuple[int, Callable[[Random, FeaturePacket], FeaturePacket]]] = [
            (1, self._unharmed),
            (12, self._stale_crc),
            (20, self._header),
            (20, self._transform),
            (6, self._other_source),
            (8, self._flipped),
            (10, self._cut),
            (6, self._noise),
            (4, self._giant_size),
            (6, self._other_codec),
            (3, self._spliced),
            (4, self._container),
        ]

    def packet(self, random: Random) -> FeaturePacket:
        """Return a packet with one or more things wrong, seldom none.

        Args:
            random: Decides.
        """
        # Entropy payloads first: damaged floats and pictures still decode, and run the networks.
        few = random.random() < 0.9
        rates = len(self._bundle.rates)
        packet = random.choice(self._valid[:rates] if few else self._valid)
        packet = replace(packet, sequence=random.randrange(_U32 + 1))
        weights = [weight for weight, _ in self._ways]
        for _ in range(1 if random.random() < 0.8 else 3):
            ((_, way),) = random.choices(self._ways, weights)
            packet = way(random, packet)
        return packet

    def contract(self, random: Random) -> Contract:
        """Return a contract of any content.

        Args:
            random: Decides.
        """
        fingerprint = random.choice((self._bundle.fingerprint, 0, _U64, random.getrandbits(64)))
        return Contract(
            random.choice(_TEXTS), random.choice(_TEXTS), fingerprint, random.getrandbits(64)
        )

    def report(self, random: Random) -> Report:
        """Return a link report of any content.

        Args:
            random: Decides.
        """

        def number() -> float:
            return random.choice((*_FLOATS, random.uniform(0, 10)))

        def count() -> int:
            return random.choice((0, 1, _U32, random.randrange(100)))

        return Report(
            fingerprint=random.choice((self._bundle.fingerprint, random.getrandbits(64))),
            session=random.choice((0, 1, random.getrandbits(64))),
            interval=number(),
            received=count(),
            lost=count(),
            refused=count(),
            answered=count(),
            goodput=number(),
            last_sequence=count(),
            hold_s=random.choice((0, _U32, random.randrange(10**6))) / 1e6,
            service_s=random.choice((0, _U32, random.randrange(10**6))) / 1e6,
            busy_fraction=number(),
            refusal=random.choice(_TEXTS),
        )

    def _unharmed(self, random: Random, packet: FeaturePacket) -> FeaturePacket:  # noqa: ARG002
        return packet

    def _stale_crc(self, random: Random, packet: FeaturePacket) -> FeaturePacket:
        return replace(packet, data=_flip(random, bytes(packet.payload)))

    def _flipped(self, random: Random, packet: FeaturePacket) -> FeaturePacket:
        return _carry(packet, _flip(random, bytes(packet.payload)))

    def _cut(self, random: Random, packet: FeaturePacket) -> FeaturePacket:
        data = bytes(packet.payload)
        if random.random() < 0.7:
            return _carry(packet, data[: random.randrange(len(data) + 1)])
        return _carry(packet, data + random.randbytes(random.randrange(1, 4096)))

    def _noise(self, random: Random, packet: FeaturePacket) -> FeaturePacket:
        length = random.choice((0, 1, 3, 4, len(packet.payload), random.randrange(60_000)))
        fill = random.choice((b'\0', b'\xff', b''))
        return _carry(packet, fill * length if fill else random.randbytes(length))

    def _giant_size(self, random: Random, packet: FeaturePacket) -> FeaturePacket:
        size = random.choice((MAX_PAYLOAD, MAX_PAYLOAD + 1, len(self._giant)))
        # The size is refused before the checksum is looked at, so it need not be right.
        return replace(packet, data=memoryview(self._giant)[:size])

    def _other_codec(self, random: Random, packet: FeaturePacket) -> FeaturePacket:
        codec = random.choice(tuple(CodecId))
        return replace(packet, codec=codec, rate=0, shape=payload_shape(codec, self._bundle))

    def _spliced(self, random: Random, packet: FeaturePacket) -> FeaturePacket:
        one, other = bytes(packet.payload), bytes(random.choice(self._valid).payload)
        at = random.randrange(min(len(one), len(other)) + 1)
        return _carry(packet, one[:at] + other[at:])

    def _container(self, random: Random, packet: FeaturePacket) -> FeaturePacket:
        """Well-formed files that are not what the codec writes: bombs, other sizes and kinds."""
        if random.random() < 0.3:
            codec, data = CodecId.LOSSLESS, self._bomb
        else:
            codec = random.choice(tuple(PICTURE_FORMATS))
            width, height = random.choice(((1, 1), (4000, 16), (640, 480)))
            name = random.choice(('.jpg', '.webp', '.png', '.bmp'))
            flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, random.randrange(2)] if name == '.jpg' else []
            data = cv2.imencode(name, np.zeros((height, width, 3), np.uint8), flags)[1].tobytes()
        shape = payload_shape(codec, self._bundle)
        return _carry(replace(packet, codec=codec, rate=0, shape=shape), data)

    def _header(self, random: Random, packet: FeaturePacket) -> FeaturePacket:
        limits = {'fingerprint': _U64, 'codec': _U8, 'codec_version': _U8, 'rate': _U8}
        limits |= {'crc32': _U32, 'shape': _U16}
        name = random.choice(tuple(limits))
        most = limits[name]

        def value() -> int:
            return random.choice((0, 1, most, most - 1, random.randrange(most + 1)))

        changed: Any = (value(), value(), value()) if name == 'shape' else value()
        return replace(packet, **{name: changed})

    def _transform(self, random: Random, packet: FeaturePacket) -> FeaturePacket:
        name = random.choice(('scale', 'left', 'top', 'source_width', 'source_height'))
        value: float = random.choice((0, 1, MAX_SIDE, MAX_SIDE + 1, _U16, random.randrange(_U16)))
        if name == 'scale':
            value = random.choice((*_FLOATS, math.nextafter(packet.letterbox.scale, 2)))
        changed: Any = {name: value}
        return replace(packet, letterbox=replace(packet.letterbox, **changed))

    def _other_source(self, random: Random, packet: FeaturePacket) -> FeaturePacket:
        """A transform that is right for a source of another size; large ones are rare."""
        most = 2048 if random.random() < 0.98 else MAX_SIDE
        width = random.randrange(1, most + 1)
        height = random.randrange(1, min(most, MAX_PIXELS // width) + 1)
        size = self._bundle.input
        return replace(packet, letterbox=Letterbox.fit(width, height, size.width, size.height))


def _flip(random: Random, data: bytes) -> bytes:
    if not data:
        return data
    flipped = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 16, 256))):
        flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _carry(packet: FeaturePacket, data: bytes) -> FeaturePacket:
    """The packet with this payload and the right checksum of it."""
    return replace(packet, data=data, crc32=zlib.crc32(data))
