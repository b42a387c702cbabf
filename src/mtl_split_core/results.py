# SPDX-License-Identifier: Apache-2.0
"""What the tail says about one frame, in pixels of the source image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.timing import StageTimes

UNLABELLED = 255
"""Mask value of a pixel without a class."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes of one frame, best first.

    Args:
        boxes: float32 [N, 4], x1 y1 x2 y2, source pixels, x1 <= x2 and y1 <= y2.
        scores: float32 [N], 0 to 1, descending.
        class_ids: int32 [N], index into the classes of the detection task.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]

    def __post_init__(self) -> None:
        count = len(self.scores)
        _check_array('boxes', self.boxes, np.float32, (count, 4))
        _check_array('scores', self.scores, np.float32, (count,))
        _check_array('class_ids', self.class_ids, np.int32, (count,))
        if count == 0:
            return
        if not np.isfinite(self.boxes).all() or (self.boxes[:, :2] > self.boxes[:, 2:]).any():
            msg = 'boxes must be finite with x1 <= x2 and y1 <= y2'
            raise ValueError(msg)
        # Written so that a NaN fails too.
        if not (self.scores[0] <= 1 and self.scores[-1] >= 0 and (np.diff(self.scores) <= 0).all()):
            msg = 'scores must be 0 to 1, best first'
            raise ValueError(msg)
        if self.class_ids.min() < 0:
            msg = f'class_ids must be at least 0, one is {self.class_ids.min()}'
            raise ValueError(msg)

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """Class of each pixel.

    Args:
        mask: uint8 [H, W] at source size, class ids, 255 unlabelled.
    """

    mask: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.mask.ndim != 2:
            msg = f'mask has shape {list(self.mask.shape)}, expected [H, W]'
            raise ValueError(msg)
        _check_array('mask', self.mask, np.uint8, self.mask.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """Probabilities of one attribute of the whole image.

    Args:
        task: Name of the task.
        scores: float32 [K], probabilities in class order, sum 1.
    """

    task: str
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check_array('scores', self.scores, np.float32, (max(1, self.scores.size),))
        # A softmax in half precision is that far off.
        if not (self.scores.min() >= 0 and abs(float(self.scores.sum()) - 1) < 1e-2):
            msg = f'scores of {self.task} must be probabilities with sum 1'
            raise ValueError(msg)

    def ranking(self) -> list[int]:
        """Return the class ids, best first; equal scores keep class order."""
        order: list[int] = np.argsort(-self.scores, kind='stable').tolist()
        return order


@dataclass(frozen=True, slots=True, eq=False)
class FrameResults:
    """Everything the tail says about one frame.

    Args:
        detections: None when the bundle has no detection task, or nobody asked.
        segmentation: None when the bundle has no segmentation task, or nobody asked.
        classifications: One per classification task that was asked for, in the order of the bundle.
        times: Durations of the stages that made it.
    """

    detections: Detections | None
    segmentation: Segmentation | None
    classifications: tuple[Classification, ...]
    times: StageTimes


def _check_array(
    name: str, array: NDArray[np.generic], dtype: type[np.generic], shape: tuple[int, ...]
) -> None:
    if array.dtype != dtype or array.shape != shape:
        msg = (
            f'{name} is {array.dtype} {list(array.shape)}, expected {np.dtype(dtype)} {list(shape)}'
        )
        raise ValueError(msg)
