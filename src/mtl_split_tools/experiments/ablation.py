# SPDX-License-Identifier: Apache-2.0
"""What each part of the training brings: staging, the rate term, shared weights, a teacher."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_split_tools.console import figure, kilobytes
from mtl_split_tools.experiments.ablation_plot import draw_curves
from mtl_split_tools.experiments.frame import Cell, Result, Size, Table
from mtl_split_tools.experiments.training import (
    changed,
    data_folder,
    describe_budget,
    load_base,
    measure_trial,
    points,
)
from mtl_split_tools.sweep.bd_rate import Point, compare
from mtl_split_tools.sweep.result import COMPARED, METRICS, bd_cell
from mtl_split_train.config import parse_config
from mtl_split_train.trial import Trial

NOTES = (
    'joint: all weights and all rates at once, the bits in the loss.',
    'staged: two thirds of the epochs without quantisation and without the bits, then one third '
    'with backbone and tail frozen; Ladon trains in stages, too.',
    'no-rate-term: gains and steps are trained, but nothing counts the bits.',
    'separate: one network for each rate, so as many times the training; together they are one '
    'curve.',
    'teacher: the joint run again, following the answers of the first joint run on the '
    'uncompressed picture, so twice the training.',
    'BD-rate: mean bytes against those of joint at equal accuracy, where both reach it.',
    'Measured on `val` after the last epoch; no checkpoint was chosen. One run each.',
)
JOINT, SEPARATE = 'joint', 'separate'
_BODY = ['encoder.backbone', 'tail']
_UNCOMPRESSED = 'uncompressed picture'


class Experiment:
    """One cell for each training.

    Args:
        size: How much to train.
        seed: Of all runs.
        data: Folder with the splits; the configuration's if None.
    """

    partial = True

    def __init__(self, size: Size, seed: int, data: str | None) -> None:
        self._size = size
        self._seed = seed
        self._data = data
        self._base = load_base(size, seed)
        self._trials = make_trials(self._base)
        self.notes: Sequence[str] = (*NOTES, describe_budget(self._base, size))

    def cells(self) -> Sequence[Cell]:
        """Return one cell for each training."""
        settings = {'seed': self._seed, 'data': self._data}
        return [
            Cell(name, {**settings, **trial.settings()}) for name, trial in self._trials.items()
        ]

    def measure(self, cell: Cell, folder: Path) -> Result:
        """Train and measure at every rate."""
        data = data_folder(self._data, self._size, self._base, folder)
        return measure_trial(
            self._trials[cell.key],
            data,
            folder,
            lambda way: way == 'raw' or way.startswith('split:'),
        )

    def table(self, results: Mapping[str, Result]) -> Table:
        """Return a row for each training and rate, and one with the BD-rates of each."""
        columns = ('training', 'rate', 'kB', *METRICS.values())
        rows = []
        for name, result in results.items():
            ways = {key: facts for key, facts in result['ways'].items() if key != 'raw'}
            for way, facts in ways.items():
                rate = way.removeprefix('split:')
                if name.startswith(f'{SEPARATE}-'):
                    rate = name.removeprefix(f'{SEPARATE}-')
                size = kilobytes(facts['bytes_per_frame'])
                rows.append([name, rate, size, *(figure(facts[m]) for m in METRICS)])
            raw = result['ways']['raw']
            rows.append([name, _UNCOMPRESSED, '', *(figure(raw[m]) for m in METRICS)])
        others = [name for name in curves(results, COMPARED[0]) if name != JOINT]
        rows += [[name, 'BD-rate against joint', '', *_bd_cells(results, name)] for name in others]
        return Table(columns, rows)

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:
        """Return the picture."""
        return {'ablation': draw_curves({m: curves(results, m) for m in METRICS})}


def make_trials(base: Mapping[str, Any]) -> dict[str, Trial]:
    """Return the trainings by name.

    Args:
        base: The configuration of the joint run.
    """
    config = parse_config(base)
    joint = Trial(JOINT, base)
    epochs = config.schedule.epochs
    first = max(1, round(epochs * 2 / 3))
    stages = (_lasting(first), _lasting(max(1, epochs - first)))
    body = Trial(
        'staged-body',
        changed(base, {**stages[0], 'rates': {'unquantised': 1.0, 'constrain': False}}),
    )
    frozen = {'schedule': {**stages[1]['schedule'], 'frozen': _BODY}}
    trials = {
        JOINT: joint,
        'staged': Trial('staged', changed(base, frozen), init=body),
        'no-rate-term': Trial('no-rate-term', changed(base, {'rates': {'constrain': False}})),
        'teacher': Trial('teacher', base, teacher=joint),
    }
    for number, target in enumerate(config.rates.targets):
        one = {'rates': {'targets': [target], 'default': 0}}
        trials[f'{SEPARATE}-{number}'] = Trial(f'{SEPARATE}-{number}', changed(base, one))
    return trials


def curves(results: Mapping[str, Result], metric: str) -> dict[str, list[Point]]:
    """Return bytes and accuracy of each training, the separate networks as one curve."""
    found: dict[str, list[Point]] = {}
    for name, result in results.items():
        key = SEPARATE if name.startswith(f'{SEPARATE}-') else name
        found[key] = sorted(found.get(key, []) + points(result, 'split', metric))
    return found


def _lasting(epochs: int) -> dict[str, dict[str, Any]]:
    return {'schedule': {'epochs': epochs, 'validate_every': epochs}}


def _bd_cells(results: Mapping[str, Result], name: str) -> list[str]:
    cells = []
    for metric in METRICS:
        found = curves(results, metric)
        measured = metric in COMPARED and found[name] and found[JOINT]
        cells.append(bd_cell(compare(found[JOINT], found[name]) if measured else None))
    return cells
