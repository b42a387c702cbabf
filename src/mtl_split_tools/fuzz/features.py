# SPDX-License-Identifier: Apache-2.0
"""Damaged feature messages, made knowing their structure, so that each check is reached."""

import math
import zlib
from array import array
from collections.abc import Callable
from random import Random

import cv2
import numpy as np
from mtl_split.msg import FeatureMap
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import PICTURE_FORMATS, CodecId
from mtl_split_core.codecs import payload_shape
from mtl_split_core.encode import EncodeStage
from mtl_split_core.geometry import MAX_PIXELS, MAX_SIDE, Letterbox
from mtl_split_core.packet import MAX_PAYLOAD
from mtl_split_core.pictures import PICTURE_QUALITY
from mtl_split_ros.packets import packet_to_msg
from mtl_split_tools.fuzz.damage import (
    FLOATS,
    TEXTS,
    U8,
    U16,
    U32,
    U64,
    cut,
    drop,
    flip,
    noise,
    splice,
    whole,
)

SESSION = 0x5E5510A
"""Of the server that the messages are for."""

_LIMITS = dict.fromkeys(('codec', 'codec_version', 'rate'), U8)
_LIMITS |= dict.fromkeys(('channels', 'height', 'width'), U16)
_LIMITS |= {'crc32': U32, 'fingerprint': U64}
_TIMES = ('wait_us', 'convert_us', 'letterbox_us', 'encode_us', 'entropy_us')
_HEAD_BYTES = 120  # the fields before the payload
_CAMERAS = ('front', 'front', 'front', 'rear', *TEXTS)


class FeatureCorpus:
    """Valid messages of every codec, and everything that can be wrong with them.

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

        def valid(codec: CodecId, rates: int) -> list[bytes]:
            packets = [stage.encode(image, rate, codec, 0) for rate in range(rates)]
            return [serialize_message(packet_to_msg(p, Header())) for p in packets]

        pictures = [valid(codec, len(PICTURE_QUALITY)) for codec in PICTURE_FORMATS]
        floats = [valid(codec, 1) for codec in (CodecId.FLOAT16, CodecId.LOSSLESS)]
        # Entropy payloads first: damaged floats and pictures often decode all the same.
        kinds = [(70, valid(CodecId.ENTROPY, len(bundle.rates)))]
        kinds += [(10, messages) for messages in pictures] + [(5, messages) for messages in floats]
        self.valid = [messages for _, messages in kinds]
        self._kind_weights = [weight for weight, _ in kinds]
        self._bomb = zlib.compress(bytes(2**25), 9)
        self._ways: list[tuple[int, Callable[[Random, FeatureMap], None]]] = [
            (1, _nothing),
            (12, _stale_checksum),
            (20, _header),
            (20, _transform),
            (6, self._other_source),
            (8, lambda r, m: carry(m, flip(r, m.data.tobytes()))),
            (8, lambda r, m: carry(m, cut(r, m.data.tobytes()))),
            (3, lambda r, m: carry(m, drop(r, m.data.tobytes()))),
            (6, lambda r, m: carry(m, noise(r, len(m.data)))),
            (2, _giant),
            (6, self._other_codec),
            (3, self._spliced),
            (3, self._container),
            (2, self._wild_values),
        ]
        self._weights = [weight for weight, _ in self._ways]

    def message(self, random: Random) -> FeatureMap:
        """Return a message with one or more things wrong, seldom none.

        Args:
            random: Decides.
        """
        message = self._any_valid(random)
        message.header.frame_id = random.choice(_CAMERAS)
        message.header.stamp.nanosec = whole(random, U32)
        message.sequence = random.randrange(U32 + 1)
        # Mostly for this server and in time, else the checks behind that are not reached.
        if random.random() < 0.2:
            message.answer_session = random.choice((0, SESSION, random.getrandbits(64)))
            message.answer_until_us = random.choice((0, 1, U64, random.getrandbits(64)))
        message.probe = random.random() < 0.1
        for name in _TIMES:
            setattr(message, name, random.choice((0, U32)))
        for _ in range(1 if random.random() < 0.8 else 3):
            ((_, way),) = random.choices(self._ways, self._weights)
            way(random, message)
        return message

    def serialized(self, random: Random) -> bytes:
        """Return such a message as it travels, seldom damaged as a whole.

        Args:
            random: Decides.
        """
        data: bytes = serialize_message(self.message(random))
        if random.random() < 0.04:
            return flip(random, data, _HEAD_BYTES) if random.random() < 0.7 else cut(random, data)
        return data

    def _any_valid(self, random: Random) -> FeatureMap:
        (kind,) = random.choices(self.valid, self._kind_weights)
        return deserialize_message(random.choice(kind), FeatureMap)

    def _other_source(self, random: Random, message: FeatureMap) -> None:
        """A transform that is right for a source of another size; large ones are rare."""
        most = 2048 if random.random() < 0.98 else MAX_SIDE
        width = random.randrange(1, most + 1)
        height = random.randrange(1, min(most, MAX_PIXELS // width) + 1)
        box = Letterbox.fit(width, height, self._bundle.input.width, self._bundle.input.height)
        message.source_width, message.source_height = width, height
        message.letterbox_scale = box.scale
        message.letterbox_left, message.letterbox_top = box.left, box.top

    def _other_codec(self, random: Random, message: FeatureMap) -> None:
        self._set_codec(message, random.choice(tuple(CodecId)))

    def _set_codec(self, message: FeatureMap, codec: CodecId) -> None:
        message.codec, message.rate = int(codec), 0
        message.channels, message.height, message.width = payload_shape(codec, self._bundle)

    def _spliced(self, random: Random, message: FeatureMap) -> None:
        other = self._any_valid(random).data.tobytes()
        carry(message, splice(random, message.data.tobytes(), other))

    def _container(self, random: Random, message: FeatureMap) -> None:
        """Well-formed files that are not what the codec writes: bombs, other sizes and kinds."""
        if random.random() < 0.3:
            self._set_codec(message, CodecId.LOSSLESS)
            carry(message, self._bomb)
            return
        self._set_codec(message, random.choice(tuple(PICTURE_FORMATS)))
        size = (self._bundle.input.width, self._bundle.input.height)
        width, height = random.choice(((1, 1), (4000, 16), (640, 480), size))
        name = random.choice(('.jpg', '.webp', '.png', '.bmp'))
        flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, random.randrange(2)] if name == '.jpg' else []
        channels = random.choice((1, 3, 4)) if name == '.png' else 3
        picture = np.zeros((height, width, channels), np.uint8)
        carry(message, cv2.imencode(name, picture, flags)[1].tobytes())

    def _wild_values(self, random: Random, message: FeatureMap) -> None:
        """Features that no encoder gives, most of them finite: the tail has to bear them."""
        codec = random.choice((CodecId.FLOAT16, CodecId.LOSSLESS))
        kind = np.float16 if codec is CodecId.FLOAT16 else np.float32
        shape = payload_shape(codec, self._bundle)
        most = float(np.finfo(kind).max)
        fill = random.choice((most, -most, 0.0, 1e-7, math.nan, math.inf))
        values = np.full(math.prod(shape), fill, kind)
        values[:: random.randrange(1, 100)] = random.choice((most, -most, 0.0, 1.0))
        self._set_codec(message, codec)
        if codec is CodecId.FLOAT16:
            carry(message, values.tobytes())
            return
        planes = values.reshape(-1, 1).view(np.uint8).T
        carry(message, zlib.compress(planes.tobytes(), 1))


def carry(message: FeatureMap, data: bytes) -> None:
    """Put a payload into a message, with the right checksum of it."""
    message.data = array('B', data)
    message.crc32 = zlib.crc32(data)


def _nothing(random: Random, message: FeatureMap) -> None:
    """Leave the message in order."""


def _stale_checksum(random: Random, message: FeatureMap) -> None:
    message.data = array('B', flip(random, message.data.tobytes()))


def _header(random: Random, message: FeatureMap) -> None:
    name = random.choice(tuple(_LIMITS))
    setattr(message, name, whole(random, _LIMITS[name]))


def _transform(random: Random, message: FeatureMap) -> None:
    name = random.choice(
        ('letterbox_scale', 'letterbox_left', 'letterbox_top', 'source_width', 'source_height')
    )
    value: float = random.choice((0, 1, MAX_SIDE, MAX_SIDE + 1, U16, random.randrange(U16)))
    if name == 'letterbox_scale':
        value = random.choice((*FLOATS, float(np.nextafter(np.float32(1), np.float32(2)))))
    setattr(message, name, value)


def _giant(random: Random, message: FeatureMap) -> None:
    sizes: tuple[int, ...] = (2**18, 2**20)
    if random.random() < 0.01:  # they take long to make
        sizes = (MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD)
    # The size is refused before the checksum is looked at, so it need not be right.
    message.data = array('B', bytes(random.choice(sizes)))
