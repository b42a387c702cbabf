# SPDX-License-Identifier: Apache-2.0
"""The figure of each task over validation frames, in pixels of their source."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import mtl_split_train.vision  # noqa: F401  (torchmetrics imports torchvision)

from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex  # isort: skip
from torchmetrics.detection import MeanAveragePrecision  # isort: skip

from mtl_split_core.geometry import Letterbox
from mtl_split_core.postprocess import select_boxes
from mtl_split_train.data import NO_ATTRIBUTE, Batch
from mtl_split_train.samples import VOID, Classes
from mtl_split_train.tasks import MAX_DETECTIONS, NMS_IOU

#: Boxes from this score on count in the precision-recall curve.
MEASURED_SCORE = 0.05


class TaskMeters(nn.Module):
    """Counts answers against labels.

    Args:
        classes: Of the data.
    """

    def __init__(self, classes: Classes) -> None:
        super().__init__()
        self.classes = classes
        sizes = classes.sizes()
        self.miou = MulticlassJaccardIndex(max(2, sizes['segmentation']), ignore_index=VOID)
        self.map = MeanAveragePrecision(iou_type='bbox')
        self.accuracy = MulticlassAccuracy(max(2, sizes['classification']), average='micro')

    def update(self, answers: Mapping[str, NDArray[Any]], batch: Batch) -> None:
        """Count one frame.

        Args:
            answers: What tail.onnx would give, by output.
            batch: The frame: its picture as the network saw it, its labels in source pixels.
        """
        height, width = batch.images.shape[-2:]
        device = batch.labels.device
        letterbox = Letterbox.fit(batch.labels.shape[-1], batch.labels.shape[-2], width, height)
        if 'mask' in answers and (batch.labels != VOID).any():
            mask = letterbox.mask_to_source(answers['mask'].astype(np.uint8))
            self.miou.update(torch.from_numpy(mask)[None].to(device), batch.labels)
        if 'boxes' in answers and batch.boxed[0]:
            found = select_boxes(
                answers['boxes'],
                answers['scores'],
                letterbox,
                MEASURED_SCORE,
                NMS_IOU,
                MAX_DETECTIONS,
            )
            self.map.update(
                [{
                    'boxes': torch.from_numpy(found.boxes),
                    'scores': torch.from_numpy(found.scores),
                    'labels': torch.from_numpy(found.class_ids).long(),
                }],
                [box_truth(batch.targets[0])],
            )  # fmt: skip
        if self.classes.attribute in answers and batch.attribute[0] != NO_ATTRIBUTE:
            shares = torch.from_numpy(answers[self.classes.attribute]).to(device)
            self.accuracy.update(shares[None].float(), batch.attribute)

    def compute(self) -> dict[str, Tensor]:
        """Return the figure of each task that the data has, 0 to 1, and start anew."""
        found: dict[str, Tensor] = {}
        if self.classes.segmentation:
            found['val/miou'] = self.miou.compute()
        if self.classes.detection:
            found['val/map50'] = self.map.compute()['map_50'].clamp_min(0)
        if self.classes.values:
            found['val/accuracy'] = self.accuracy.compute()
        for metric in (self.miou, self.map, self.accuracy):
            metric.reset()
        return found


def box_truth(target: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the boxes of a frame as torchmetrics takes them, ignored ones as crowds."""
    labels, ignored = target['labels'], target['ignored_labels']
    return {
        'boxes': torch.cat((target['boxes'], target['ignored'])),
        'labels': torch.cat((labels, ignored)),
        'iscrowd': torch.cat((torch.zeros_like(labels), torch.ones_like(ignored))),
    }
