# SPDX-License-Identifier: Apache-2.0
"""Server side of a rival: decodes what arrives and runs the whole network, or on Z_b the tail.

Each line of the report is an answer: {"kind": "answer", "stamp": [s, ns]} with boxes, scores and
classes; the mask is appended to the file of the report with the suffix .masks.
"""

import argparse
import json
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import TaskType, load_bundle
from mtl_split_core.encode import EncodeStage
from mtl_split_core.geometry import Letterbox
from mtl_split_core.results import FrameResults
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
from mtl_split_tools.evaluation import SCORE_THRESHOLD

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
        report: Gets the answers.
        masks: Gets the masks.
    """

    def __init__(self, rival: Rival, name: str, report: TextIO, masks: BinaryIO) -> None:
        super().__init__('server')
        self._rival, self._report, self._masks = rival, report, masks
        self._bundle = bundle = load_bundle(name)
        options = BackendOptions(_THREADS)
        encoder = load_network(bundle.encoder_path, options=options)
        tail = load_network(bundle.tail_path, options=options)
        self._encode = EncodeStage(bundle, encoder)
        self._encode.warm_up()
        # all that counts in the precision-recall curve is written down, what is sure is published
        self._tail = TailStage(bundle, tail, encoder=encoder, score_threshold=SCORE_THRESHOLD)
        self._tail.warm_up()
        detection = bundle.task(TaskType.DETECTION)
        self._threshold = detection.score_threshold if detection else 0.0
        self._topics = ResultTopics(self, bundle, overlay=False)
        self._decoder = VideoDecoder(rival.codec) if rival.codec else None
        self._stages = StageWindows()
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
            picture = self._decoder.decode(bytes(message.data))
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
        self._topics.publish(self._sure(results), 'name', header)
        times = {
            'wait': started - arrival.at - arrival.decode_s,
            'decode': arrival.decode_s + converted - started,
            'encoder': encoded - converted,
            'tail': finished - encoded,
            'publish': time.monotonic() - finished,
        }
        self._stages.add({name: seconds * 1e3 for name, seconds in times.items()})
        self._write(header, results)

    def _sure(self, results: FrameResults) -> FrameResults:
        boxes = results.detections
        if boxes is None:
            return results
        sure = boxes.scores >= self._threshold
        kept = type(boxes)(boxes.boxes[sure], boxes.scores[sure], boxes.class_ids[sure])
        return replace(results, detections=kept)

    def _write(self, header: Header, results: FrameResults) -> None:
        line: dict[str, object] = {
            'kind': 'answer',
            'stamp': (header.stamp.sec, header.stamp.nanosec),
        }
        if results.detections is not None:
            line['boxes'] = results.detections.boxes.tolist()
            line['scores'] = results.detections.scores.tolist()
            line['class_ids'] = results.detections.class_ids.tolist()
        if results.segmentation is not None:
            mask = results.segmentation.mask
            line['mask'] = (self._masks.tell(), *mask.shape)
            self._masks.write(mask.tobytes())
        line['tasks'] = {one.task: one.scores.tolist() for one in results.classifications}
        self._report.write(json.dumps(line) + '\n')

    def _failed(self, error: Exception) -> None:
        self.get_logger().error(f'picture dropped: {error}')  # type: ignore[no-untyped-call]

    def _fill(self, status: Status) -> None:
        status.values += [*self._stages.values()]


def main() -> int:
    """Run it until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--way', required=True, type=parse_rival)
    parser.add_argument('--bundle', required=True)
    parser.add_argument('--report', type=Path, required=True)
    options = parser.parse_args()
    path: Path = options.report
    with path.open('w', buffering=1) as report, path.with_suffix('.masks').open('wb') as masks:

        def load() -> Callable[[], Node]:
            return lambda: RivalServer(options.way, options.bundle, report, masks)

        return run('server', load, [])


if __name__ == '__main__':
    sys.exit(main())
