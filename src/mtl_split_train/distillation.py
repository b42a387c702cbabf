# SPDX-License-Identifier: Apache-2.0
"""A trained network as teacher: its answers on the uncompressed picture, to be followed."""

import torch
from torch import Tensor
from torch.nn import functional

from mtl_split_core.errors import DataError
from mtl_split_train.module import SplitModule
from mtl_split_train.network import NetworkOutput


class Teacher:
    """Follows another network of the same tasks (Hinton et al., arXiv 1503.02531).

    Not a torch module: it is neither trained nor kept in the checkpoint of the run.

    Args:
        module: A trained run; Z_b passes through it without quantisation.
    """

    def __init__(self, module: SplitModule) -> None:
        self.classes = module.classes
        self.network = module.network.eval().requires_grad_(False)

    def check(self, student: SplitModule, source: str) -> None:
        """Refuse a student with other classes.

        Args:
            student: The run that wants to follow.
            source: Where the teacher comes from, for the error.

        Raises:
            DataError: The classes differ.
        """
        if self.classes != student.classes:
            msg = (
                f'loss.teacher {source} has the classes {self.classes.mapping()}, this run '
                f'{student.classes.mapping()}: they must be the same'
            )
            raise DataError(msg)

    def loss(self, images: Tensor, output: NetworkOutput) -> Tensor:
        """Return how far a student is from the teacher, summed over their tasks.

        Cross-entropy against the teacher's probabilities for label map and attribute; for boxes
        binary cross-entropy of the scores over their sum, and the distances to the sides where the
        teacher sees an object (as the soft targets of Zheng et al., arXiv 2102.12252, weighted by
        score).

        Args:
            images: Normalised pictures, [N, 3, H, W].
            output: The student's answers.
        """
        with torch.no_grad():
            taught: NetworkOutput = self.network.to(images.device)(images)
        total = images.new_zeros(())
        for student, teacher in (
            (output.segmentation, taught.segmentation),
            (output.classification, taught.classification),
        ):
            if student is not None and teacher is not None:
                total = total + functional.cross_entropy(
                    student.float(), teacher.float().softmax(dim=1)
                )
        if output.detection is not None and taught.detection is not None:
            total = total + _boxes(output.detection, taught.detection)
        return total


def _boxes(student: dict[str, Tensor], teacher: dict[str, Tensor]) -> Tensor:
    scores = teacher['cls_logits'].float().sigmoid()
    seen = scores.amax(dim=2, keepdim=True)
    weight = seen.sum().clamp_min(1.0)
    found = functional.binary_cross_entropy_with_logits(
        student['cls_logits'].float(), scores, reduction='sum'
    )
    sides = functional.smooth_l1_loss(
        student['bbox_regression'].float(), teacher['bbox_regression'].float(), reduction='none'
    )
    return (found + (seen * sides).sum()) / weight
