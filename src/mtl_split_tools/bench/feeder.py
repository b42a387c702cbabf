# SPDX-License-Identifier: Apache-2.0
"""The edges of many cameras in one process: sends features kept before, and hears the answers.

What is measured is the server, and as many encoders as there are cameras would take its processor.
Each camera sends as its edge does: addressed to the server, with the deadline on its clock. It is
ready once all have heard of the server, and ends with its stdin. Each frame is a line of the
report, and each answer:
  {"kind": "image", "camera": number, "stamp": [s, ns], "at": monotonic seconds}
  {"kind": "answer", "camera": number, "stamp": [s, ns], "at": monotonic seconds}
"""

import argparse
import heapq
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import rclpy
from mtl_split.msg import FeatureMap, LinkReport
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from vision_msgs.msg import Detection2DArray

from mtl_split_edge.reports import report_from_msg
from mtl_split_edge.servers import Servers
from mtl_split_ros.qos import features_profile, report_reader_profile, results_profile
from mtl_split_tools.bags import message_stamp

GOLDEN = 0.618
"""Share of a period between one camera's frames and the next one's, as of free-running cameras."""

_POLL_S = 0.02

Write = Callable[..., None]


def name_of(camera: int) -> str:
    """Return the namespace of a camera, from 0."""
    return f'camera{camera}'


class Feed:
    """One camera.

    Args:
        node: Publishes and subscribes.
        camera: Its number.
        frames: Kept before, at least one.
        write: Takes the lines.
    """

    def __init__(self, node: Node, camera: int, frames: Sequence[FeatureMap], write: Write) -> None:
        self._camera, self._frames, self._write = camera, frames, write
        self._servers = Servers(frames[0].fingerprint)
        self._sent = 0
        name = name_of(camera)
        self._features = node.create_publisher(
            FeatureMap, f'{name}/features', features_profile('reliable')
        )
        node.create_subscription(
            LinkReport, f'{name}/link_report', self._on_report, report_reader_profile()
        )
        # the content is not needed
        node.create_subscription(
            Detection2DArray, f'{name}/detections', self._on_answer, results_profile(), raw=True
        )

    @property
    def addressed(self) -> bool:
        """Whether it has heard of a server."""
        return bool(self._servers.alive(time.monotonic()))

    def send(self, deadline_s: float) -> None:
        """Publish the next frame, to be answered within a time."""
        # the frames are shared by all cameras, and one thread publishes
        frame = self._frames[self._sent % len(self._frames)]
        stamp, now = time.time_ns(), time.monotonic()
        frame.header.frame_id = 'camera'
        frame.header.stamp.sec, frame.header.stamp.nanosec = divmod(stamp, 10**9)
        frame.sequence = self._sent
        frame.answer_session, frame.answer_until_us = self._servers.address(now + deadline_s)
        self._write(kind='image', camera=self._camera, stamp=divmod(stamp, 10**9), at=now)
        self._features.publish(frame)
        self._sent += 1

    def _on_report(self, message: LinkReport) -> None:
        report = report_from_msg(message)
        if report.possible:
            self._servers.heard(report, time.monotonic())

    def _on_answer(self, data: bytes) -> None:
        at = time.monotonic()
        self._write(kind='answer', camera=self._camera, stamp=message_stamp(data), at=at)


def feed(
    feeds: Sequence[Feed], rates: Sequence[float], deadline_s: float, ended: threading.Event
) -> None:
    """Send at the cameras' rates until the end.

    Args:
        feeds: The cameras.
        rates: Frames a second of each.
        deadline_s: Within which each frame is to be answered.
        ended: Set at the end.
    """
    began = time.monotonic()
    due = [(began + (n * GOLDEN % 1) / rate, n) for n, rate in enumerate(rates)]
    heapq.heapify(due)
    while not ended.is_set():
        moment, camera = due[0]
        if ended.wait(max(0.0, moment - time.monotonic())):
            return
        feeds[camera].send(deadline_s)
        # behind a machine that is too slow: no burst to catch up
        following = max(moment + 1 / rates[camera], time.monotonic())
        heapq.heapreplace(due, (following, camera))


def main() -> int:
    """Send until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--frames', type=Path, required=True, help='folder of *.cdr')
    parser.add_argument('--rates', type=float, nargs='+', required=True)
    parser.add_argument('--deadline-ms', type=float, required=True)
    parser.add_argument('--report', type=Path, required=True)
    options = parser.parse_args()
    kept = sorted(options.frames.glob('*.cdr'))
    frames = [deserialize_message(path.read_bytes(), FeatureMap) for path in kept]
    ended, lock = threading.Event(), threading.Lock()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node('feeder', use_global_arguments=False, enable_rosout=False)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        with options.report.open('w', buffering=1) as report:

            def write(**line: object) -> None:
                with lock:
                    report.write(json.dumps(line) + '\n')

            feeds = [Feed(node, camera, frames, write) for camera in range(len(options.rates))]
            threading.Thread(target=_spin, args=(executor,), daemon=True).start()
            threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
            while not (ended.is_set() or all(each.addressed for each in feeds)):
                ended.wait(_POLL_S)
            print('ready', flush=True)
            feed(feeds, options.rates, options.deadline_ms / 1e3, ended)
    except KeyboardInterrupt:
        pass
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _spin(executor: SingleThreadedExecutor) -> None:
    with suppress(ExternalShutdownException):
        executor.spin()


def _wait_for_end(ended: threading.Event) -> None:
    for _ in sys.stdin:
        pass
    ended.set()


if __name__ == '__main__':
    sys.exit(main())
