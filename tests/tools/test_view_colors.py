# SPDX-License-Identifier: Apache-2.0
"""The colours of `mtl-split view` are the bundle's, in whatever order latched topics came."""

from pathlib import Path

import pytest

pytest.importorskip('mtl_split.msg', reason='the workspace is not sourced')
pytest.importorskip('rerun', reason='the view group is not installed')

from builtin_interfaces.msg import Time
from mtl_split.msg import SplitContract
from sensor_msgs.msg import Image
from tests.tools.recordings import header, write_messages
from tests.tools.test_view import save
from vision_msgs.msg import LabelInfo, VisionClass

from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_ros.packets import contract_msg


def test_labels_before_the_contract(tmp_path: Path, tiny_bundle: Bundle) -> None:
    """The page keeps the first colours that it gets, so there may be no other ones before."""
    task = tiny_bundle.task(TaskType.SEGMENTATION)
    assert task
    labels = LabelInfo(
        class_map=[VisionClass(class_id=info.id, class_name=info.name) for info in task.classes]
    )
    contract: SplitContract = contract_msg(tiny_bundle, 1, Time())
    contract.bundle = str(tiny_bundle.path)
    mask = Image(header=header(0), height=1, width=2, step=2, encoding='mono8', data=bytes(2))
    picture = Image(header=header(0), height=1, width=2, step=6, encoding='rgb8', data=bytes(6))
    entries = [
        ('/front/image', 10**9, picture),
        ('/front/segmentation/label_info', 10**9, labels),
        ('/front/contract', 2 * 10**9, contract),
        ('/front/segmentation/mask', 3 * 10**9, mask),
    ]
    rows = save(tmp_path, write_messages(tmp_path / 'bag', entries))
    context, *_ = rows.single('camera/mask', 'AnnotationContext:context')
    first = context[0]['class_description']['info']
    red, green, blue = task.classes[0].color
    assert first['color'] == red << 24 | green << 16 | blue << 8 | 255
