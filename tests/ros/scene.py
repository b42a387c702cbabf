# SPDX-License-Identifier: Apache-2.0
"""An edge and a server with a camera before them, and what comes out."""

import time
from collections import Counter
from dataclasses import dataclass, field
from threading import Event, Thread

from mtl_split.msg import FeatureMap, FrameStatus
from rclpy.publisher import Publisher
from std_msgs.msg import Header
from tests.ros.harness import Graph, NodeProcess, header, image_msg, received
from tests.tiny_bundle import street_image
from vision_msgs.msg import Classification, Detection2DArray

from mtl_split_core.bundle import Bundle

PERIOD_S = 1 / 15
ANSWERED = (FrameStatus.ANSWERED_BY_EDGE, FrameStatus.ANSWERED_BY_SERVER)


@dataclass
class Camera:
    """Sends a picture every period, and knows what it sent."""

    images: Publisher
    sent: list[Header] = field(default_factory=list)
    number: int = 1000
    _stop: Event = field(default_factory=Event)

    def run(self, seconds: float) -> list[Header]:
        first = len(self.sent)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._stop.is_set():
            self.send()
            self._stop.wait(PERIOD_S)
        return self.sent[first:]

    def send(self) -> Header:
        self.number += 1
        stamp = header(self.number)
        self.sent.append(stamp)
        self.images.publish(image_msg(street_image(120, 50, self.number), stamp))
        return stamp

    def start(self) -> Thread:
        def forever() -> None:
            while not self._stop.is_set():
                self.run(PERIOD_S)

        thread = Thread(target=forever, daemon=True)
        thread.start()
        return thread

    def stop(self, thread: Thread) -> None:
        self._stop.set()
        thread.join(5)
        self._stop.clear()


@dataclass
class Scene:
    graph: Graph
    bundle: Bundle
    edge: NodeProcess
    server: NodeProcess
    camera: Camera
    features: list[FeatureMap]
    statuses: list[FrameStatus]
    detections: list[Detection2DArray]
    classes: list[Classification]

    def clear(self) -> None:
        for messages in (self.features, self.statuses, self.detections, self.classes):
            messages.clear()

    def mode(self, mode: str, **values: object) -> None:
        self.graph.mode(mode, self.camera.send, **values)
        # what is still out belongs to the mode before
        last = self.camera.send()
        fate = received(self.statuses, last)
        if fate.outcome in ANSWERED:
            received(self.detections, last)
            received(self.classes, last)
        self.clear()

    def ask(self) -> tuple[Header, FrameStatus]:
        stamp = self.camera.send()
        status = received(self.statuses, stamp)
        received(self.detections, stamp)
        received(self.classes, stamp)
        return stamp, status


def once_and_in_order(messages: list, sent: list[Header]) -> None:
    """No header twice, none before an earlier one, none that nobody sent."""
    order = [sent.index(message.header) for message in messages]
    assert not [number for number, count in Counter(order).items() if count > 1]
    assert order == sorted(order)
