# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the three tasks as papers count it: mIoU, COCO AP, share of right answers."""

import contextlib
import io
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mtl_split_core.errors import DataError
from mtl_split_core.results import Detections
from mtl_split_train.samples import Dataset, Sample


class DetectionMetrics(TypedDict):
    """COCO average precision, fractions; a class without a box to find is NaN."""

    map: float
    map50: float
    map50_per_class: dict[str, float]


class ConfusionMatrix:
    """Pixels counted by true class (rows) and predicted class (columns) over all frames."""

    def __init__(self, num_classes: int) -> None:
        """Start at zero; one more column counts pixels that were given no class."""
        self.counts = np.zeros((num_classes, num_classes + 1), np.int64)

    def update(self, prediction: NDArray[np.integer], label: NDArray[np.integer]) -> None:
        """Add one frame.

        Args:
            prediction: Class ids H x W; an id that is no class (255) is a pixel without answer.
            label: Class ids H x W; an id that is no class is void and not counted.
        """
        classes = len(self.counts)
        known = label < classes
        truth = label[known].astype(np.int64)
        answer = np.minimum(prediction[known].astype(np.int64), classes)
        cells = np.bincount(truth * (classes + 1) + answer, minlength=self.counts.size)
        self.counts += cells.reshape(self.counts.shape)

    def iou(self) -> NDArray[np.float64]:
        """Intersection over union per class, 0 to 1; NaN where a class never occurred."""
        hit = np.diagonal(self.counts)
        union = self.counts.sum(1) + self.counts[:, :-1].sum(0) - hit
        return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)

    def miou(self) -> float:
        """Mean of `iou` over the classes that occurred; NaN when none did."""
        iou = self.iou()
        return float(np.nanmean(iou)) if np.isfinite(iou).any() else float('nan')


def evaluate_detections(
    dataset: Dataset, detections: Sequence[Detections], class_names: Sequence[str] | None = None
) -> DetectionMetrics:
    """Score boxes with pycocotools; boxes marked iscrowd are neither missed nor false.

    Args:
        dataset: The truth.
        detections: One result per image of the dataset, in its order; those of images whose
            boxes were not labelled are not looked at.
        class_names: What the class ids of `detections` mean; the dataset's categories if None.

    Returns:
        AP averaged over IoU 0.50 to 0.95, AP at IoU 0.50, and the latter per category.

    Raises:
        DataError: Other classes than the dataset's, or not one result per image.
    """
    names = tuple(dataset.categories if class_names is None else class_names)
    if set(names) != set(dataset.categories):
        msg = (
            f'detections are of {", ".join(names)}, {dataset.path} has '
            f'{", ".join(dataset.categories)}: evaluate on data with the same classes'
        )
        raise DataError(msg)
    if len(detections) != len(dataset.images):
        msg = f'{len(detections)} results for the {len(dataset.images)} images of {dataset.path}'
        raise DataError(msg)
    pairs = zip(dataset.images, detections, strict=True)
    labelled = [(sample, result) for sample, result in pairs if sample.has_boxes]
    if not labelled:
        nothing = float('nan')
        per_class = dict.fromkeys(dataset.categories, nothing)
        return {'map': nothing, 'map50': nothing, 'map50_per_class': per_class}
    truth = COCO()
    truth.dataset = {
        'images': [{'id': number} for number in range(1, len(labelled) + 1)],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(dataset.categories)],
        'annotations': _truth([sample for sample, _ in labelled]),
    }
    found = [
        [number, *_xywh(box), score, dataset.categories.index(names[class_id])]
        for number, (_, result) in enumerate(labelled, 1)
        for box, score, class_id in zip(result.boxes, result.scores, result.class_ids, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints what it does
        truth.createIndex()
        answers = truth.loadRes(np.array(found, np.float64)) if found else COCO()
        evaluation = COCOeval(truth, answers, 'bbox')
        evaluation.params.imgIds = list(range(1, len(labelled) + 1))
        evaluation.params.catIds = list(range(len(dataset.categories)))
        # Boxes of all sizes together, the only figure that is read: a quarter of the work.
        evaluation.params.areaRng = evaluation.params.areaRng[:1]
        evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.evaluate()
        evaluation.accumulate()
    # precision: IoU threshold x recall x category x area range x limit of boxes; -1 is "no truth"
    precision = evaluation.eval['precision'][:, :, :, 0, -1]
    return {
        'map': _mean(precision),
        'map50': _mean(precision[0]),
        'map50_per_class': {
            name: _mean(precision[0, :, index]) for index, name in enumerate(dataset.categories)
        },
    }


def accuracy(predicted: Sequence[str], truth: Sequence[str | None]) -> float:
    """Share of right answers, 0 to 1; NaN without any. Frames whose truth is None do not count."""
    pairs = zip(predicted, truth, strict=True)
    right = [answer == true for answer, true in pairs if true is not None]
    return float(np.mean(right)) if right else float('nan')


def _truth(samples: Sequence[Sample]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for number, sample in enumerate(samples, 1):
        for box, class_id, crowd in zip(
            sample.boxes, sample.class_ids, sample.iscrowd, strict=True
        ):
            bbox = _xywh(box)
            rows.append(
                {
                    'id': len(rows) + 1,
                    'image_id': number,
                    'category_id': int(class_id),
                    'bbox': bbox,
                    'area': bbox[2] * bbox[3],
                    'iscrowd': int(crowd),
                }
            )
    return rows


def _xywh(box: NDArray[np.float32]) -> list[float]:
    left, top, right, bottom = (float(value) for value in box)
    return [left, top, right - left, bottom - top]


def _mean(precision: NDArray[np.float64]) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else float('nan')
