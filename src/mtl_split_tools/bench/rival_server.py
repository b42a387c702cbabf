# SPDX-License-Identifier: Apache-2.0
"""Server side of a rival: decodes what arrives and runs the whole network, or on Z_b the tail.

What it makes of a video depends on which packets came. They are kept, so that the answers can be
made again and judged elsewhere, at nobody's cost: each line of the report is
{"kind": "packet", "stamp": [s, ns], "place": [offset, size]} in the file with the suffix .packets.
"""

import argparse
import json
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import load_bundle
from mtl_split_core.encode import EncodeStage
from mtl_split_core.geometry import Letterbox
from mtl_split_core.tail import TailStage
from mtl_split_ros.diagnostics import Updater
from mtl_split_ros.images import to_rgb
from mtl_split_ros.result_topics import ResultTopics
from mtl_split_ros.spin import run
from mtl_split_ros.status import Status
from mtl_split_ros.windows import StageWindows
from mtl_split_ros.worker import NewestSlot, Worker
from mtl_split_tools.bench.rivals import RAW, TOPIC, Rival, parse_rival
from mtl_split_tools.bench.video import VideoDecoder

_THREADS = 2


@dataclass(frozen=True, slots=True)
class _Arrival:
    picture: NDArray[np.uint8] | None
    message: Image | CompressedImage
    at: float
    decode_s: float


class RivalServer(Node):
    """Answers the newest picture under the names that our server answers under.

    Args:
        rival: How pictures come.
        name: Of the bundle.
        report: Gets where the packets of a video are.
        packets: Gets the packets.
    """

    def __init__(self, rival: Rival, name: str, report: TextIO, packets: BinaryIO) -> None:
        super().__init__('server')
        self._rival, self._report, self._packets = rival, report, packets
        self._bundle = bundle = load_bundle(name)
        options = BackendOptions(_THREADS)
        encoder = load_network(bundle.encoder_path, options=options)
        tail = load_network(bundle.tail_path, options=options)
        self._encode = EncodeStage(bundle, encoder)
        self._encode.warm_up()
        self._tail = TailStage(bundle, tail, encoder=encoder)
        self._tail.warm_up()
        self._topics = ResultTopics(self, bundle, overlay=False)
        self._decoder = VideoDecoder(rival.codec) if rival.codec else None
        self._stages = StageWindows()
        self._answered = 0
        self._slot: NewestSlot[_Arrival] = NewestSlot()
        self._worker = Worker(self._slot, self._answer, self._failed)
        kind: type = Image if rival.name == RAW else CompressedImage
        self.create_subscription(kind, TOPIC, self._on_picture, QoSProfile(depth=rival.depth))
        Updater(self, socket.gethostname(), 1.0).add('results', self._fill)
        self._worker.start()
        print('ready', flush=True)

    def destroy_node(self) -> None:
        """Join the worker first."""
        self._worker.stop()
        super().destroy_node()  # type: ignore[no-untyped-call]

    def _on_picture(self, message: Image | CompressedImage) -> None:
        at = time.monotonic()
        picture = None
        if self._decoder:
            # in their order, all of them: each builds on the one before
            data = bytes(message.data)
            self._write(message, data)
            picture = self._decoder.decode(data)
            if picture is None:
                return
        self._slot.put(_Arrival(picture, message, at, time.monotonic() - at))

    def _answer(self, arrival: _Arrival) -> None:
        started, header = time.monotonic(), arrival.message.header
        message = arrival.message
        if self._rival.floats:
            z = np.frombuffer(message.data, self._rival.name).astype(np.float32)
            width, height = map(int, message.format.split())
            letterbox = Letterbox.fit(
                width, height, self._bundle.input.width, self._bundle.input.height
            )
            features = z.reshape(self._bundle.feature_shape), letterbox
            converted = encoded = time.monotonic()
        else:
            picture = to_rgb(message) if arrival.picture is None else arrival.picture
            converted = time.monotonic()
            features = self._encode.features(picture)
            encoded = time.monotonic()
        results = self._tail.run_features(*features)
        finished = time.monotonic()
        self._topics.publish(results, 'name', header)
        times = {
            'wait': started - arrival.at - arrival.decode_s,
            'decode': arrival.decode_s + converted - started,
            'encoder': encoded - converted,
            'tail': finished - encoded,
            'publish': time.monotonic() - finished,
        }
        self._stages.add({name: seconds * 1e3 for name, seconds in times.items()})
        self._answered += 1

    def _write(self, message: Image | CompressedImage, data: bytes) -> None:
        stamp, place = message.header.stamp, (self._packets.tell(), len(data))
        self._packets.write(data)
        line = {'kind': 'packet', 'stamp': (stamp.sec, stamp.nanosec), 'place': place}
        self._report.write(json.dumps(line) + '\n')

    def _failed(self, error: Exception) -> None:
        self.get_logger().error(f'picture dropped: {error}')  # type: ignore[no-untyped-call]

    def _fill(self, status: Status) -> None:
        status.add('answered', self._answered)
        status.values += [*self._stages.values()]


def main() -> int:
    """Run it until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--way', required=True, type=parse_rival)
    parser.add_argument('--bundle', required=True)
    parser.add_argument('--report', type=Path, required=True)
    options = parser.parse_args()
    path: Path = options.report
    with (
        path.open('w', buffering=1) as report,
        path.with_suffix('.packets').open('wb', buffering=0) as packets,
    ):

        def load() -> Callable[[], Node]:
            return lambda: RivalServer(options.way, options.bundle, report, packets)

        return run('server', load, [])


if __name__ == '__main__':
    sys.exit(main())
