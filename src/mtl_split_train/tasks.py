# SPDX-License-Identifier: Apache-2.0
"""The tasks as a bundle describes them: names, classes and the colours that people see."""

from collections.abc import Sequence
from typing import Any

from mtl_split_train.dataset import SEGMENTATION_CLASSES, TIME_OF_DAY

#: CamVid's own colours (Brostow, Fauqueur, Cipolla 2009), which its users know.
_SEGMENTATION_COLORS = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
#: Saturated, so that a box stands out from the mask below it.
_BOX_COLORS = ((255, 64, 64), (255, 214, 0), (0, 200, 255), (120, 255, 80))
_ATTRIBUTE_COLORS = ((255, 220, 120), (90, 110, 200))
SCORE_THRESHOLD = 0.3
NMS_IOU = 0.5
MAX_DETECTIONS = 100


def describe_tasks(detection_classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the ``tasks`` list of bundle.yaml."""
    return [
        {
            'name': 'detection',
            'type': 'detection',
            'classes': _classes(detection_classes, _BOX_COLORS),
            'score_threshold': SCORE_THRESHOLD,
            'nms_iou': NMS_IOU,
            'max_detections': MAX_DETECTIONS,
        },
        {
            'name': 'segmentation',
            'type': 'segmentation',
            'classes': _classes(SEGMENTATION_CLASSES, _SEGMENTATION_COLORS),
        },
        {
            'name': 'time_of_day',
            'type': 'classification',
            'classes': _classes(TIME_OF_DAY, _ATTRIBUTE_COLORS),
        },
    ]


def _classes(names: Sequence[str], colors: Sequence[tuple[int, int, int]]) -> list[dict[str, Any]]:
    return [
        {'name': name, 'color': list(colors[index % len(colors)])}
        for index, name in enumerate(names)
    ]
