# SPDX-License-Identifier: Apache-2.0
"""The standard perception topics of a bundle: which there are, and publishing one frame on them."""

import time
from collections import Counter

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.overlay import colorize
from mtl_split_core.results import FrameResults
from mtl_split_ros.images import to_image_msg
from mtl_split_ros.qos import latched_profile, make_publisher, results_profile
from mtl_split_ros.result_messages import (
    DETECTIONS,
    MASK,
    classification_topics,
    label_messages,
    result_messages,
    result_types,
)
from mtl_split_ros.status import Status

COLOR = 'segmentation/color'
_HEADER_BYTES = 200  # of the packets of a message, and the heartbeat that asks whether it arrived


class ResultTopics:
    """Publishers of the tasks that the bundle has; owned by the worker."""

    def __init__(
        self, node: Node, bundle: Bundle, *, overlay: bool = True, prefix: str = ''
    ) -> None:
        """Create the publishers.

        The first classification task goes to `classification`, each further one to
        `classification/TASK`.

        Args:
            node: Publishes.
            bundle: Gives the tasks.
            overlay: Whether there is an `overlay`, too.
            prefix: Goes before each name, as in 'front/'.
        """
        self._node = node
        self._prefix = prefix
        self._published: Counter[str] = Counter()
        self._computed: Counter[str] = Counter()
        self._results: dict[str, Publisher] = {}
        self._labels: dict[str, Publisher] = {}
        self._color: Publisher | None = None
        self.take_over(bundle)
        self._overlay = self._publisher(Image, 'overlay') if overlay else None

    def take_over(self, bundle: Bundle) -> None:
        """Publish for another bundle: topics of tasks that it has, too, stay as they are.

        Args:
            bundle: Gives the tasks.
        """
        self._bundle = bundle
        self._segmentation = bundle.task(TaskType.SEGMENTATION)
        types = result_types(bundle)
        self._drop_all_but(set(types), self._results)
        for topic, message in types.items():
            if topic not in self._results:
                self._results[topic] = self._publisher(message, topic)
        labels = [topic for topic, _ in label_messages(bundle, 0.0, Time())]
        self._drop_all_but(set(labels), self._labels)
        for topic in labels:
            if topic not in self._labels:
                self._labels[topic] = make_publisher(
                    self._node, LabelInfo, self._prefix + topic, latched_profile()
                )
        if self._segmentation and self._color is None:
            self._color = self._publisher(Image, COLOR)
        elif self._color and not self._segmentation:
            self._node.destroy_publisher(self._color)
            self._color = None

    def wanted(self) -> frozenset[str]:
        """Names of the tasks whose results somebody subscribes; the others need not be made."""
        bundle = self._bundle
        if self.overlay_wanted:
            return frozenset(task.name for task in bundle.tasks)
        topics = classification_topics(bundle)
        detection, segmentation = bundle.task(TaskType.DETECTION), self._segmentation
        read = self._read()
        names = {name for name, topic in topics.items() if topic in read}
        if detection and DETECTIONS in read:
            names.add(detection.name)
        if segmentation and {MASK, COLOR} & read:
            names.add(segmentation.name)
        return frozenset(names)

    @property
    def overlay_wanted(self) -> bool:
        """Whether somebody subscribes `overlay`."""
        return self._overlay is not None and self._overlay.get_subscription_count() > 0

    def announce_labels(self, score_threshold: float) -> None:
        """Publish the latched label info.

        Args:
            score_threshold: In force for the detections, 0 to 1.
        """
        now = self._node.get_clock().now().to_msg()
        for topic, message in label_messages(self._bundle, score_threshold, now):
            self._labels[topic].publish(message)

    def publish(self, results: FrameResults, class_id: str, header: Header) -> None:
        """Publish the results of one frame on the topics that somebody subscribes.

        Args:
            results: In source pixels.
            class_id: 'name' or 'index'.
            header: Of the source image, goes out as it is.
        """
        self._computed.update(self._tasks_of(results))
        read = self._read()
        for topic, message in result_messages(results, self._bundle, class_id, header, read):
            self._results[topic].publish(message)
            self._published[topic] += 1
        found = results.segmentation
        if self._segmentation and self._color and found and COLOR in read:
            color = colorize(found.mask, self._segmentation)
            self._color.publish(to_image_msg(color, 'rgb8', header))
            self._published[COLOR] += 1

    def size_of(self, results: FrameResults, class_id: str, header: Header) -> int:
        """Return the bytes on the wire of what publish() would publish, without the pictures.

        Args:
            results: In source pixels.
            class_id: 'name' or 'index'.
            header: Of the source image.
        """
        read = self._read() - {MASK, COLOR}
        messages = result_messages(results, self._bundle, class_id, header, read)
        return sum(len(serialize_message(message)) + _HEADER_BYTES for _, message in messages)

    def publish_overlay(self, picture: NDArray[np.uint8], header: Header) -> None:
        """Publish a drawn overlay, uint8 HxWx3."""
        assert self._overlay is not None
        self._overlay.publish(to_image_msg(picture, 'rgb8', header))

    def fill(self, status: Status) -> None:
        """Diagnostics: results by task and messages by topic; what nobody subscribes has none."""
        for task in self._bundle.tasks:
            status.add(f'computed {task.name}', self._computed[task.name])
        for topic in (*self._results, *([COLOR] if self._color else [])):
            status.add(f'published {topic}', self._published[topic])

    def wait_until_taken(self, timeout_s: float) -> bool:
        """Wait until every reliable subscriber has what was published.

        Args:
            timeout_s: For how long at most, over all topics together.

        Returns:
            Whether they have.
        """
        end = time.monotonic() + timeout_s
        publishers = [*self._results.values(), *([self._color] if self._color else [])]
        return all(
            publisher.wait_for_all_acked(Duration(seconds=max(0.0, end - time.monotonic())))
            for publisher in publishers
        )

    def _tasks_of(self, results: FrameResults) -> list[str]:
        names = [result.task for result in results.classifications]
        detection = self._bundle.task(TaskType.DETECTION)
        if detection and results.detections is not None:
            names.append(detection.name)
        if self._segmentation and results.segmentation is not None:
            names.append(self._segmentation.name)
        return names

    def _read(self) -> set[str]:
        """Topics that have a subscription now."""
        color = {COLOR: self._color} if self._color else {}
        return {
            topic
            for topic, publisher in (self._results | color).items()
            if publisher.get_subscription_count()
        }

    def _drop_all_but(self, topics: set[str], publishers: dict[str, Publisher]) -> None:
        for topic in [topic for topic in publishers if topic not in topics]:
            self._node.destroy_publisher(publishers.pop(topic))

    def _publisher(self, message: type, topic: str) -> Publisher:
        return make_publisher(self._node, message, self._prefix + topic, results_profile())
