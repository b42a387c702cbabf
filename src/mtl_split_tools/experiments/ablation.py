# SPDX-License-Identifier: Apache-2.0
"""What each part of the training brings: staging, the rate term, shared weights, a teacher."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_split_tools.console import kilobytes
from mtl_split_tools.experiments.ablation_findings import compare_default, judge_training
from mtl_split_tools.experiments.ablation_plot import draw_curves
from mtl_split_tools.experiments.claims import Claim
from mtl_split_tools.experiments.frame import Cell, Result, Size, Table
from mtl_split_tools.experiments.training import (
    changed,
    data_folder,
    describe_budget,
    load_base,
    measure_trial,
    points,
    spread,
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
    'Measured on `val` after the last epoch; no checkpoint was chosen. One run each, of the same '
    'seed; joint again with other seeds, to tell what a seed does: mean, least and largest.',
)
JOINT, SEPARATE = 'joint', 'separate'
RUNS = {Size.SMOKE: 1, Size.SMALL: 3, Size.FULL: 3}
"""Runs of joint."""
_BODY = ['encoder.backbone', 'tail']
_UNCOMPRESSED = 'uncompressed picture'
_AGAIN = f'{JOINT}-seed-'


class Experiment:
    """One cell for each training.

    Args:
        size: How much to train.
        seed: Of all runs but those of joint that follow the first, which have the next ones.
        data: Folder with the splits; the configuration's if None.
    """

    partial = True

    def __init__(self, size: Size, seed: int, data: str | None) -> None:
        self._size = size
        self._seed = seed
        self._data = data
        self._base = load_base(size, seed)
        self._trials = {**make_trials(self._base), **more_joint(self._base, RUNS[size] - 1)}
        self.notes: Sequence[str] = (*NOTES, describe_budget(self._base, size))

    def cells(self) -> Sequence[Cell]:
        """Return one cell for each training."""
        return [
            Cell(
                name,
                {
                    'seed': trial.config['schedule']['seed'],
                    'data': self._data,
                    **trial.settings(),
                },
            )
            for name, trial in self._trials.items()
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
        columns = ('training', 'runs', 'rate', 'kB', *METRICS.values())
        rows = []
        for name, runs in by_training(results).items():
            for way in [*(key for key in runs[0]['ways'] if key != 'raw'), 'raw']:
                rate = way.removeprefix('split:')
                if name.startswith(f'{SEPARATE}-'):
                    rate = name.removeprefix(f'{SEPARATE}-')
                facts = [run['ways'][way] for run in runs]
                sizes = [each['bytes_per_frame'] for each in facts]
                rows.append(
                    [
                        name,
                        str(len(runs)),
                        _UNCOMPRESSED if way == 'raw' else rate,
                        '' if way == 'raw' else kilobytes(sum(sizes) / len(sizes)),
                        *(spread([each[metric] for each in facts]) for metric in METRICS),
                    ]
                )
        others = [name for name in curves(results, COMPARED[0]) if name != JOINT]
        if JOINT in results:
            rows += [[n, '', 'BD-rate against joint', '', *_bd_cells(results, n)] for n in others]
        return Table(columns, rows)

    def findings(self, results: Mapping[str, Result]) -> Sequence[str]:
        """Return for each training how it differs from joint at the default rate."""
        joint, others = self._at_default(results)
        return [compare_default(name, facts, joint) for name, facts in others.items()]

    def claims(self, results: Mapping[str, Result]) -> Sequence[Claim]:
        """Return what the trainings say to how Ladon trains."""
        joint, others = self._at_default(results)
        return [c for name, facts in others.items() for c in judge_training(name, facts, joint)]

    def _at_default(self, results: Mapping[str, Result]) -> tuple[list[Result], dict[str, Result]]:
        """Return bytes and figures at the default rate, of joint's runs and of the others."""
        default = parse_config(self._base).rates.default
        of_training = by_training(results)
        joint = [run['ways'][f'split:{default}'] for run in of_training.pop(JOINT, [])]
        others = {}
        for name, (run, *_) in of_training.items() if joint else ():
            if name == f'{SEPARATE}-{default}':
                others[SEPARATE] = run['ways']['split:0']
            elif not name.startswith(f'{SEPARATE}-'):
                others[name] = run['ways'][f'split:{default}']
        return joint, others

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:
        """Return the picture."""
        again = [name for name in results if name.startswith(_AGAIN)]
        return {'ablation': draw_curves({m: curves(results, m) for m in METRICS}, JOINT, again)}


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


def more_joint(base: Mapping[str, Any], count: int) -> dict[str, Trial]:
    """Return the joint training with the seeds that follow that of the configuration, by name.

    Args:
        base: The configuration of the joint run.
        count: How many.
    """
    first = parse_config(base).schedule.seed
    names = {seed: f'{_AGAIN}{seed}' for seed in range(first + 1, first + 1 + count)}
    return {
        name: Trial(name, changed(base, {'schedule': {'seed': seed}}))
        for seed, name in names.items()
    }


def by_training(results: Mapping[str, Result]) -> dict[str, list[Result]]:
    """Return the runs of each training: several of joint, one of each other."""
    found: dict[str, list[Result]] = {}
    for name, result in results.items():
        found.setdefault(JOINT if name.startswith(_AGAIN) else name, []).append(result)
    return found


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
