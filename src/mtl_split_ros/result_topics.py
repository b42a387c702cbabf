# SPDX-License-Identifier: Apache-2.0
"""The standard perception topics of a bundle: which there are, and publishing one frame on them."""

import time

import numpy as np
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo

from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.overlay import colorize
from mtl_split_core.results import FrameResults
from mtl_split_ros.convert import classification_msg, detections_msg, label_info_msg
from mtl_split_ros.images import to_image_msg
from mtl_split_ros.qos import latched_profile, make_publisher, results_profile


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
        self._detection = bundle.task(TaskType.DETECTION)
        self._segmentation = bundle.task(TaskType.SEGMENTATION)
        self._attributes = {task.name: task for task in bundle.classifications}
        if self._detection:
            self._boxes = self._publisher(Detection2DArray, 'detections')
            self._box_labels = self._latched('detections/label_info')
        if self._segmentation:
            self._mask = self._publisher(Image, 'segmentation/mask')
            self._color = self._publisher(Image, 'segmentation/color')
            self._mask_labels = self._latched('segmentation/label_info')
        self._classes = {
            name: self._publisher(
                Classification, f'classification/{name}' if i else 'classification'
            )
            for i, name in enumerate(self._attributes)
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
        if self._detection:
            self._box_labels.publish(label_info_msg(self._detection, score_threshold, now))
        if self._segmentation:
            self._mask_labels.publish(label_info_msg(self._segmentation, 0.0, now))

    def publish(self, results: FrameResults, class_id: str, header: Header) -> None:
        """Publish the results of one frame.

        Args:
            results: In source pixels.
            class_id: 'name' or 'index'.
            header: Of the source image, goes out as it is.
        """
        if self._detection and results.detections is not None:
            self._boxes.publish(
                detections_msg(results.detections, self._detection, class_id, header)
            )
        for result in results.classifications:
            task = self._attributes[result.task]
            self._classes[result.task].publish(classification_msg(result, task, class_id, header))
        if self._segmentation and results.segmentation is not None:
            mask = results.segmentation.mask
            self._mask.publish(to_image_msg(mask, 'mono8', header))
            if self._color.get_subscription_count():
                color = colorize(mask, self._segmentation)
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
        publishers = [self._boxes] if self._detection else []
        publishers += [self._mask, self._color] if self._segmentation else []
        return all(
            publisher.wait_for_all_acked(Duration(seconds=max(0.0, end - time.monotonic())))
            for publisher in (*publishers, *self._classes.values())
        )

    def _publisher(self, message: type, topic: str) -> Publisher:
        return make_publisher(self._node, message, topic, results_profile())

    def _latched(self, topic: str) -> Publisher:
        return make_publisher(self._node, LabelInfo, topic, latched_profile())
