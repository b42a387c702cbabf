# SPDX-License-Identifier: Apache-2.0
"""Accuracy of results against a data folder, the same for `eval` and `demo`."""

from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np

from mtl_split_core.bundle import Bundle, TaskInfo, TaskType
from mtl_split_core.errors import DataError
from mtl_split_core.results import Detections, FrameResults
from mtl_split_train.dataset import SEGMENTATION_CLASSES, TIME_OF_DAY, Dataset, Sample
from mtl_split_train.metrics import ConfusionMatrix, accuracy, evaluate_detections

ATTRIBUTE = 'time_of_day'


class Metrics(TypedDict):
    """Fractions, 0 to 1; None where the bundle has no such task or nothing was measured."""

    miou: float | None
    iou: dict[str, float | None]
    map50: float | None
    map: float | None
    map50_per_class: dict[str, float | None]
    accuracy: float | None


@dataclass(slots=True)
class AccuracyMeter:
    """Collects results frame by frame.

    Args:
        dataset: The truth.
        bundle: Says what the class ids of the results mean.

    Raises:
        DataError: A task of the bundle has other classes than the data.
    """

    dataset: Dataset
    bundle: Bundle
    confusion: ConfusionMatrix = field(
        default_factory=lambda: ConfusionMatrix(len(SEGMENTATION_CLASSES))
    )
    _samples: list[Sample] = field(default_factory=list)
    _detections: list[Detections] = field(default_factory=list)
    _answers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for task, known in (
            (self._detection, sorted(self.dataset.categories)),
            (self._segmentation, list(SEGMENTATION_CLASSES)),
            (self._attribute, sorted(TIME_OF_DAY)),
        ):
            names = [info.name for info in task.classes] if task else known
            if task and (names if task is self._segmentation else sorted(names)) != known:
                msg = (
                    f'bundle {self.bundle.name} has {task.name} classes {", ".join(names)}, '
                    f'{self.dataset.path} has {", ".join(known)}: they must be the same'
                )
                raise DataError(msg)

    def add(self, sample: Sample, results: FrameResults) -> None:
        """Add one frame.

        Raises:
            DataError: The mask has another size than the label map.
        """
        self._samples.append(sample)
        if results.segmentation is not None:
            label, mask = sample.label(), results.segmentation.mask
            if mask.shape != label.shape:
                msg = (
                    f'{sample.label_path} is {label.shape[1]}x{label.shape[0]}, the frame is '
                    f'{mask.shape[1]}x{mask.shape[0]}: label maps have the size of the pictures'
                )
                raise DataError(msg)
            self.confusion.update(mask, label)
        if results.detections is not None:
            self._detections.append(results.detections)
        for answer in results.classifications:
            if self._attribute and answer.task == ATTRIBUTE:
                self._answers.append(self._attribute.classes[answer.ranking()[0]].name)

    def metrics(self) -> Metrics:
        """Return what was measured over all frames so far."""
        iou: dict[str, float | None] = {}
        miou = average = average50 = right = None
        per_class: dict[str, float | None] = {}
        if self._segmentation and self._samples:
            values = self.confusion.iou()
            iou = dict(zip(SEGMENTATION_CLASSES, map(_known, values.tolist()), strict=True))
            miou = _known(self.confusion.miou())
        if self._detection and len(self._detections) == len(self._samples) > 0:
            seen = Dataset(self.dataset.path, self._samples, self.dataset.categories)
            names = [info.name for info in self._detection.classes]
            found = evaluate_detections(seen, self._detections, names)
            average, average50 = _known(found['map']), _known(found['map50'])
            per_class = {name: _known(value) for name, value in found['map50_per_class'].items()}
        if self._attribute and len(self._answers) == len(self._samples):
            right = _known(accuracy(self._answers, [s.time_of_day for s in self._samples]))
        return {
            'miou': miou,
            'iou': iou,
            'map50': average50,
            'map': average,
            'map50_per_class': per_class,
            'accuracy': right,
        }

    @property
    def _detection(self) -> TaskInfo | None:
        return self.bundle.task(TaskType.DETECTION)

    @property
    def _segmentation(self) -> TaskInfo | None:
        return self.bundle.task(TaskType.SEGMENTATION)

    @property
    def _attribute(self) -> TaskInfo | None:
        return next((t for t in self.bundle.classifications if t.name == ATTRIBUTE), None)


def _known(value: float) -> float | None:
    """Return None for NaN, which JSON does not know."""
    return float(value) if np.isfinite(value) else None
