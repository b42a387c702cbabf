# SPDX-License-Identifier: Apache-2.0
"""One encoder and one pass for all tasks, against a network for each task.

The headline of Ladon (Matsubara, Mendula, Levorato, arXiv 2501.01420): latency, work of the edge
and bytes, against single-task networks that are split, and against such that run on the edge.
"""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import DataError
from mtl_split_core.profile import Mode
from mtl_split_tools.console import figure, kilobytes
from mtl_split_tools.experiments import where_to_split
from mtl_split_tools.experiments.claims import Claim
from mtl_split_tools.experiments.extents import count, read_extent
from mtl_split_tools.experiments.frame import Cell, Result, Size, Table
from mtl_split_tools.experiments.one_vs_three_findings import find, judge_headlines
from mtl_split_tools.experiments.one_vs_three_plot import draw_bundles
from mtl_split_tools.experiments.pieces import (
    LOCAL,
    SLOW_EDGE,
    Piece,
    latency_ms,
    link_name,
    measure_pieces,
    read_pieces,
    show_ms,
    split_rate,
)
from mtl_split_tools.footprint import measure_memory
from mtl_split_train.single_task import shared_tensors, single_task_bundle

NOTES = (
    'A single-task network is of the same make: the same encoder and tables, and of the tail what '
    'its outputs need. `shared_tensors` in results.json: how many tensors of the tail that torch '
    'builds from the same configuration without the other heads have their shape and weights in '
    'the whole one, and how many it has.',
    'So its Z_b is that of the whole network, bit by bit. Trained for its task alone it would send '
    'other bytes, likely fewer, and its accuracy would differ; neither is measured here.',
    'Edge and server ms: processor time on this machine, one thread, median and half of the '
    'distance between quartiles, those of several networks added as squares. The same core plays '
    'both sides. The slow edge takes '
    f'{SLOW_EDGE:g} times as long, by arithmetic. Energy is not measured.',
    'Latency: from the picture to the last answer. Several networks run one after the other on '
    'each side, and the edge works at the next while one is on its way; the link has no delay of '
    'its own and loses nothing, the way back counts nothing.',
)
LINKS_MBIT = (0.0375, 0.1, 0.3, 1.0, 3.0, 10.0)
"""From the slowest link of the paper's supplement to one that hardly matters."""

_SHIPPED = 'camvid'
_EDGE = ('edge_ms', 'edge_spread_ms')


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured.

    Args:
        frames: Pictures.
        rounds: How often each goes each way.
    """

    frames: int
    rounds: int


CONFIG = 'one-vs-three.yaml'


class Experiment:
    """One cell for each bundle.

    Args:
        size: How much to measure.
        seed: Nothing here is random; it stands in the results as everywhere.
        data: Folder of the pictures; the shipped clip if None.
    """

    def __init__(self, size: Size, seed: int, data: str | None) -> None:
        extent = read_extent(CONFIG, size, 'frames', 'rounds')
        self._extent = Extent(count(extent, 'frames'), count(extent, 'rounds'))
        self._seed = seed
        self._data = data
        self._bundles = {_SHIPPED: load_bundle(_SHIPPED)}
        pictures = f'{self._extent.frames} pictures of {data or "the shipped clip"}.'
        self.notes: Sequence[str] = (*NOTES, f'Size {size}: {pictures}')

    def take_bundles(self, names: Sequence[str]) -> None:
        """Measure these bundles, too.

        Raises:
            DataError: Two have one name.
        """
        for name in names:
            bundle = load_bundle(name)
            if bundle.name in self._bundles:
                msg = f'--bundle {name}: there is a bundle {bundle.name} already: rename one'
                raise DataError(msg)
            self._bundles[bundle.name] = bundle

    def cells(self) -> Sequence[Cell]:
        """Return one cell for each bundle."""
        settings = {**asdict(self._extent), 'seed': self._seed, 'data': self._data}
        return [
            Cell(name, {'fingerprint': f'{bundle.fingerprint:016x}', **settings})
            for name, bundle in self._bundles.items()
        ]

    def measure(self, cell: Cell, _folder: Path) -> Result:
        """Measure a bundle and its tasks one by one."""
        bundle = self._bundles[cell.key]
        size = bundle.input.width, bundle.input.height
        pictures = where_to_split.read_frames(self._data, self._extent.frames, size)
        singles: dict[str, Result] = {}
        with tempfile.TemporaryDirectory() as folder:
            for task in bundle.tasks:
                alone = single_task_bundle(bundle, task, Path(folder) / task.name)
                singles[task.name] = {
                    **_describe(alone),
                    'shared_tensors': shared_tensors(bundle, task),
                    'pieces': _pieces(measure_pieces(alone, pictures, self._extent.rounds)),
                }
        result = {
            'pictures': len(pictures),
            'default_rate': bundle.default_rate,
            **_describe(bundle),
            'memory_mb': {
                str(mode): measure_memory(bundle, mode, 1) for mode in (Mode.LOCAL, Mode.SPLIT)
            },
            'pieces': _pieces(measure_pieces(bundle, pictures, self._extent.rounds)),
            'singles': singles,
        }
        return {**result, 'placements': placements(result)}

    def table(self, results: Mapping[str, Result]) -> Table:
        """Return a row for each placement of each bundle, on both edges."""
        columns = (
            *('bundle', 'networks', 'edge', 'edge networks', 'edge ms', 'bytes', 'server ms'),
            *(f'ms at {link_name(mbit)}' for mbit in LINKS_MBIT),
        )
        rows = [
            (
                *(name, placement, 'slow' if slow else 'measured'),
                f'{found["edge_mb"]:.1f} MB',
                show_ms(*(found[key] * (SLOW_EDGE if slow else 1) for key in _EDGE)),
                kilobytes(found['bytes']),
                show_ms(found['server_ms'], found['server_spread_ms']),
                *(
                    figure(found['slow_edge_ms' if slow else 'latency_ms'][link_name(mbit)], 0)
                    for mbit in LINKS_MBIT
                ),
            )
            for name, result in results.items()
            for slow in (False, True)
            for placement, found in result['placements'].items()
        ]
        return Table(columns, rows)

    def findings(self, results: Mapping[str, Result]) -> Sequence[str]:
        """Return what the figures say to the paper's claims."""
        return find(results)

    def claims(self, results: Mapping[str, Result]) -> Sequence[Claim]:
        """Return what the figures say to the paper's headlines."""
        return judge_headlines(results)

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:
        """Return the picture."""
        return {'one-vs-three': draw_bundles(results, LINKS_MBIT)}


def placements(result: Result) -> Result:
    """Return what each placement takes.

    Args:
        result: Of a bundle: `pieces` and megabytes of the whole network and of its `singles`.

    Returns:
        By name: one network or one for each task, on the edge or split, at the least and at the
        default rate; with latencies by link.
    """
    whole = read_pieces(result['pieces'])
    singles = [read_pieces(single['pieces']) for single in result['singles'].values()]
    count = len(singles)
    parts = {
        'one, local': ([whole[LOCAL]], result['encoder_mb'] + result['tail_mb']),
        f'{count}, local': (
            [pieces[LOCAL] for pieces in singles],
            sum(one['encoder_mb'] + one['tail_mb'] for one in result['singles'].values()),
        ),
    }
    for rate in dict.fromkeys((0, result['default_rate'])):
        way = split_rate(rate)
        parts[f'one, split, rate {rate}'] = ([whole[way]], result['encoder_mb'])
        networks = [pieces[way] for pieces in singles]
        parts[f'{count}, split, rate {rate}'] = (networks, count * result['encoder_mb'])
    return {name: _placement(pieces, size) for name, (pieces, size) in parts.items()}


def _placement(pieces: Sequence[Piece], edge_mb: float) -> Result:
    return {
        'edge_mb': edge_mb,
        'edge_ms': sum(piece.edge_ms for piece in pieces),
        'bytes': sum(piece.bytes for piece in pieces),
        'server_ms': sum(piece.server_ms for piece in pieces),
        'edge_spread_ms': math.hypot(*(piece.edge_spread_ms for piece in pieces)),
        'server_spread_ms': math.hypot(*(piece.server_spread_ms for piece in pieces)),
        'latency_ms': {link_name(mbit): latency_ms(pieces, mbit) for mbit in LINKS_MBIT},
        'slow_edge_ms': {
            link_name(mbit): latency_ms(pieces, mbit, SLOW_EDGE) for mbit in LINKS_MBIT
        },
    }


def _describe(bundle: Bundle) -> Result:
    return {
        'encoder_mb': bundle.encoder_path.stat().st_size / 1e6,
        'tail_mb': bundle.tail_path.stat().st_size / 1e6,
    }


def _pieces(found: Mapping[str, Piece]) -> Result:
    return {way: asdict(piece) for way, piece in found.items()}
