# SPDX-License-Identifier: Apache-2.0
"""The network that ships, trained on: for all tasks together, or for one of them alone.

`comparisons` starts from nothing and needs a GPU to come to an end. This one starts where the
training of a bundle stopped, so that two cores can say whether a task would be better off alone.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

from mtl_split_tools.experiments import comparisons
from mtl_split_tools.experiments.comparisons import JOINT, ROWS, Row
from mtl_split_tools.experiments.extents import count, read_extent
from mtl_split_tools.experiments.frame import Cell, Size
from mtl_split_tools.experiments.training import changed, load_base
from mtl_split_train.trial import Trial

START = 'camvid'
"""Bundle whose weights all rows start from."""
_LEARNING_RATE = 5e-4


class Experiment(comparisons.Experiment):
    """One cell for each row.

    Args:
        size: How long to train on.
        seed: Of all runs.
        data: Folder with the splits; the configuration's if None.
    """

    name: ClassVar[str] = 'continued'
    rows: ClassVar[Mapping[str, Row]] = {
        name: dataclasses.replace(ROWS[name], pictures=False)
        for name in (JOINT, 'segmentation', 'detection', 'classification')
    }

    def __init__(self, size: Size, seed: int, data: str | None) -> None:
        super().__init__(size, seed, data)
        epochs = count(read_extent('continued.yaml', size, 'epochs'), 'epochs')
        changes = {'epochs': epochs, 'learning_rate': _LEARNING_RATE}
        base = load_base(Size.FULL, seed)
        self._base = changed(base, {'data': {'workers': 1}, 'schedule': changes})
        self.notes = (
            f'Every row starts from the weights of `{START}`, which were trained for the three '
            f'tasks together, and trains on for {epochs} epochs with the same views and '
            'optimiser. Measured on `val` after the last epoch; no checkpoint was chosen.',
            'In brackets: points above or below the joint run.',
            'One task alone: without the heads of the others and without what only they use.',
        )

    def cells(self) -> Sequence[Cell]:
        """Return one cell for each row."""
        return [cell for cell in super().cells() if cell.settings['seed'] == self._seed]

    def _trial(self, name: str, seed: int) -> Trial:
        trial = super()._trial(name, seed)
        return dataclasses.replace(trial, bundle=START, precision='bf16-mixed')
