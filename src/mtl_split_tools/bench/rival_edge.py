# SPDX-License-Identifier: Apache-2.0
"""Camera side of a rival: takes the newest image, sends it raw, as video, or Z_b as floats."""

import argparse
import socket
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass

from mtl_split.msg import FrameStatus
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import load_bundle
from mtl_split_core.encode import EncodeStage
from mtl_split_edge.fates import Outcome
from mtl_split_ros.diagnostics import Updater
from mtl_split_ros.images import to_image_msg, to_rgb
from mtl_split_ros.qos import image_profile, status_profile
from mtl_split_ros.spin import run
from mtl_split_ros.status import Status
from mtl_split_ros.windows import StageWindows
from mtl_split_ros.worker import NewestSlot, Worker
from mtl_split_tools.bench.rivals import RAW, TOPIC, Rival, parse_rival
from mtl_split_tools.bench.video import VideoEncoder

FPS = 15


@dataclass(frozen=True, slots=True)
class _Arrival:
    message: CompressedImage
    at: float


class RivalEdge(Node):
    """Sends images; tells of each what it weighed, as the edge does.

    Args:
        rival: How.
        bundle: Name of what makes Z_b.
    """

    def __init__(self, rival: Rival, bundle: str) -> None:
        super().__init__('edge')
        self._rival = rival
        self._stage: EncodeStage | None = None
        if rival.floats:
            found = load_bundle(bundle)
            self._stage = EncodeStage(found, load_network(found.encoder_path))
            self._stage.warm_up()
        self._encoder: VideoEncoder | None = None
        self._stages = StageWindows()
        self._sent = 0
        kind: type = Image if rival.name == RAW else CompressedImage
        quality = QoSProfile(depth=rival.depth)
        self._sender: Publisher = self.create_publisher(kind, TOPIC, quality)
        self._statuses = self.create_publisher(FrameStatus, 'frame_status', status_profile())
        self._slot: NewestSlot[_Arrival] = NewestSlot()
        self._worker = Worker(self._slot, self._send, self._failed)
        self.create_subscription(
            CompressedImage, 'image/compressed', self._on_image, image_profile()
        )
        Updater(self, socket.gethostname(), 1.0).add('features', self._fill)
        self._worker.start()
        print('ready', flush=True)

    def destroy_node(self) -> None:
        """Join the worker first."""
        self._worker.stop()
        super().destroy_node()  # type: ignore[no-untyped-call]

    def _on_image(self, message: CompressedImage) -> None:
        self._slot.put(_Arrival(message, time.monotonic()))

    def _send(self, arrival: _Arrival) -> None:
        started, header = time.monotonic(), arrival.message.header
        picture = to_rgb(arrival.message)
        converted = time.monotonic()
        message: Image | CompressedImage
        if self._rival.codec:
            if self._encoder is None:
                height, width = picture.shape[:2]
                quality = self._rival.quality
                self._encoder = VideoEncoder(self._rival.codec, quality, width, height, FPS)
            data = array('B', self._encoder.encode(picture))
            message = CompressedImage(header=header, format=self._rival.codec, data=data)
        elif self._stage:
            z, _ = self._stage.features(picture)
            data = array('B', z.astype(self._rival.name).tobytes())
            height, width = picture.shape[:2]
            message = CompressedImage(header=header, format=f'{width} {height}', data=data)
        else:
            message = to_image_msg(picture, 'rgb8', header)
        encoded = time.monotonic()
        # first: on a full link the next call may wait
        self._statuses.publish(
            FrameStatus(
                header=header,
                outcome=int(Outcome.MISSED),
                mode='rival',
                way=self._rival.name,
                reason='no answer is reported to a rival',
                bytes=len(message.data),
            )
        )
        self._sender.publish(message)
        times = {
            'wait': started - arrival.at,
            'convert': converted - started,
            'encode': encoded - converted,
            'publish': time.monotonic() - encoded,
        }
        self._stages.add({name: seconds * 1e3 for name, seconds in times.items()})
        self._sent += 1

    def _failed(self, error: Exception) -> None:
        self.get_logger().error(f'image dropped: {error}')  # type: ignore[no-untyped-call]

    def _fill(self, status: Status) -> None:
        status.add('sent', self._sent)
        status.values += [*self._stages.values()]


def main() -> int:
    """Run it until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--way', required=True, type=parse_rival)
    parser.add_argument('--bundle', required=True)
    options = parser.parse_args()

    def load() -> Callable[[], Node]:
        return lambda: RivalEdge(options.way, options.bundle)

    return run('edge', load, [])


if __name__ == '__main__':
    sys.exit(main())
