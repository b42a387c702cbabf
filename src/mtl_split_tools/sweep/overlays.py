# SPDX-License-Identifier: Apache-2.0
"""Answers from Z_b above answers from a JPEG of the same bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.overlay import draw_overlay
from mtl_split_core.results import Classification, Detections, FrameResults, Segmentation
from mtl_split_tools.console import kilobytes
from mtl_split_tools.evaluation import Stages, Transport
from mtl_split_train.dataset import VOID, Dataset, Sample

TARGETS = (1000, 2000, 4000, 8000)
"""Bytes of the columns; each takes the rate that comes nearest."""

_SHRINKS = (1, 2, 4, 8)
_LEAST_QUALITY = 10
_WIDTH = 360
_BAR = 24
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class _Cell:
    title: str
    picture: NDArray[np.uint8]


def choose_frame(dataset: Dataset) -> int:
    """Return the frame with most kinds of boxes, of these the one with most boxes."""

    def worth(sample: Sample) -> tuple[int, int]:
        clear = sample.class_ids[~sample.iscrowd]
        return len(np.unique(clear)), len(clear)

    return max(range(len(dataset.images)), key=lambda number: worth(dataset.images[number]))


def nearest_rates(bundle: Bundle, sizes: Sequence[float]) -> list[int]:
    """Return which rates to show, each once.

    Args:
        bundle: The bundle.
        sizes: Mean bytes by rate.
    """
    logs = np.log(sizes)
    nearest = {int(np.argmin(np.abs(logs - np.log(target)))) for target in TARGETS}
    return sorted(nearest & set(range(len(bundle.rates))))


def side_by_side(
    bundle: Bundle,
    stages: Stages,
    dataset: Dataset,
    sample: Sample,
    image: NDArray[np.uint8],
    rates: Sequence[int],
) -> NDArray[np.uint8]:
    """Draw what both ways answer for one picture at the same bytes.

    Args:
        bundle: The bundle.
        stages: Its halves; boxes are drawn from the bundle's score on.
        dataset: Whose classes the sample has.
        sample: The truth.
        image: RGB, uint8 [H, W, 3].
        rates: Rates to show, one per column.

    Returns:
        RGB: the picture and its truth, then Z_b above JPEG, one column per rate.
    """
    detection = bundle.task(TaskType.DETECTION)
    before = stages.tail.score_threshold
    stages.tail.score_threshold = detection.score_threshold if detection else None
    truth = draw_overlay(image, _truth(bundle, dataset, sample), bundle)
    columns = [[_Cell('camera picture', image), _Cell('truth', truth)]]
    for rate in rates:
        packet = stages.encode.encode(image, rate, CodecId.ENTROPY, 0)
        answer = stages.tail.run(packet)
        size = len(packet.payload)
        transport, data = _picture_of(image, size)
        seen = transport.decode(data, image.shape[1], image.shape[0])
        other = stages.tail.run_features(*stages.encode.features(seen))
        smaller = f' at 1/{transport.shrink} size' if transport.shrink > 1 else ''
        columns.append(
            [
                _Cell(
                    f'Z_b, {kilobytes(size)}{_right(answer, sample)}',
                    draw_overlay(image, answer, bundle),
                ),
                _Cell(
                    f'JPEG{smaller}, {kilobytes(len(data))}{_right(other, sample)}',
                    draw_overlay(seen, other, bundle),
                ),
            ]
        )
    stages.tail.score_threshold = before
    return np.hstack([np.vstack([_titled(cell) for cell in column]) for column in columns])


def _picture_of(image: NDArray[np.uint8], size: int) -> tuple[Transport, bytes]:
    """Return the largest JPEG of useful quality within `size` bytes, or the smallest there is."""
    for shrink in _SHRINKS:
        for quality in range(95, _LEAST_QUALITY - 1, -1):
            transport = Transport('jpeg', quality, shrink)
            data = transport.encode(image)
            if len(data) <= size:
                return transport, data
    return transport, data


def _right(results: FrameResults, sample: Sample) -> str:
    if results.segmentation is None or sample.label_map is None:
        return ''
    label = sample.label()
    known = label != VOID
    share = np.mean(results.segmentation.mask[known] == label[known]) if known.any() else np.nan
    return f': {share:.0%} of pixels right'


def _truth(bundle: Bundle, dataset: Dataset, sample: Sample) -> FrameResults:
    """Return the labels as an answer that is sure of everything."""
    detections = segmentation = None
    classifications = []
    if (task := bundle.task(TaskType.DETECTION)) and sample.has_boxes:
        ids = {info.name: info.id for info in task.classes}
        clear = ~sample.iscrowd
        names = [dataset.classes.detection[index] for index in sample.class_ids[clear]]
        detections = Detections(
            sample.boxes[clear],
            np.ones(len(names), np.float32),
            np.array([ids[name] for name in names], np.int32),
        )
    if bundle.task(TaskType.SEGMENTATION) and sample.label_map:
        segmentation = Segmentation(sample.label())
    for task in bundle.classifications:
        if task.name == dataset.classes.attribute and sample.attribute is not None:
            sure = [float(info.name == sample.attribute) for info in task.classes]
            classifications.append(Classification(task.name, np.array(sure, np.float32)))
    return FrameResults(detections, segmentation, tuple(classifications), {})


def _titled(cell: _Cell) -> NDArray[np.uint8]:
    height, width = cell.picture.shape[:2]
    size = (_WIDTH, round(height * _WIDTH / width))
    picture = cv2.resize(cell.picture, size, interpolation=cv2.INTER_AREA)
    bar = np.full((_BAR, _WIDTH, 3), 255, np.uint8)
    cv2.putText(bar, cell.title, (2, 17), _FONT, 0.43, (0, 0, 0), 1, cv2.LINE_AA)
    return np.pad(np.vstack([bar, picture]), ((0, 4), (2, 2), (0, 0)), constant_values=255)
