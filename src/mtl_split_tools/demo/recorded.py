# SPDX-License-Identifier: Apache-2.0
"""Results read back from the recording: what travelled over the topics, nothing else."""

import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mtl_split.msg import FeatureMap
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification as ClassificationMsg
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle, TaskInfo, TaskType
from mtl_split_core.results import Classification, Detections, FrameResults, Segmentation
from mtl_split_tools.bags import message_stamp, open_bag
from mtl_split_tools.demo.clip import Stamp
from mtl_split_tools.demo.run import result_topics

EDGE_STAGES = ('wait', 'convert', 'letterbox', 'encode', 'entropy')


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """Payload in bytes and stage times in ms of one FeatureMap."""

    size: int
    times: dict[str, float]


@dataclass(slots=True)
class RecordedResults:
    """Frames with all their results; masks stay compressed until they are asked for."""

    bundle: Bundle
    features: dict[Stamp, FeatureFacts] = field(default_factory=dict)
    _messages: dict[Stamp, dict[str, bytes]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, bundle: Bundle) -> 'RecordedResults':
        """Read a results.mcap.

        Raises:
            DataError: It cannot be read.
        """
        found = cls(bundle)
        wanted = result_topics(bundle)
        with open_bag(path) as bag:
            connections = [c for c in bag.connections if c.topic in (*wanted, '/features')]
            for connection, _, data in bag.messages(connections):
                stamp = message_stamp(data)
                if connection.topic == '/features':
                    found.features[stamp] = _feature_facts(data)
                else:
                    packed = found._messages.setdefault(stamp, {})
                    packed[connection.topic] = zlib.compress(data, 1)
        found._messages = {s: m for s, m in found._messages.items() if len(m) == len(wanted)}
        return found

    def __len__(self) -> int:
        """Return the number of frames with all results."""
        return len(self._messages)

    @property
    def stamps(self) -> list[Stamp]:
        """Stamps of the frames with all results."""
        return list(self._messages)

    def get(self, stamp: Stamp) -> FrameResults | None:
        """Return the results of a frame; None where it has not got all."""
        packed = self._messages.get(stamp)
        if packed is None:
            return None
        data = {topic: zlib.decompress(bytes_) for topic, bytes_ in packed.items()}
        boxes, pixels = self.bundle.task(TaskType.DETECTION), data.get('/segmentation/mask')
        attributes = [topic for topic in result_topics(self.bundle) if 'classification' in topic]
        return FrameResults(
            detections=_detections(data['/detections'], boxes) if boxes else None,
            segmentation=_segmentation(pixels) if pixels is not None else None,
            classifications=tuple(
                _classification(data[topic], task)
                for topic, task in zip(attributes, self.bundle.classifications, strict=True)
            ),
            times={},
        )


def _feature_facts(data: bytes) -> FeatureFacts:
    message = deserialize_message(data, FeatureMap)
    times = {stage: getattr(message, f'{stage}_us') / 1e3 for stage in EDGE_STAGES}
    return FeatureFacts(len(message.data), times)


def _detections(data: bytes, task: TaskInfo) -> Detections:
    ids = {info.name: info.id for info in task.classes}
    found = deserialize_message(data, Detection2DArray).detections
    centres = [(d.bbox.center.position.x, d.bbox.center.position.y) for d in found]
    sizes = [(d.bbox.size_x, d.bbox.size_y) for d in found]
    centre = np.array(centres, np.float32).reshape(-1, 2)
    half = np.array(sizes, np.float32).reshape(-1, 2) / 2
    best = [d.results[0].hypothesis for d in found]
    return Detections(
        np.concatenate([centre - half, centre + half], axis=1),
        np.array([hypothesis.score for hypothesis in best], np.float32),
        np.array([ids[hypothesis.class_id] for hypothesis in best], np.int32),
    )


def _segmentation(data: bytes) -> Segmentation:
    image = deserialize_message(data, Image)
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
    return Segmentation(rows[:, : image.width])


def _classification(data: bytes, task: TaskInfo) -> Classification:
    scores = {r.class_id: r.score for r in deserialize_message(data, ClassificationMsg).results}
    return Classification(
        task.name, np.array([scores[info.name] for info in task.classes], np.float32)
    )
