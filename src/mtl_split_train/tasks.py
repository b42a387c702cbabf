# SPDX-License-Identifier: Apache-2.0
"""The tasks as a bundle describes them: names, classes and the colours that people see."""

import colorsys
from collections.abc import Sequence
from typing import Any

from mtl_split_train.samples import Classes

#: CamVid's own colours (Brostow, Fauqueur, Cipolla 2009), which its users know; the first ones of
#: any other data set too.
_SEGMENTATION_COLORS = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
#: Saturated, so that a box stands out from the mask below it.
_BOX_COLORS = ((255, 64, 64), (255, 214, 0), (0, 200, 255), (120, 255, 80))
_ATTRIBUTE_COLORS = ((255, 220, 120), (90, 110, 200))
#: Where precision and recall balance on CamVid val; average precision is measured from lower on.
SCORE_THRESHOLD = 0.5
NMS_IOU = 0.4
MAX_DETECTIONS = 100


def describe_tasks(classes: Classes) -> list[dict[str, Any]]:
    """Return the ``tasks`` list of bundle.yaml, without the absent ones."""
    tasks: list[dict[str, Any]] = []
    if classes.detection:
        tasks.append(
            {
                'name': 'detection',
                'type': 'detection',
                'classes': _classes(classes.detection, _BOX_COLORS),
                'score_threshold': SCORE_THRESHOLD,
                'nms_iou': NMS_IOU,
                'max_detections': MAX_DETECTIONS,
            }
        )
    if classes.segmentation:
        tasks.append(
            {
                'name': 'segmentation',
                'type': 'segmentation',
                'classes': _classes(classes.segmentation, _SEGMENTATION_COLORS),
            }
        )
    if classes.values:
        tasks.append(
            {
                'name': classes.attribute,
                'type': 'classification',
                'classes': _classes(classes.values, _ATTRIBUTE_COLORS),
            }
        )
    return tasks


def _classes(names: Sequence[str], colors: Sequence[tuple[int, int, int]]) -> list[dict[str, Any]]:
    return [
        {'name': name, 'color': list(colors[index] if index < len(colors) else _color(index))}
        for index, name in enumerate(names)
    ]


def _color(index: int) -> tuple[int, int, int]:
    """Return a colour whose hue is far from those of the indices before (golden ratio steps)."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1.0, 0.75, 0.9 - 0.3 * (index % 2))
    return round(255 * red), round(255 * green), round(255 * blue)
