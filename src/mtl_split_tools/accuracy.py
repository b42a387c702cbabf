# SPDX-License-Identifier: Apache-2.0
"""Accuracy of results against a data folder, the same for `eval` and `demo`."""

from dataclasses import dataclass, field, replace
from typing import TypedDict

import numpy as np

from mtl_split_core.bundle import Bundle, TaskInfo, TaskType
from mtl_split_core.errors import DataError
from mtl_split_core.results import Detections, FrameResults
from mtl_split_train.dataset import Dataset, Sample
from mtl_split_train.metrics import ConfusionMatrix, accuracy, evaluate_detections


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
    confusion: ConfusionMatrix = field(init=False)
    _samples: list[Sample] = field(default_factory=list)
    _detections: list[Detections] = field(default_factory=list)
    _answers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        classes = self.dataset.classes
        self.confusion = ConfusionMatrix(len(classes.segmentation))
        for task, known in (
            (self._detection, sorted(classes.detection)),
            (self._segmentation, list(classes.segmentation)),
            (self._attribute, sorted(classes.values)),
        ):
            names = [info.name for info in task.classes] if task else []
            if task is not self._segmentation:
                names.sort()
            # A task that the data has no labels for is not measured.
            if task and known and names != known:
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
        if results.segmentation is not None and sample.label_map is not None:
            label, mask = sample.label(), results.segmentation.mask
            if mask.shape != label.shape:
                msg = (
                    f'{sample.label_map.path} is {label.shape[1]}x{label.shape[0]}, the frame is '
                    f'{mask.shape[1]}x{mask.shape[0]}: label maps have the size of the pictures'
                )
                raise DataError(msg)
            self.confusion.update(mask, label)
        if results.detections is not None:
            self._detections.append(results.detections)
        for answer in results.classifications:
            if self._attribute and answer.task == self._attribute.name:
                self._answers.append(self._attribute.classes[answer.ranking()[0]].name)

    def metrics(self) -> Metrics:
        """Return what was measured over all frames so far."""
        iou: dict[str, float | None] = {}
        miou = average = average50 = right = None
        per_class: dict[str, float | None] = {}
        classes = self.dataset.classes
        if self._segmentation and classes.segmentation and self._samples:
            values = self.confusion.iou()
            iou = dict(zip(classes.segmentation, map(_known, values.tolist()), strict=True))
            miou = _known(self.confusion.miou())
        found_all = len(self._detections) == len(self._samples) > 0
        if self._detection and classes.detection and found_all:
            seen = replace(self.dataset, images=self._samples)
            names = [info.name for info in self._detection.classes]
            found = evaluate_detections(seen, self._detections, names)
            average, average50 = _known(found['map']), _known(found['map50'])
            per_class = {name: _known(value) for name, value in found['map50_per_class'].items()}
        if self._attribute and len(self._answers) == len(self._samples):
            right = _known(accuracy(self._answers, [s.attribute for s in self._samples]))
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
        name = self.dataset.classes.attribute
        return next((t for t in self.bundle.classifications if t.name == name), None)


def _known(value: float) -> float | None:
    """Return None for NaN, which JSON does not know."""
    return float(value) if np.isfinite(value) else None
