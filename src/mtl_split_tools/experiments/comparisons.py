# SPDX-License-Identifier: Apache-2.0
"""The joint network beside its rivals: one task each, a lone detector, training on JPEGs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from mtl_split_tools.console import MISSING, kilobytes, progress_bar
from mtl_split_tools.experiments.comparisons_plot import draw_rows
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
from mtl_split_tools.sweep.bd_rate import compare
from mtl_split_tools.sweep.result import COMPARED, METRICS, Metric, bd_cell
from mtl_split_train import detector
from mtl_split_train.config import parse_config
from mtl_split_train.formats import read_split
from mtl_split_train.trial import Trial, count_parameters, train_trial

NOTES = (
    'Every row has the same views, epochs, optimiser and averaging, and starts from nothing. '
    'Measured on `val` after the last epoch; no checkpoint was chosen.',
    'In brackets: points above or below the mean of the joint runs; where there are several '
    'runs, the least and the largest of them.',
    'One task alone: the same backbone, bottleneck and trunk, without the heads of the others and '
    'without what only they use.',
    "FCOS: torchvision's, with its own loss, on the whole backbone and a feature pyramid of "
    'strides 8 to 32. All its views are uncompressed, of ours a share (`rates.unquantised`); its '
    'loss knows no ignored regions.',
    'Trained on JPEGs: three of four views of qualities 5 to 95, whose Z_b passes unquantised.',
    'BD-rate: mean bytes of Z_b against those of JPEG at equal accuracy, of the first seed. JPEG '
    'at full or half size, whichever gives more for its bytes; see docs/codec.md.',
)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of training.

    Args:
        text: What it is.
        changes: Sections of the configuration, and in them the keys that are other.
        alone: Whether it is the detector that stands alone.
        pictures: Whether it is measured on JPEGs, too.
    """

    text: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False
    pictures: bool = False


def _only(task: str) -> dict[str, Any]:
    tasks = {'detection', 'segmentation', 'classification'}
    return {'loss': dict.fromkeys(sorted(tasks - {task}), 0.0)}


JOINT, JPEG = 'joint', 'jpeg'
ROWS = {
    JOINT: Row('three tasks together', pictures=True),
    'segmentation': Row('segmentation alone', _only('segmentation')),
    'detection': Row('detection alone', _only('detection')),
    'classification': Row('classification alone', _only('classification')),
    'fcos': Row("torchvision's FCOS alone", alone=True),
    JPEG: Row('three tasks, trained on JPEGs', {'data': {'jpeg': 0.75}}, pictures=True),
}
RIVALS: tuple[tuple[str, Metric], ...] = (
    ('segmentation', 'miou'),
    ('detection', 'map50'),
    ('classification', 'accuracy'),
    ('fcos', 'map50'),
)
"""Rows that the joint network is compared with, and by what."""
SEEDS = {Size.SMOKE: (1, 1), Size.SMALL: (3, 1), Size.FULL: (3, 3)}
"""Runs of the joint network, and of each other row."""


class Experiment:
    """One cell for each run.

    Args:
        size: How much to train.
        seed: Of the first run; the others follow it.
        data: Folder with the splits; the configuration's if None.
    """

    partial = True
    name: ClassVar[str] = 'comparisons'
    rows: ClassVar[Mapping[str, Row]] = ROWS

    def __init__(self, size: Size, seed: int, data: str | None) -> None:
        self._size = size
        self._seed = seed
        self._data = data
        self._base = load_base(size, seed)
        self.notes: Sequence[str] = (*NOTES, describe_budget(self._base, size))

    def cells(self) -> Sequence[Cell]:
        """Return one cell for each run: all rows once, then the further seeds."""
        found = []
        for more in range(max(SEEDS[self._size])):
            for name in self.rows:
                if more < SEEDS[self._size][name != JOINT]:
                    seed = self._seed + more
                    settings = {'seed': seed, 'data': self._data, 'row': name}
                    found.append(
                        Cell(f'{name}-{seed}', {**settings, **self._trial(name, seed).settings()})
                    )
        return found

    def measure(self, cell: Cell, folder: Path) -> Result:
        """Train a row and measure it."""
        name = str(cell.settings['row'])
        trial = self._trial(name, int(cell.settings['seed']))
        data = data_folder(self._data, self._size, self._base, folder)
        if self.rows[name].alone:
            return _measure_detector(trial, data, folder)

        def wanted(way: str) -> bool:
            picture = way.startswith('jpeg:') and ' ' not in way and self.rows[name].pictures
            return way == 'raw' or way.startswith('split:') or picture

        return measure_trial(trial, data, folder, wanted)

    def table(self, results: Mapping[str, Result]) -> Table:
        """Return a row for each kind of training, then the BD-rates."""
        default = f'split:{parse_config(self._base).rates.default}'
        of_rows = by_row(results, self.rows)
        rows = [_row(name, of_rows, default) for name in of_rows]
        for rival, text in ((JOINT, 'the same network'), (JPEG, 'the network trained on JPEGs')):
            if {JOINT, rival} <= of_rows.keys() and self.rows[rival].pictures:
                rows.append(_bd_row(of_rows[JOINT][0], of_rows[rival][0], text))
        sent = [f'{name}, sent' for name in METRICS.values()]
        return Table(('trained', 'runs', 'parameters', *METRICS.values(), 'kB', *sent), rows)

    def findings(self, results: Mapping[str, Result]) -> Sequence[str]:
        """Return for each rival whether it differs from the joint network by more than a seed."""
        of_rows = by_row(results, self.rows)
        return [_finding(of_rows, *pair) for pair in RIVALS if {JOINT, pair[0]} <= of_rows.keys()]

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:
        """Return the picture."""
        texts = {name: row.text for name, row in self.rows.items()}
        return {self.name: draw_rows(by_row(results, self.rows), texts, JOINT)}

    def _trial(self, name: str, seed: int) -> Trial:
        row = self.rows[name]
        config = changed(changed(self._base, row.changes), {'schedule': self._schedule(seed)})
        if row.alone:
            return Trial(f'{name}-{seed}', config, program=detector.train)
        return Trial(f'{name}-{seed}', config)

    def _schedule(self, seed: int) -> dict[str, Any]:
        return {**self._base['schedule'], 'seed': seed}


def by_row(results: Mapping[str, Result], rows: Collection[str]) -> dict[str, list[Result]]:
    """Return the runs of each row, by its name, in the order of ``rows``."""
    found: dict[str, list[Result]] = {}
    for name in rows:
        runs = [result for key, result in results.items() if key.rpartition('-')[0] == name]
        if runs:
            found[name] = runs
    return found


def _measure_detector(trial: Trial, data: Path, folder: Path) -> Result:
    checkpoint = train_trial(trial, data, folder)
    config = parse_config(trial.config).data
    dataset = read_split(config.format, data, config.val)
    with progress_bar() as progress:
        task = progress.add_task(trial.name, total=len(dataset.images))
        module = detector.load_detector(checkpoint)
        found = detector.evaluate_detector(module, dataset, lambda: progress.advance(task))
    nothing = dict.fromkeys(('bytes_per_frame', 'bytes_per_frame_max', *METRICS))
    facts = {**nothing, 'map50': found['map50'], 'map': found['map']}
    return {
        'parameters': count_parameters(checkpoint),
        'ways': {'raw': {'frames': len(dataset.images), **facts}},
    }


def _row(name: str, of_rows: Mapping[str, Sequence[Result]], default: str) -> list[str]:
    runs = of_rows[name]
    cells = [ROWS[name].text, str(len(runs)), f'{runs[0]["parameters"] / 1e6:.2f} M']
    for way in ('raw', default):
        if way == default:
            sizes = _values(runs, way, 'bytes_per_frame')
            cells.append(kilobytes(sum(sizes) / len(sizes)) if sizes else MISSING)
        for metric in METRICS:
            values = _values(runs, way, metric)
            text = spread(values)
            joint = _values(of_rows.get(JOINT, ()), way, metric)
            if name != JOINT and values and joint:
                points_above = 100 * (sum(values) / len(values) - sum(joint) / len(joint))
                text += f' ({points_above:+.1f})'
            cells.append(text)
    return cells


def _values(runs: Sequence[Result], way: str, key: str) -> list[float]:
    found = [run['ways'][way][key] for run in runs if way in run['ways']]
    return [float(value) for value in found if value is not None]


def _finding(of_rows: Mapping[str, Sequence[Result]], name: str, metric: Metric) -> str:
    joint, rival = (_values(of_rows[row], 'raw', metric) for row in (JOINT, name))
    what = f'{METRICS[metric]} of the uncompressed picture'
    if not joint or not rival:
        return f'{what}: no figure for {ROWS[name].text}.'
    above = 100 * (sum(rival) / len(rival) - sum(joint) / len(joint))
    text = f'{what}: {ROWS[name].text} is {above:+.1f} points from the joint network'
    if len(joint) == 1:
        return f'{text}; its spread over seeds is not known.'
    width = 100 * (max(joint) - min(joint))
    verdict = 'the seeds explain it' if abs(above) <= width else 'more than the seeds explain'
    return f'{text}, whose {len(joint)} runs lie within {width:.1f}: {verdict}.'


def _bd_row(ours: Result, rival: Result, text: str) -> list[str]:
    cells = []
    for metric in METRICS:
        theirs, sent = points(rival, 'jpeg', metric), points(ours, 'split', metric)
        measured = metric in COMPARED and theirs and sent
        cells.append(bd_cell(compare(theirs, sent) if measured else None))
    return [f'BD-rate of Z_b against JPEG into {text}', *[''] * 6, *cells]
