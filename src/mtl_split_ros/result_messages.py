# SPDX-License-Identifier: Apache-2.0
"""The results of one frame as messages with their topics; the nodes and recordings share this."""

from collections.abc import Collection, Iterator
from typing import Any

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo

from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.results import FrameResults
from mtl_split_ros.convert import classification_msg, detections_msg, label_info_msg
from mtl_split_ros.images import to_image_msg

DETECTIONS, MASK = 'detections', 'segmentation/mask'


def classification_topics(bundle: Bundle) -> dict[str, str]:
    """Return the topic of each classification task, the first without the name of its task."""
    names = [task.name for task in bundle.classifications]
    return {
        name: f'classification/{name}' if i else 'classification' for i, name in enumerate(names)
    }


def result_types(bundle: Bundle) -> dict[str, type]:
    """Return the topics that answer every frame, and their types."""
    types: dict[str, type] = {}
    if bundle.task(TaskType.DETECTION):
        types[DETECTIONS] = Detection2DArray
    types.update(dict.fromkeys(classification_topics(bundle).values(), Classification))
    if bundle.task(TaskType.SEGMENTATION):
        types[MASK] = Image
    return types


def result_messages(
    results: FrameResults,
    bundle: Bundle,
    class_id: str,
    header: Header,
    topics: Collection[str] | None = None,
) -> Iterator[tuple[str, Any]]:
    """Make the messages of one frame.

    Args:
        results: In source pixels.
        bundle: Gives the tasks.
        class_id: 'name' or 'index'.
        header: Of the source image, goes out as it is.
        topics: Those for which to make messages; None for all.

    Yields:
        Topic and message, in the order of publishing: the small ones first.
    """

    def asked(topic: str) -> bool:
        return topics is None or topic in topics

    detection = bundle.task(TaskType.DETECTION)
    if detection and results.detections is not None and asked(DETECTIONS):
        yield DETECTIONS, detections_msg(results.detections, detection, class_id, header)
    names = classification_topics(bundle)
    tasks = {task.name: task for task in bundle.classifications}
    for result in results.classifications:
        if asked(names[result.task]):
            message = classification_msg(result, tasks[result.task], class_id, header)
            yield names[result.task], message
    if bundle.task(TaskType.SEGMENTATION) and results.segmentation is not None and asked(MASK):
        yield MASK, to_image_msg(results.segmentation.mask, 'mono8', header)


def label_messages(
    bundle: Bundle, score_threshold: float, stamp: Time
) -> Iterator[tuple[str, LabelInfo]]:
    """Make the latched messages that say what the class ids mean.

    Args:
        bundle: Gives the tasks.
        score_threshold: In force for the detections, 0 to 1.
        stamp: When they came into force.

    Yields:
        Topic and message.
    """
    if task := bundle.task(TaskType.DETECTION):
        yield 'detections/label_info', label_info_msg(task, score_threshold, stamp)
    if task := bundle.task(TaskType.SEGMENTATION):
        yield 'segmentation/label_info', label_info_msg(task, 0.0, stamp)
