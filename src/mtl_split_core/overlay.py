# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: results drawn over the image, class masks in colour."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle, TaskInfo, TaskType
from mtl_split_core.errors import ImageError
from mtl_split_core.results import UNLABELLED, Classification, Detections, FrameResults

MASK_WEIGHT = 0.45
"""Share of the class colour in a pixel of the overlay."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE = (255, 255, 255)
_BLACK = (0, 0, 0)
_BASE_HEIGHT = 720.0


def colorize(mask: NDArray[np.uint8], task: TaskInfo) -> NDArray[np.uint8]:
    """Paint each class in its colour.

    Args:
        mask: uint8 [H, W], class ids; an id without a class stays black.
        task: Segmentation task.

    Returns:
        RGB, uint8 [H, W, 3].
    """
    palette = np.zeros((256, 3), np.uint8)
    for info in task.classes:
        palette[info.id] = info.color
    return palette[mask]


def draw_overlay(
    image: NDArray[np.uint8], results: FrameResults, bundle: Bundle
) -> NDArray[np.uint8]:
    """Draw mask, boxes and labels over an image, and the names of the classes in the mask.

    Args:
        image: RGB, uint8 [H, W, 3], the source image of the results.
        results: What to draw.
        bundle: Bundle with the names and colours.

    Returns:
        RGB, uint8 [H, W, 3], a new picture.

    Raises:
        ImageError: The mask has another size than the image.
    """
    canvas = image.copy()
    # Text of a fixed size would be unreadable on a large picture and cover a small one.
    scale = max(0.36, 0.36 + 0.4 * (image.shape[0] - 360) / _BASE_HEIGHT)
    segmentation = bundle.task(TaskType.SEGMENTATION)
    if results.segmentation and segmentation:
        mask = results.segmentation.mask
        if mask.shape != image.shape[:2]:
            msg = f'mask of {mask.shape[::-1]} does not fit an image of {image.shape[1::-1]}'
            raise ImageError(msg)
        color = colorize(mask, segmentation)
        blended = cv2.addWeighted(image, 1 - MASK_WEIGHT, color, MASK_WEIGHT, 0)
        np.copyto(canvas, blended, where=(mask != UNLABELLED)[..., np.newaxis])
        _draw_legend(canvas, mask, segmentation, scale)
    detection = bundle.task(TaskType.DETECTION)
    if results.detections and detection:
        _draw_boxes(canvas, results.detections, detection, scale)
    for row, result in enumerate(results.classifications):
        task = next(task for task in bundle.classifications if task.name == result.task)
        _draw_banner(canvas, result, task, row, scale)
    return canvas


def _draw_boxes(
    canvas: NDArray[np.uint8], detections: Detections, task: TaskInfo, scale: float
) -> None:
    thickness = max(1, round(3 * scale))
    corners = np.rint(detections.boxes).astype(int).tolist()
    # The best box is drawn last, on top.
    for (x1, y1, x2, y2), score, class_id in reversed(
        list(zip(corners, detections.scores, detections.class_ids.tolist(), strict=True))
    ):
        info = task.classes[class_id]
        # A dark rim keeps the box visible on a mask of the same colour.
        cv2.rectangle(canvas, (x1, y1), (x2, y2), _BLACK, thickness + 2)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), info.color, thickness)
        _draw_label(canvas, f'{info.name} {score:.2f}', (x1, y1), info.color, scale)


def _draw_legend(
    canvas: NDArray[np.uint8], mask: NDArray[np.uint8], task: TaskInfo, scale: float
) -> None:
    """Name the classes that the mask has, at the left below, each in its colour.

    Each has a place of its own, so that nothing jumps in a video. A picture that is too small for
    all of them has none.
    """
    names = [info.name for info in task.classes]
    sizes = [cv2.getTextSize(name, _FONT, scale, 1) for name in names]
    row = max(height + baseline for (_, height), baseline in sizes) + 4
    widest = max(width for (width, _), _ in sizes)
    if row * len(names) > canvas.shape[0] * 2 / 3 or widest > canvas.shape[1] / 3:
        return
    pixels = cv2.calcHist([mask], [0], None, [256], [0, 256])
    for place, info in enumerate(reversed(task.classes)):
        if pixels[info.id]:
            bottom = canvas.shape[0] - 2 - place * row
            _draw_label(canvas, info.name, (2, bottom), info.color, scale)


def _draw_banner(
    canvas: NDArray[np.uint8], result: Classification, task: TaskInfo, row: int, scale: float
) -> None:
    best = task.classes[result.ranking()[0]]
    text = f'{task.name.replace("_", " ")}: {best.name} {result.scores[best.id]:.2f}'
    (_, height), baseline = cv2.getTextSize(text, _FONT, scale * 1.2, 1)
    bottom = (row + 1) * (height + baseline + 6) + 2
    _draw_label(canvas, text, (4, bottom), best.color, scale * 1.2)


def _draw_label(
    canvas: NDArray[np.uint8],
    text: str,
    bottom_left: tuple[int, int],
    color: tuple[int, int, int],
    scale: float,
) -> None:
    """Write text on a filled box, moved so that it lies inside the picture."""
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, 1)
    full = height + baseline + 2
    x = max(0, min(bottom_left[0], canvas.shape[1] - width - 4))
    y = max(full, min(bottom_left[1], canvas.shape[0]))
    cv2.rectangle(canvas, (x, y - full), (x + width + 4, y), color, cv2.FILLED)
    red, green, blue = color
    ink = _BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else _WHITE
    cv2.putText(canvas, text, (x + 2, y - baseline), _FONT, scale, ink, 1, cv2.LINE_AA)
