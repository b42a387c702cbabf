# SPDX-License-Identifier: Apache-2.0
"""The recorder's process: everything on the graph into one .mcap, and when each message arrived.

Prints JSON lines for the demo: {"ready": "edge"} once the edge has the server and both its readers,
{"ready": "server"} once the server has the contract of the edge, {"answered": [s, ns]} per frame.
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mtl_split.msg import FeatureMap, FrameStatus, LinkReport, SplitContract
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Writer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo

from mtl_split_core.errors import MtlSplitError
from mtl_split_tools.bags import jazzy_types, message_stamp, offered_qos, write_mcap
from mtl_split_tools.tool_node import tool_node

CANNOT_START = 2
_DEPTH = 50
_SIDES = {'edge: link': 'edge', 'server: contract': 'server'}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic to record."""

    name: str
    message_type: type
    reliable: bool = True
    latched: bool = False


def topics(image: str, results: list[str]) -> list[Topic]:
    """Return all topics of a run.

    Args:
        image: Topic of the pictures, /image or /image/compressed.
        results: Topics that answer a frame.
    """
    kinds = {'/detections': Detection2DArray, '/segmentation/mask': Image}
    return [
        # Pictures may come from a best-effort camera; a reliable reader would not match it.
        Topic(image, CompressedImage if image.endswith('/compressed') else Image, reliable=False),
        Topic('/camera_info', CameraInfo, reliable=False),
        Topic('/features', FeatureMap),
        Topic('/contract', SplitContract, latched=True),
        Topic('/frame_status', FrameStatus),
        Topic('/link_report', LinkReport),
        *(Topic(name, kinds.get(name, Classification)) for name in results),
        Topic('/detections/label_info', LabelInfo, latched=True),
        Topic('/segmentation/label_info', LabelInfo, latched=True),
        Topic('/diagnostics', DiagnosticArray),
    ]


class Recorder:
    """Writes messages as they come, serialised as they came."""

    def __init__(self, node: Node, writer: Writer, report: TextIO, results: list[str]) -> None:
        self._node = node
        self._writer = writer
        self._report = report
        self._waiting_for = frozenset(results)
        self._missing: dict[tuple[int, int], set[str]] = {}
        self._announced: set[str] = set()
        self._types = jazzy_types()

    def record(self, topic: Topic) -> None:
        """Subscribe a topic."""
        durability = (
            DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE
        )
        reliable = ReliabilityPolicy.RELIABLE if topic.reliable else ReliabilityPolicy.BEST_EFFORT
        profile = QoSProfile(depth=_DEPTH, reliability=reliable, durability=durability)
        recorded = QosDurability.TRANSIENT_LOCAL if topic.latched else QosDurability.VOLATILE
        package, name = topic.message_type.__module__.split('.')[0], topic.message_type.__name__
        connection = self._writer.add_connection(
            topic.name,
            f'{package}/msg/{name}',
            typestore=self._types,
            offered_qos_profiles=[offered_qos(durability=recorded)],
        )

        def on_message(data: bytes) -> None:
            arrived = time.monotonic_ns()
            self._writer.write(connection, time.time_ns(), data)
            stamp = message_stamp(data)
            line = {'topic': topic.name, 'stamp': stamp, 'monotonic_ns': arrived}
            self._report.write(json.dumps(line) + '\n')
            self._follow(topic.name, stamp)
            if topic.message_type is DiagnosticArray and len(self._announced) < len(_SIDES):
                self._announce(deserialize_message(data, DiagnosticArray))

        self._node.create_subscription(
            topic.message_type, topic.name, on_message, profile, raw=True
        )

    def _announce(self, diagnostics: DiagnosticArray) -> None:
        # DDS can take seconds to bring two endpoints together, and nobody but they can tell when.
        for status in diagnostics.status:
            side = _SIDES.get(status.name)
            readers = {value.key: value.value for value in status.values}.get('subscribers', '2')
            ready = status.level == DiagnosticStatus.OK and int(readers) >= 2
            if side and ready and side not in self._announced:
                self._announced.add(side)
                print(json.dumps({'ready': side}), flush=True)

    def _follow(self, topic: str, stamp: tuple[int, int]) -> None:
        if topic in self._waiting_for:
            missing = self._missing.setdefault(stamp, set(self._waiting_for))
            missing.discard(topic)
            if not missing:
                print(json.dumps({'answered': stamp}), flush=True)


def main() -> int:
    """Record until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--report', type=Path, required=True)
    parser.add_argument('--image', required=True)
    parser.add_argument('--results', nargs='+', required=True)
    options = parser.parse_args()
    stopped = threading.Event()
    _on_signals(stopped.set)
    try:
        with tool_node('recorder') as node:
            _record(node, options, stopped)
    except MtlSplitError as error:
        print(f'recorder: {error}', file=sys.stderr)
        return CANNOT_START
    return 0


def _record(node: Node, options: argparse.Namespace, stopped: threading.Event) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with write_mcap(options.out) as writer, options.report.open('w') as report:
        recorder = Recorder(node, writer, report, options.results)
        for topic in topics(options.image, options.results):
            recorder.record(topic)
        while not stopped.is_set():
            executor.spin_once(timeout_sec=0.1)


def _on_signals(stop: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop())


if __name__ == '__main__':
    sys.exit(main())
