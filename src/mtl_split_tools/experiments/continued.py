# SPDX-License-Identifier: Apache-2.0
"""The network that ships, trained on: for all tasks together, or for one of them alone.

`comparisons` starts from nothing and needs a GPU to come to an end. This one starts where the
training of a bundle stopped, so that two cores can say whether a task would be better off alone,
or boxes with a detector of torchvision.
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
"""Of rows that were trained before; the detector has that of a network which starts anew."""
_FCOS = 'fcos'


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
        for name in (JOINT, 'segmentation', 'detection', 'classification', _FCOS)
    }

    def __init__(self, size: Size, seed: int, data: str | None) -> None:
        super().__init__(size, seed, data)
        extent = read_extent('continued.yaml', size, 'epochs', 'detector_epochs')
        epochs, self._detector_epochs = (
            count(extent, key) for key in ('epochs', 'detector_epochs')
        )
        base = changed(load_base(Size.FULL, seed), {'data': {'workers': 1}})
        self._anew = base['schedule']
        changes = {'epochs': epochs, 'learning_rate': _LEARNING_RATE}
        self._base = changed(base, {'schedule': changes})
        self.notes = (
            f'Every row but FCOS starts from the weights of `{START}`, which were trained for the '
            f'three tasks together, and trains on for {epochs} epochs with the same views and '
            'optimiser. Measured on `val` after the last epoch; no checkpoint was chosen.',
            'In brackets: points above or below the joint run.',
            'One task alone: without the heads of the others and without what only they use.',
            f"FCOS: torchvision's, with its own loss, on the whole backbone, of which the stages "
            f'that `{START}` has start with its weights, and a feature pyramid of strides 8 to 32. '
            f'All else starts from nothing, so it has {self._detector_epochs} epochs. Its views '
            'are all uncompressed, of ours a share; its loss knows no ignored regions.',
        )

    def cells(self) -> Sequence[Cell]:
        """Return one cell for each row."""
        return [cell for cell in super().cells() if cell.settings['seed'] == self._seed]

    def _trial(self, name: str, seed: int) -> Trial:
        trial = super()._trial(name, seed)
        if self.rows[name].alone:
            schedule = {**self._anew, 'seed': seed, 'epochs': self._detector_epochs}
            trial = dataclasses.replace(trial, config={**trial.config, 'schedule': schedule})
        return dataclasses.replace(trial, bundle=START, precision='bf16-mixed')
