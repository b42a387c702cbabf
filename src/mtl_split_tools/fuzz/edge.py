# SPDX-License-Identifier: Apache-2.0
"""The edge's side of the wire: link reports and camera images, as its node takes them in."""

import struct
import time
import zlib
from array import array
from random import Random

import cv2
import numpy as np
from mtl_split.msg import FeatureMap, LinkReport
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.geometry import MAX_SIDE
from mtl_split_core.profile import Mode, Profile, ProfilePoint
from mtl_split_edge.chooser import Chooser
from mtl_split_edge.decision import PolicySettings
from mtl_split_edge.ledger import Ledger, Sent
from mtl_split_edge.link import LinkState
from mtl_split_edge.reports import report_from_msg
from mtl_split_edge.servers import Servers
from mtl_split_ros.images import CHANNELS, to_rgb
from mtl_split_ros.status import Status
from mtl_split_tools.fuzz.damage import TEXTS, U32, U64, flip, real, whole, worsen
from mtl_split_tools.fuzz.wire import damaged, decoded

_DEADLINE_S = 0.15
_ENCODINGS = (*CHANNELS, '8UC3', 'bayer_rggb8', 'yuv422', '32FC1', '', 'x' * 1000)


class ReportDoor:
    """What the edge's node does with a link report, with frames out that it may speak of.

    Args:
        bundle: The bundle.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        local = ProfilePoint(Mode.LOCAL, None, 0, 50.0, 0.0, 0, 0, 0, 0.5, None, None)
        sizes = (4e3, 5e3, 6e3)
        split = ProfilePoint(Mode.SPLIT, CodecId.ENTROPY, 0, 10.0, 20.0, *sizes, 0.5, None, None)
        # No figure in it matters here.
        profile = Profile(bundle.name, bundle.fingerprint, 'fuzz', 1, (split, local))
        self._point = split
        self._link = LinkState(bundle.fingerprint)
        self._servers = Servers(bundle.fingerprint)
        self._chooser = Chooser(profile, PolicySettings())
        self._ledger: Ledger[None] = Ledger()
        self._sequence = 0

    def make(self, random: Random) -> bytes:
        """See Target.make()."""
        sequence = random.choice((0, U32, random.randrange(2**20)))

        def figure() -> float:
            return real(random) if random.random() < 0.1 else random.uniform(1e-3, 10)

        message = LinkReport(
            fingerprint=random.choice((self._bundle.fingerprint, random.getrandbits(64))),
            session=random.choice((1, 1, 1, 1, 0, 2, random.getrandbits(64))),
            clock_us=whole(random, U64),
            interval=figure(),
            received=whole(random, U32),
            lost=whole(random, U32),
            refused=whole(random, U32),
            late=whole(random, U32),
            answered=whole(random, U32),
            goodput=figure(),
            last_sequence=sequence,
            hold_us=random.choice((0, U32, random.randrange(10**6))),
            service_us=random.choice((0, U32, random.randrange(10**6))),
            done_sequence=random.choice((sequence, whole(random, U32))),
            done_mask=whole(random, U64),
            busy_fraction=figure(),
            refusal=random.choice(TEXTS),
        )
        return damaged(random, serialize_message(message))

    def feed(self, data: bytes) -> str:
        """See Target.feed()."""
        message = decoded(data, LinkReport)
        if message is None:
            return 'no message'
        report = report_from_msg(message)
        now = time.monotonic()
        for sequence in {report.last_sequence, report.done_sequence}:
            until_us = report.clock_us + 10**6 * (sequence % 3 - 1)
            frame = Sent(
                None, self._point, 4000, now, now + _DEADLINE_S, report.session, until_us, 0.1, ''
            )
            self._ledger.sent(sequence, frame)
            self._link.sent(sequence)
            self._chooser.sent(sequence, 4000, self._point)
        ours = not report.possible or self._servers.heard(report, now)
        if ours:
            self._link.reported(report, now)
        if ours and report.possible:
            self._chooser.reported(report, now)
            self._ledger.done(report, now)
        self._link.fill(Status(), 1, len(self._servers.alive(now)))
        self._chooser.decide(0.0)
        self._ledger.expire(now)
        session, until_us = self._servers.address(now + _DEADLINE_S)
        serialize_message(FeatureMap(answer_session=session, answer_until_us=until_us))
        if not report.possible:
            return 'impossible'
        return 'noted' if ours else "another server's"


class ImageDoor:
    """What both nodes do with an image; the first byte says which.

    r: raw, u: raw and untyped_encoding is set, c: compressed.
    """

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        pixels = random.integers(0, 256, (36, 48, 3), np.uint8)
        pixels = np.asarray(cv2.resize(pixels, (480, 360)), np.uint8)
        self._pixels = pixels[:60, :80]
        kinds: tuple[tuple[str, list[int]], ...] = (
            ('.jpg', []),
            ('.jpg', [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
            ('.jpg', [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
            ('.png', []),
            ('.webp', []),
            ('.bmp', []),
        )
        self._pictures = [cv2.imencode(name, pixels, flags)[1].tobytes() for name, flags in kinds]
        grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
        self._pictures += [cv2.imencode(name, grey)[1].tobytes() for name in ('.jpg', '.png')]

    def make(self, random: Random) -> bytes:
        """See Target.make()."""
        if random.random() < 0.5:
            kind = random.choice((b'r', b'u'))
            return kind + damaged(random, serialize_message(self._raw(random)))
        data = random.choice(self._pictures)
        way = random.random()
        if way < 0.1:
            data = _claim(random, data)
        elif way < 0.2:
            data = _many_scans(random, self._pictures[1])
        elif way < 0.95:
            # Into the tables and headers as often as into the coded pixels; the ends mostly stay.
            data = worsen(random, data) if random.random() < 0.4 else _inner(random, data)
        message = CompressedImage(format=random.choice(('jpeg', 'png', *TEXTS)))
        message.data = array('B', data)
        return b'c' + damaged(random, serialize_message(message))

    def feed(self, data: bytes) -> str:
        """See Target.feed()."""
        kind = data[:1]
        message = decoded(data[1:], CompressedImage if kind == b'c' else Image)
        if message is None:
            return 'no message'
        image = to_rgb(message, 'bgr8' if kind == b'u' else '')
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            msg = f'to_rgb gave {image.dtype} {image.shape}'
            raise AssertionError(msg)
        return 'converted'

    def _raw(self, random: Random) -> Image:
        """An image whose fields do not fit each other, or one that is in order."""
        encoding = random.choice(_ENCODINGS)
        channels = CHANNELS.get(encoding, 3)
        height, width, _ = self._pixels.shape
        padding = random.choice((0, 0, 1, 13))
        step = width * channels + padding
        message = Image(height=height, width=width, encoding=encoding, step=step)
        message.is_bigendian = random.choice((0, 0, 1, 255))
        message.data = array('B', bytes(step * height))
        for _ in range(random.choice((0, 1, 1, 2))):
            name = random.choice(('height', 'width', 'step', 'data'))
            if name == 'data':
                size = random.choice((0, 1, max(0, len(message.data) - 1), random.randrange(2**16)))
                message.data = array('B', bytes(size))
                continue
            near = (getattr(message, name) + random.choice((-1, 1))) & U32
            value = random.choice((0, 1, near, MAX_SIDE, MAX_SIDE + 1, 2**31, U32))
            setattr(message, name, value)
        return message


def _inner(random: Random, data: bytes) -> bytes:
    return data[:8] + flip(random, data[8:-12], random.choice((None, 600))) + data[-12:]


def _claim(random: Random, data: bytes) -> bytes:
    """A small file that says that it holds a giant picture."""
    width, height = (random.choice((1, 4096, 16384, 30000, 65535)) for _ in range(2))
    frame = max(data.find(b'\xff\xc0'), data.find(b'\xff\xc2'))
    if data.startswith(b'\xff\xd8') and frame > 0:
        return data[: frame + 5] + struct.pack('>HH', height, width) + data[frame + 9 :]
    if data[12:16] == b'IHDR':
        head = b'IHDR' + struct.pack('>II', width, height) + data[24:29]
        return data[:12] + head + struct.pack('>I', zlib.crc32(head)) + data[33:]
    return data


def _many_scans(random: Random, data: bytes) -> bytes:
    """A progressive picture that draws itself again and again."""
    scan = data[data.rfind(b'\xff\xda') : -2]
    return data[:-2] + scan * random.choice((1, 100, 300)) + data[-2:]
