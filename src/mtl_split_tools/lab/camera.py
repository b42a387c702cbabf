# SPDX-License-Identifier: Apache-2.0
"""The camera's process: the shipped clip in a loop, with stamps that grow, and faults on demand.

Lines on stdin change it while it runs:
  rate HZ         images a second; 0 stops it
  size W H        other images, W x H pixels; `size` alone: those of the clip
  broken on|off   the data of each image end too early
  back N          stamps go back by N images, once, as when a recording starts again
  zero on|off     stamps of zero
It ends with its stdin. Each image is a line of the report:
  {"kind": "image", "stamp": [s, ns], "at": monotonic seconds, "index": in the clip, "good": bool}
"""

import argparse
import json
import sys
import threading
import time
from array import array
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mtl_split_ros.images import to_image_msg, to_rgb
from mtl_split_tools.bags import IMAGE_TYPES, open_bag
from mtl_split_tools.demo.clip import shipped_clip

FRAME_ID = 'camera'
STEP_NS = 66_666_667
_QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)
_KEPT_BYTES = 200


class Settings:
    """What the commands change. Used by the thread that reads them and by the one that publishes.

    Args:
        rate: Images a second.
    """

    def __init__(self, rate: float) -> None:
        self.changed = threading.Condition()
        self.rate = rate
        self.size: tuple[int, int] | None = None
        self.broken = self.zero = False
        self.tick = 0
        self.ended = False

    def follow(self, line: str) -> None:
        """Carry out a command.

        Raises:
            ValueError: It is none.
        """
        word, *values = line.split()
        with self.changed:
            match word, values:
                case 'rate', [rate]:
                    self.rate = max(float(rate), 0.0)
                case 'size', [width, height]:
                    self.size = (int(width), int(height))
                case 'size', []:
                    self.size = None
                case 'back', [count]:
                    self.tick -= int(count)
                case 'broken' | 'zero', ['on' | 'off' as value]:
                    setattr(self, word, value == 'on')
                case _:
                    msg = f'{line!r} is no command; see {__name__}'
                    raise ValueError(msg)
            self.changed.notify_all()

    def end(self) -> None:
        """No more commands will come."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, moment: float) -> float | None:
        """Wait for the turn of the next image.

        Args:
            moment: When the last one was due, monotonic seconds.

        Returns:
            When it was due; None at the end.
        """
        with self.changed:
            while not self.ended:
                now = time.monotonic()
                due = moment + 1 / self.rate if self.rate else float('inf')
                if now >= due:
                    # after a pause, or behind a machine that is too slow: no burst to catch up
                    return due if now - due < 1 / self.rate else now
                self.changed.wait(min(due - now, 3600.0))
            return None


class Pictures:
    """The clip, decoded or not, in the sizes that were asked for.

    Args:
        compressed: Whether it gives JPEG.
    """

    def __init__(self, compressed: bool) -> None:
        self._compressed = compressed
        self._clip: list[CompressedImage] = []
        with open_bag(shipped_clip()) as bag:
            connection = bag.image_connection()
            assert connection.msgtype == IMAGE_TYPES[0]
            for _, _, data in bag.messages([connection]):
                self._clip.append(deserialize_message(data, CompressedImage))
        self._made: dict[tuple[int, tuple[int, int] | None], NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self._clip)

    def message(
        self, index: int, size: tuple[int, int] | None, broken: bool, header: Header
    ) -> Image | CompressedImage:
        """Return a picture of the clip as a message."""
        if self._compressed:
            pixels = self._jpeg(index, size)
            kept = pixels[:_KEPT_BYTES] if broken else pixels
            return CompressedImage(header=header, format='jpeg', data=array('B', kept.tobytes()))
        message = to_image_msg(self._rgb(index, size), 'rgb8', header)
        if broken:
            message.data = message.data[:_KEPT_BYTES]
        return message

    def _rgb(self, index: int, size: tuple[int, int] | None) -> NDArray[np.uint8]:
        key = (index, size)
        if key not in self._made:
            picture = to_rgb(self._clip[index])
            self._made[key] = picture if size is None else _resized(picture, size)
        return self._made[key]

    def _jpeg(self, index: int, size: tuple[int, int] | None) -> NDArray[np.uint8]:
        key = (index, size)
        if key not in self._made:
            message = self._clip[index]
            if size is None:
                self._made[key] = np.frombuffer(message.data, np.uint8)
            else:
                bgr = cv2.cvtColor(_resized(to_rgb(message), size), cv2.COLOR_RGB2BGR)
                self._made[key] = cv2.imencode('.jpg', bgr, _QUALITY)[1].ravel()
        return self._made[key]


def publish(
    node: Node, pictures: Pictures, settings: Settings, compressed: bool, report: TextIO
) -> None:
    """Publish until the commands end."""
    kind, topic = (CompressedImage, 'image/compressed') if compressed else (Image, 'image')
    quality = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = node.create_publisher(kind, topic, quality)
    start = time.time_ns()
    number, moment = 0, 0.0
    print('ready', flush=True)
    while (due := settings.wait(moment)) is not None:
        moment = due
        with settings.changed:
            size, broken = settings.size, settings.broken
            nanoseconds = 0 if settings.zero else start + settings.tick * STEP_NS
            settings.tick += 1
        stamp = divmod(nanoseconds, 10**9)
        header = Header(frame_id=FRAME_ID)
        header.stamp.sec, header.stamp.nanosec = stamp
        index = number % len(pictures)
        message = pictures.message(index, size, broken, header)
        line = {'kind': 'image', 'stamp': stamp, 'at': time.monotonic(), 'index': index}
        report.write(json.dumps({**line, 'good': not broken}) + '\n')
        publisher.publish(message)
        number += 1


def main() -> int:
    """Publish until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rate', type=float, default=15.0)
    parser.add_argument('--transport', choices=('compressed', 'raw'), default='compressed')
    parser.add_argument('--report', type=Path, required=True)
    options = parser.parse_args()
    settings = Settings(options.rate)
    compressed = options.transport == 'compressed'
    pictures = Pictures(compressed)
    threading.Thread(target=_read, args=(settings,), daemon=True).start()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node('camera', use_global_arguments=False, enable_rosout=False)
    try:
        with options.report.open('w', buffering=1) as report:
            publish(node, pictures, settings, compressed, report)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _read(settings: Settings) -> None:
    for line in sys.stdin:
        try:
            settings.follow(line)
        except ValueError as error:
            print(f'camera: {error}', file=sys.stderr, flush=True)
    settings.end()


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == '__main__':
    sys.exit(main())
