# SPDX-License-Identifier: Apache-2.0
"""Perception results as standard ROS messages, all with the source image's own header."""

from builtin_interfaces.msg import Time
from std_msgs.msg import Header
from vision_msgs.msg import (
    Classification as ClassificationMsg,
)
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    LabelInfo,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    VisionClass,
)

from mtl_split_core.bundle_schema import ClassInfo, TaskInfo
from mtl_split_core.results import Classification, Detections


def class_id(info: ClassInfo, style: str) -> str:
    """What goes into a message's `class_id`.

    Args:
        info: The class.
        style: 'name' or 'index'.
    """
    return info.name if style == 'name' else str(info.id)


def detections_msg(
    detections: Detections, task: TaskInfo, style: str, header: Header
) -> Detection2DArray:
    """Boxes in source pixels.

    Args:
        detections: Best first.
        task: The detection task, for its class names.
        style: 'name' or 'index' for class_id.
        header: Of the source image.
    """
    message = Detection2DArray(header=header)
    names = [class_id(info, style) for info in task.classes]
    for box, score, label in zip(
        detections.boxes.tolist(),
        detections.scores.tolist(),
        detections.class_ids.tolist(),
        strict=True,
    ):
        left, top, right, bottom = box
        detection = Detection2D(header=header)
        detection.bbox.center.position.x = (left + right) / 2
        detection.bbox.center.position.y = (top + bottom) / 2
        detection.bbox.size_x = right - left
        detection.bbox.size_y = bottom - top
        result = ObjectHypothesisWithPose()
        result.hypothesis = ObjectHypothesis(class_id=names[label], score=score)
        detection.results.append(result)
        message.detections.append(detection)
    return message


def classification_msg(
    classification: Classification, task: TaskInfo, style: str, header: Header
) -> ClassificationMsg:
    """One result per class of the attribute, best first."""
    message = ClassificationMsg(header=header)
    for label in classification.ranking():
        message.results.append(
            ObjectHypothesis(
                class_id=class_id(task.classes[label], style),
                score=float(classification.scores[label]),
            )
        )
    return message


def label_info_msg(task: TaskInfo, threshold: float, stamp: Time) -> LabelInfo:
    """What the class ids of a task mean.

    Args:
        task: A detection or segmentation task.
        threshold: Score below which nothing is published; 0 for a segmentation.
        stamp: When the server became ready.
    """
    message = LabelInfo(threshold=threshold)
    message.header.stamp = stamp
    message.class_map = [
        VisionClass(class_id=info.id, class_name=info.name) for info in task.classes
    ]
    return message
