# SPDX-License-Identifier: Apache-2.0
"""Accuracy of three tasks against bytes: bundles of any family, JPEG and WebP beside each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from mtl_split_core.bundle import load_bundle
from mtl_split_core.errors import DataError
from mtl_split_tools.console import figure, kilobytes
from mtl_split_tools.evaluation import Stages
from mtl_split_tools.experiments.claims import Claim
from mtl_split_tools.experiments.extents import count, read_extent
from mtl_split_tools.experiments.frame import Cell, Result, Size, Table
from mtl_split_tools.experiments.rate_accuracy_claims import judge_rates
from mtl_split_tools.experiments.rate_accuracy_plot import draw_bundles
from mtl_split_tools.frames import labelled_frames
from mtl_split_tools.sweep.bd_rate import Comparison
from mtl_split_tools.sweep.command import sweep
from mtl_split_tools.sweep.result import METRICS, RIVALS, bd_cell

NOTES = (
    'Each bundle: every rate, the uncompressed picture, and JPEG and WebP of the picture into the '
    'same network run whole, as `mtl-split eval --sweep` measures them.',
    'A dash: the bundle has no such task, or the frames have no labels for it.',
    'BD-rate: mean bytes of Z_b against those of the rival at equal accuracy, where both reach it. '
    'At its best: full or half size, with or without rounding of Z_b; see docs/codec.md.',
)
CONFIG = 'rate-accuracy.yaml'

_ROUNDED = ' rounded'
_WAYS = {'split': 'Z_b, rate', 'raw': 'uncompressed', 'jpeg': 'JPEG', 'webp': 'WebP'}
_CELL_KEYS = ('bytes_per_frame', 'bytes_per_frame_max', *METRICS, 'map')


class Experiment:
    """One cell for each bundle.

    Args:
        size: How many frames.
        seed: Of nothing here; nothing is random.
        data: Folder of the frames; the shipped clip if None.
    """

    partial = True

    def __init__(self, size: Size, seed: int, data: str | None) -> None:
        self._frames = count(read_extent(CONFIG, size, 'frames'), 'frames')
        self._seed = seed
        self._data = data
        self._bundles = {'camvid': load_bundle('camvid')}
        where = data or 'the shipped clip'
        frames = f'at most {self._frames} frames of {where}, spread over it.'
        self.notes: Sequence[str] = (*NOTES, f'Size {size}: {frames}')

    def take_bundles(self, names: Sequence[str]) -> None:
        """Measure these bundles, too; names or directories.

        Raises:
            DataError: Two of them have the same name.
        """
        for name in names:
            bundle = load_bundle(name)
            if bundle.name in self._bundles:
                other = self._bundles[bundle.name].path
                msg = (
                    f'bundles {other} and {bundle.path} are both named {bundle.name}: export one '
                    'with another name'
                )
                raise DataError(msg)
            self._bundles[bundle.name] = bundle

    def cells(self) -> Sequence[Cell]:
        """Return one cell for each bundle."""
        settings = {'frames': self._frames, 'data': self._data, 'seed': self._seed}
        return [
            Cell(name, {'fingerprint': f'{bundle.fingerprint:016x}', **settings})
            for name, bundle in self._bundles.items()
        ]

    def measure(self, cell: Cell, folder: Path) -> Result:  # noqa: ARG002
        """Send all frames all ways."""
        bundle = self._bundles[cell.key]
        dataset, stream = labelled_frames(Path(self._data) if self._data else None, bundle)
        step = max(1, -(-len(dataset.images) // self._frames))
        dataset = replace(dataset, images=dataset.images[::step])
        found = sweep(bundle, Stages(bundle, 1), dataset, islice(stream, 0, None, step))
        document = found.document()
        rows = [
            {'transport': row['transport'], **{key: row[key] for key in _CELL_KEYS}}
            for row in document['rows']
        ]
        return {
            'family': bundle.family,
            'version': bundle.version,
            'frames': found.frames,
            'rows': rows,
            'bd_rate': document['bd_rate'],
        }

    def table(self, results: Mapping[str, Result]) -> Table:
        """Return a row for each bundle and way, and one for each bundle and rival."""
        rows = []
        for name, result in results.items():
            label = f'{name} {result["version"]}'
            rows += [
                [label, _way(row['transport']), kilobytes(row['bytes_per_frame']), *_metrics(row)]
                for row in result['rows']
                if not row['transport'].endswith(_ROUNDED)
            ]
            rows += [
                [label, f'BD-rate against {text}', '', *_bd_cells(result, rival)]
                for rival, text in RIVALS.items()
            ]
        return Table(('bundle', 'sent', 'kB a frame', *METRICS.values()), rows)

    def claims(self, results: Mapping[str, Result]) -> Sequence[Claim]:
        """Return what the figures say to claims of Ladon."""
        return judge_rates(results)

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:
        """Return the picture."""
        return {'rate-accuracy': draw_bundles(results)}


def _way(transport: str) -> str:
    kind, _, value = transport.partition(':')
    return f'{_WAYS[kind]} {value}'.strip().replace('/2', ', half size')


def _metrics(row: Mapping[str, Any]) -> list[str]:
    return [figure(row[metric]) for metric in METRICS]


def _bd_cells(result: Result, rival: str) -> list[str]:
    found = result['bd_rate'][rival]
    return [bd_cell(Comparison(**found[m]) if m in found else None) for m in METRICS]
