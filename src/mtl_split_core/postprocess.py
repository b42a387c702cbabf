# SPDX-License-Identifier: Apache-2.0
"""From the raw outputs of the tail to results in pixels of the source image."""

from collections.abc import Collection, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.backend import fits
from mtl_split_core.bundle import Bundle, TaskInfo, TaskType
from mtl_split_core.choice import smooth_mask
from mtl_split_core.errors import BundleError, PacketError, RefusalReason
from mtl_split_core.geometry import Letterbox
from mtl_split_core.results import Classification, Detections, FrameResults, Segmentation

MAX_CANDIDATES = 1000
"""Most boxes that enter non-maximum suppression; bounds its time whatever the features say."""

Outputs = Mapping[str, NDArray[Any]]

Threshold = float | NDArray[np.float32]
"""Smallest score, 0 to 1: one for all classes or one for each, float32 [K]."""


def output_names(bundle: Bundle) -> tuple[str, ...]:
    """Return the outputs that the tail of a bundle must have.

    Args:
        bundle: Bundle whose tasks to look at.
    """
    names: list[str] = []
    for task in bundle.tasks:
        match task.type:
            case TaskType.DETECTION:
                names += ['boxes', 'scores']
            case TaskType.SEGMENTATION:
                names.append('mask')
            case TaskType.CLASSIFICATION:
                names.append(task.name)
    return tuple(names)


def postprocess(
    outputs: Outputs,
    letterbox: Letterbox,
    bundle: Bundle,
    score_threshold: Threshold | None = None,
    *,
    mask_smoothing: int = 0,
    wanted: Collection[str] | None = None,
) -> FrameResults:
    """Turn tail outputs into results.

    Args:
        outputs: Array by output name, as the bundle format says.
        letterbox: Where the source image lies in the network input.
        bundle: Bundle of the tail.
        score_threshold: Smallest score of a box; the bundle's when None.
        mask_smoothing: Side of the window of the mode filter, pixels of the network's input; 0
            leaves the mask as it is.
        wanted: Names of the tasks whose results somebody reads, the outputs of the others are not
            looked at; None for all.

    Returns:
        The results, without times.

    Raises:
        BundleError: An output has another shape or type than the bundle says.
        PacketError: PAYLOAD, when the features drive the network to values that are not finite.
    """

    def asked(task: TaskInfo | None) -> TaskInfo | None:
        return task if task and (wanted is None or task.name in wanted) else None

    detection = asked(bundle.task(TaskType.DETECTION))
    segmentation = asked(bundle.task(TaskType.SEGMENTATION))
    return FrameResults(
        _detections(outputs, letterbox, detection, score_threshold) if detection else None,
        _segmentation(outputs, letterbox, mask_smoothing) if segmentation else None,
        tuple(_classification(outputs, task) for task in bundle.classifications if asked(task)),
        {},
    )


def select_boxes(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    letterbox: Letterbox,
    score_threshold: Threshold,
    nms_iou: float,
    max_detections: int,
) -> Detections:
    """Keep the boxes that are an answer: score, area, non-maximum suppression per class.

    Args:
        boxes: float32 [N, 4], x1 y1 x2 y2 in input pixels, of any value.
        scores: float32 [N, K], of any value.
        letterbox: Where the source image lies in the network input.
        score_threshold: Smallest score.
        nms_iou: Overlap from which the weaker of two boxes of a class is dropped, 0 to 1.
        max_detections: Most boxes.

    Returns:
        The boxes in source pixels, best first.
    """
    # A comparison with NaN is false, so such scores drop out here.
    rows, columns = np.nonzero((scores >= score_threshold) & (scores <= 1))
    best = np.argsort(-scores[rows, columns], kind='stable')[:MAX_CANDIDATES]
    rows, class_ids = rows[best], columns[best].astype(np.int32)
    # Boxes wholly in the border, inside out or not finite come out without area.
    with np.errstate(invalid='ignore', over='ignore'):
        chosen = letterbox.boxes_to_source(boxes[rows])
        sides = chosen[:, 2:] - chosen[:, :2]
    valid = (sides > 0).all(axis=1) & np.isfinite(boxes[rows]).all(axis=1)
    chosen, sides, class_ids = chosen[valid], sides[valid], class_ids[valid]
    chosen_scores = scores[rows[valid], class_ids]
    kept = np.array(
        cv2.dnn.NMSBoxesBatched(
            np.hstack([chosen[:, :2], sides]).astype(np.float64),  # type: ignore[arg-type]
            chosen_scores,  # type: ignore[arg-type]
            class_ids,  # type: ignore[arg-type]
            0.0,
            nms_iou,
        ),
        np.intp,
    ).ravel()
    kept = np.sort(kept)[:max_detections]
    return Detections(chosen[kept], chosen_scores[kept], class_ids[kept])


def _detections(
    outputs: Outputs, letterbox: Letterbox, task: TaskInfo, score_threshold: Threshold | None
) -> Detections:
    threshold = task.score_threshold if score_threshold is None else score_threshold
    scores = _checked(outputs, 'scores', np.float32, (None, len(task.classes)))
    boxes = _checked(outputs, 'boxes', np.float32, (len(scores), 4))
    return select_boxes(boxes, scores, letterbox, threshold, task.nms_iou, task.max_detections)


def _segmentation(outputs: Outputs, letterbox: Letterbox, smoothing: int) -> Segmentation:
    shape = (letterbox.input_height, letterbox.input_width)
    mask = _checked(outputs, 'mask', np.uint8, shape)
    if smoothing:
        # What the network says of the border around the picture has no vote.
        top, left = letterbox.top, letterbox.left
        bottom, right = top + letterbox.scaled_height, left + letterbox.scaled_width
        inner = smooth_mask(mask[top:bottom, left:right], smoothing)
        mask = mask.copy()
        mask[top:bottom, left:right] = inner
    return Segmentation(letterbox.mask_to_source(mask))


def _classification(outputs: Outputs, task: TaskInfo) -> Classification:
    scores = _checked(outputs, task.name, np.float32, (len(task.classes),))
    if not np.isfinite(scores).all():
        msg = f'the features give {task.name} no finite probabilities'
        raise PacketError(RefusalReason.PAYLOAD, msg)
    try:
        return Classification(task.name, scores)
    except ValueError as error:
        msg = f'tail output {task.name}: {error}: export the bundle again'
        raise BundleError(msg) from error


def _checked(
    outputs: Outputs, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]
) -> NDArray[Any]:
    array = outputs[name]
    if array.dtype != dtype or not fits(array.shape, shape):
        wanted = ['N' if size is None else size for size in shape]
        msg = (
            f'tail output {name} is {array.dtype} {list(array.shape)}, expected '
            f'{np.dtype(dtype)} {wanted}: export the bundle again'
        )
        raise BundleError(msg)
    return array
