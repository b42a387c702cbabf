# SPDX-License-Identifier: Apache-2.0
"""Counts right answers to questions about whole pictures."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl_split_train.data import NO_ATTRIBUTE


class Score:
    """The share of right answers by task.

    Args:
        tasks: Names.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self._tasks = tuple(tasks)
        self._right = torch.zeros(len(self._tasks))
        self._known = torch.zeros(len(self._tasks))

    def add(self, logits: Sequence[Tensor], labels: Tensor) -> None:
        """Count the answers for some pictures.

        Args:
            logits: Of each task [N, classes].
            labels: Class ids [N, T] int64; what is ``NO_ATTRIBUTE`` does not count.
        """
        found = torch.stack([y.argmax(1) for y in logits], dim=1).cpu()
        self._known += (labels != NO_ATTRIBUTE).sum(0)
        self._right += (found == labels).sum(0)

    def shares(self) -> dict[str, float]:
        """Return the share of right answers by task, 0 to 1; NaN without labels."""
        return dict(zip(self._tasks, (self._right / self._known).tolist(), strict=True))
