# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.results import Classification, Detections
from mtl_split_ros.convert import classification_msg, detections_msg, label_info_msg

HEADER = Header(stamp=Time(sec=7, nanosec=8), frame_id='front')


def test_detections(tiny_bundle: Bundle) -> None:
    task = tiny_bundle.task(TaskType.DETECTION)
    assert task
    detections = Detections(
        np.array([[10, 20, 30, 60], [0, 0, 5, 5]], np.float32),
        np.array([0.75, 0.5], np.float32),
        np.array([1, 0], np.int32),
    )
    message = detections_msg(detections, task, 'name', HEADER)
    assert message.header == HEADER
    first = message.detections[0]
    assert first.header == HEADER
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (20, 40)
    assert (first.bbox.size_x, first.bbox.size_y, first.bbox.center.theta) == (20, 40, 0)
    assert first.results[0].hypothesis.class_id == task.classes[1].name
    assert first.results[0].hypothesis.score == 0.75
    by_index = detections_msg(detections, task, 'index', HEADER)
    assert [d.results[0].hypothesis.class_id for d in by_index.detections] == ['1', '0']


@pytest.mark.parametrize('style', ['name', 'index'])
def test_classification_is_best_first(tiny_bundle: Bundle, style: str) -> None:
    task = tiny_bundle.classifications[0]
    message = classification_msg(
        Classification(task.name, np.array([0.25, 0.75], np.float32)), task, style, HEADER
    )
    names = [task.classes[1].name, task.classes[0].name] if style == 'name' else ['1', '0']
    assert message.header == HEADER
    assert [(r.class_id, r.score) for r in message.results] == list(
        zip(names, [0.75, 0.25], strict=True)
    )


def test_label_info(tiny_bundle: Bundle) -> None:
    task = tiny_bundle.task(TaskType.SEGMENTATION)
    assert task
    message = label_info_msg(task, 0.5, Time(sec=3))
    assert message.header.stamp.sec == 3
    assert message.threshold == 0.5
    assert [(c.class_id, c.class_name) for c in message.class_map] == [
        (info.id, info.name) for info in task.classes
    ]
