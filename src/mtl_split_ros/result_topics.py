# SPDX-License-Identifier: Apache-2.0
"""The standard perception topics of a bundle: which there are, and publishing one frame on them."""

import time

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.overlay import colorize
from mtl_split_core.results import FrameResults
from mtl_split_ros.images import to_image_msg
from mtl_split_ros.qos import latched_profile, make_publisher, results_profile
from mtl_split_ros.result_messages import label_messages, result_messages, result_types


class ResultTopics:
    """Publishers of the tasks that the bundle has; owned by the worker."""

    def __init__(self, node: Node, bundle: Bundle, *, overlay: bool = True) -> None:
        """Create the publishers.

        The first classification task goes to `classification`, each further one to
        `classification/TASK`.

        Args:
            node: Publishes.
            bundle: Gives the tasks.
            overlay: Whether there is an `overlay`, too.
        """
        self._node = node
        self._bundle = bundle
        self._segmentation = bundle.task(TaskType.SEGMENTATION)
        self._results = {
            topic: self._publisher(message, topic)
            for topic, message in result_types(bundle).items()
        }
        self._color = self._publisher(Image, 'segmentation/color') if self._segmentation else None
        self._labels = {
            topic: make_publisher(node, LabelInfo, topic, latched_profile())
            for topic, _ in label_messages(bundle, 0.0, Time())
        }
        self._overlay = self._publisher(Image, 'overlay') if overlay else None

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
        """Publish the results of one frame.

        Args:
            results: In source pixels.
            class_id: 'name' or 'index'.
            header: Of the source image, goes out as it is.
        """
        for topic, message in result_messages(results, self._bundle, class_id, header):
            self._results[topic].publish(message)
        found = results.segmentation
        if self._segmentation and self._color and found and self._color.get_subscription_count():
            color = colorize(found.mask, self._segmentation)
            self._color.publish(to_image_msg(color, 'rgb8', header))

    def publish_overlay(self, picture: NDArray[np.uint8], header: Header) -> None:
        """Publish a drawn overlay, uint8 HxWx3."""
        assert self._overlay is not None
        self._overlay.publish(to_image_msg(picture, 'rgb8', header))

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

    def _publisher(self, message: type, topic: str) -> Publisher:
        return make_publisher(self._node, message, topic, results_profile())
