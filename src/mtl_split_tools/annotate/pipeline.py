# SPDX-License-Identifier: Apache-2.0
"""A picture's way through both halves, with the messages that the nodes would have published."""

import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mtl_split.msg import FeatureMap
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.errors import ImageError, PacketError
from mtl_split_core.overlay import draw_overlay
from mtl_split_core.results import FrameResults
from mtl_split_ros.images import to_rgb
from mtl_split_ros.packets import packet_from_msg, packet_to_msg
from mtl_split_ros.result_messages import result_messages
from mtl_split_tools.annotate.ahead import ahead
from mtl_split_tools.annotate.source import Source
from mtl_split_tools.bags import IMAGE_TYPES
from mtl_split_tools.evaluation import Stages

CLASS_ID = 'name'  # the nodes' default


@dataclass(frozen=True, slots=True)
class Settings:
    """What the nodes have as parameters."""

    bundle: Bundle
    rate: int
    codec: CodecId


@dataclass(slots=True)
class Refusals:
    """Pictures without an answer, and why the first of them has none."""

    count: int = 0
    first: str = ''

    def add(self, moment: int, error: Exception) -> None:
        """Count one."""
        self.count += 1
        self.first = self.first or f'at {moment / 1e9:.3f} s: {error}'


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the edge published for a picture; `features` is serialised."""

    moment: int
    picture: NDArray[np.uint8]
    features: bytes


@dataclass(frozen=True, slots=True)
class Annotated:
    """What both nodes published for a picture, serialised, by topic; and the picture drawn over."""

    moment: int
    messages: dict[str, bytes]
    payload: int
    overlay: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Answered:
    encoded: Encoded
    message: FeatureMap
    results: FrameResults


@dataclass(slots=True)
class Pipeline:
    """Both halves and the drawing, each at work on another picture."""

    source: Source
    settings: Settings
    stages: Stages
    draw: bool = True
    refusals: Refusals = field(default_factory=Refusals)

    def run(self) -> Generator[Annotated, None, None]:
        """Annotate the pictures in their order; those that cannot be read are left out."""
        return ahead(self._finish(ahead(self._answer(ahead(self._encode())))))

    def _encode(self) -> Generator[Encoded, None, None]:
        kind = CompressedImage if self.source.msgtype == IMAGE_TYPES[0] else Image
        settings, sequence = self.settings, 0
        for moment, data in self.source.messages():
            try:
                message: Any = deserialize_message(data, kind)
            except RuntimeError as error:  # what rclpy raises on bytes that are no such message
                self.refusals.add(moment, error)
                continue
            started = time.monotonic()
            try:
                picture = to_rgb(message)
                convert_us = round((time.monotonic() - started) * 1e6)
                packet = self.stages.encode.encode(
                    picture, settings.rate, settings.codec, sequence, convert_us=convert_us
                )
            except ImageError as error:
                self.refusals.add(moment, error)
                continue
            sequence += 1
            features = serialize_message(packet_to_msg(packet, message.header))
            yield Encoded(moment, picture, features)

    def _answer(self, frames: Generator[Encoded, None, None]) -> Generator[_Answered, None, None]:
        bundle = self.settings.bundle
        for frame in frames:
            # over the wire and back, because some fields are narrower there than in memory
            message = deserialize_message(frame.features, FeatureMap)
            try:
                results = self.stages.tail.run(packet_from_msg(message, bundle))
            except PacketError as error:
                self.refusals.add(frame.moment, error)
                continue
            yield _Answered(frame, message, results)

    def _finish(self, frames: Generator[_Answered, None, None]) -> Generator[Annotated, None, None]:
        bundle = self.settings.bundle
        for frame in frames:
            encoded, header = frame.encoded, frame.message.header
            answers = result_messages(frame.results, bundle, CLASS_ID, header)
            messages = {topic: serialize_message(message) for topic, message in answers}
            overlay = encoded.picture
            if self.draw:
                overlay = draw_overlay(overlay, frame.results, bundle)
            yield Annotated(
                encoded.moment,
                {'features': encoded.features, **messages},
                len(frame.message.data),
                overlay,
            )
