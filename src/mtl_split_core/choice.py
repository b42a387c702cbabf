# SPDX-License-Identifier: Apache-2.0
"""What of the answers is wanted: thresholds per class, classes, and a smoother mask."""

import math
from collections.abc import Collection, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle_schema import TaskInfo
from mtl_split_core.errors import MtlSplitError

NEVER = np.float32(2)
"""Threshold of a class that is left out; no score is above 1."""

LARGEST_SMOOTHING = 31


def parse_thresholds(entries: Sequence[str]) -> dict[str, float]:
    """Read thresholds as a person types them.

    Args:
        entries: Each 'NAME:VALUE', as in 'car:0.5'; a name may hold colons itself.

    Returns:
        Threshold by class name, 0 to 1.

    Raises:
        MtlSplitError: Names the entry and what is expected.
    """
    thresholds: dict[str, float] = {}
    for entry in entries:
        name, _, text = entry.rpartition(':')
        name = name.strip()
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not name or not 0 <= value <= 1:
            msg = f'{entry!r} is no threshold: write NAME:VALUE with a value of 0 to 1, as car:0.5'
            raise MtlSplitError(msg)
        if name in thresholds:
            msg = f'class {name!r} has two thresholds: give one'
            raise MtlSplitError(msg)
        thresholds[name] = value
    return thresholds


def class_thresholds(
    task: TaskInfo, score_threshold: float, by_class: Mapping[str, float], classes: Collection[str]
) -> NDArray[np.float32]:
    """Bring the three settings of the boxes together.

    Args:
        task: The detection task.
        score_threshold: Of the classes without one of their own; negative takes the task's.
        by_class: Threshold by class name.
        classes: Names of the classes that are wanted; empty for all.

    Returns:
        Smallest score by class, float32 [K]; NEVER where a class is left out.

    Raises:
        MtlSplitError: The task has no class of such a name.
    """
    known = [info.name for info in task.classes]
    for name in (*by_class, *classes):
        if name not in known:
            msg = f'{task.name} has no class {name!r}; it has: {", ".join(known)}'
            raise MtlSplitError(msg)
    default = score_threshold if score_threshold >= 0 else task.score_threshold
    return np.array(
        [
            by_class.get(name, default) if not classes or name in classes else NEVER
            for name in known
        ],
        np.float32,
    )


def check_smoothing(size: int) -> None:
    """Refuse a window without a centre.

    Raises:
        MtlSplitError: Names the size and those that work.
    """
    if size and not (size % 2 and 3 <= size <= LARGEST_SMOOTHING):
        msg = (
            f'a window of {size} pixels cannot smooth the mask: give an odd size of 3 to '
            f'{LARGEST_SMOOTHING}, or 0 for none'
        )
        raise MtlSplitError(msg)


def smooth_mask(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Give each pixel the class that most pixels of the window around it have.

    This is the mode filter (L. D. Griffin, "Mean, median and mode filtering of images", Proc. R.
    Soc. Lond. A 456, 2000, doi:10.1098/rspa.2000.0650). A median would need an order: between
    classes 2 and 8 it may answer 5, which nobody saw.

    Args:
        mask: uint8 [H, W], class ids.
        size: Side of the square window, odd.

    Returns:
        uint8 [H, W]; where classes are equally frequent, the pixel keeps its own if it is one of
        them, else takes the smallest id.
    """
    smooth = mask.copy()
    most = np.zeros(mask.shape, np.uint16)
    for label in np.unique(mask).tolist():
        own = (mask == label).astype(np.uint8)
        # Twice the count and one for the pixel's own class, so that ties leave it as it is.
        votes = cv2.boxFilter(
            own, cv2.CV_16U, (size, size), normalize=False, borderType=cv2.BORDER_REPLICATE
        )
        votes = np.asarray(votes, np.uint16) * np.uint16(2) + own
        better = votes > most
        smooth[better] = label
        most[better] = votes[better]
    return smooth
