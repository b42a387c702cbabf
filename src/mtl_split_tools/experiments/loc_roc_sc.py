# SPDX-License-Identifier: Apache-2.0
"""Local-only, remote-only and split computing: memory, bytes, work and latency of each.

The comparison of MTL-Split (Capogrosso et al., arXiv 2407.05982), for its five backbones with two
heads and for the bundle that ships.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.profile import Mode
from mtl_split_tools.console import MISSING, figure, kilobytes
from mtl_split_tools.experiments import shaped_link, where_to_split
from mtl_split_tools.experiments.claims import Claim
from mtl_split_tools.experiments.extents import count, read_extent
from mtl_split_tools.experiments.frame import Cell, Result, Size, Table
from mtl_split_tools.experiments.loc_roc_sc_findings import find, judge_ways
from mtl_split_tools.experiments.loc_roc_sc_plot import draw_latencies, draw_memory
from mtl_split_tools.experiments.pieces import (
    FLOAT32,
    JPEG,
    LINKS_MBIT,
    LOCAL,
    RAW,
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
from mtl_split_tools.lab import why_not
from mtl_split_train.mtl_split_family import PUBLISHED_BACKBONES
from mtl_split_train.random_bundle import random_bundle

NOTES = (
    'Backbones of the paper: random weights, heads of 8 and 4 classes as for 3D Shapes; work, '
    'memory and bytes of float32 do not depend on the weights. They are not coded: the entropy '
    'of features of random weights says nothing.',
    'Edge and server ms: processor time on this machine, one thread, median and half of the '
    'distance between quartiles. The same core plays both sides; results.json and a plot also have '
    f'an edge that takes {SLOW_EDGE:g} times as long, by arithmetic.',
    'Edge memory: peak of a Python process that loads what the edge loads and runs it once, '
    'without ROS. Remote-only needs no network; our edge node keeps its encoder there, too.',
    'Latency: computed, edge + bytes * 8 / link rate + server, for the links of this table; the '
    "link rates of the MTL-Split paper are not in our notes, the slowest here is of Ladon's.",
)
CHECK = 'shaped-link'
CONFIG = 'loc-roc-sc.yaml'
_TABLE_MBIT = LINKS_MBIT[:-1]
_SHIPPED = 'camvid'
_HEADS = (8, 4)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured.

    Args:
        backbones: Those of the paper.
        side: Of their pictures, pixel.
        frames: Pictures.
        rounds: How often each goes each way.
        checked: Pictures that count for each check on the shaped link.
    """

    backbones: tuple[str, ...]
    side: int
    frames: int
    rounds: int
    checked: int


def read(size: Size) -> Extent:
    """Return how much is measured at a size.

    Raises:
        BundleError: experiments/loc-roc-sc.yaml is missing or wrong; names the dotted key.
    """
    counts = ('side', 'frames', 'rounds', 'checked')
    extent = read_extent(CONFIG, size, 'backbones', *counts)
    known = '|'.join(PUBLISHED_BACKBONES)
    backbones = extent['backbones'].items(1, len(PUBLISHED_BACKBONES))
    return Extent(
        tuple(name.text(known) for name in backbones), *(count(extent, key) for key in counts)
    )


class Experiment:
    """One cell for each network, and one for the check on the shaped link.

    Args:
        size: How much to measure.
        seed: Of the random weights.
        data: Folder of the pictures; the shipped clip if None.
    """

    def __init__(self, size: Size, seed: int, data: str | None) -> None:
        self._extent = read(size)
        self._seed = seed
        self._data = data
        self._bundle = load_bundle(_SHIPPED)
        default = self._bundle.default_rate
        self._checks = (
            shaped_link.Check(split_rate(default), 0.3),
            shaped_link.Check(split_rate(default), 1.0),
            shaped_link.Check(JPEG, 1.0),
        )
        self._lab = not why_not()
        extent = self._extent
        pictures = f'{extent.frames} pictures of {data or "the shipped clip"}'
        size_of = f'{extent.side}x{extent.side} for the backbones of the paper'
        self.notes: Sequence[str] = (*NOTES, f'Size {size}: {pictures}, {size_of}.')

    def cells(self) -> Sequence[Cell]:
        """Return the networks, then the check."""
        extent = asdict(self._extent)
        del extent['backbones'], extent['checked']
        settings = {**extent, 'seed': self._seed, 'data': self._data}
        shipped = {**settings, 'fingerprint': f'{self._bundle.fingerprint:016x}'}
        del shipped['side']
        checks = [[check.way, check.mbit] for check in self._checks]
        check = {'checks': checks, 'checked': self._extent.checked, 'rights': self._lab}
        return [
            *(Cell(name, {'backbone': name, **settings}) for name in self._extent.backbones),
            Cell(_SHIPPED, shipped),
            Cell(CHECK, {**shipped, **check}),
        ]

    def measure(self, cell: Cell, folder: Path) -> Result:
        """Measure a network, or check its latencies."""
        if cell.key == CHECK:
            pieces = measure_pieces(self._bundle, self._pictures(), self._extent.rounds)
            where = folder / CHECK
            return shaped_link.check_on_link(
                self._bundle, pieces, self._checks, self._extent.checked, where
            )
        if cell.key == _SHIPPED:
            return measure_bundle(self._bundle, self._pictures(), self._extent.rounds, 'trained')
        side = self._extent.side
        pictures = self._pictures(side, side)
        with tempfile.TemporaryDirectory() as scratch:
            where = Path(scratch) / 'bundle'
            bundle = random_bundle(cell.key, _HEADS, pictures, self._seed, where)
            return measure_bundle(bundle, pictures, self._extent.rounds, 'random')

    def table(self, results: Mapping[str, Result]) -> Table:
        """Return a row for each way of each network."""
        columns = (
            *('network', 'way', 'edge networks', 'edge memory', 'bytes', 'edge ms', 'server ms'),
            *(f'ms at {link_name(mbit)}' for mbit in _TABLE_MBIT),
        )
        rows = []
        for name, result in _networks(results).items():
            for way, piece in _shown(result, self._bundle.default_rate).items():
                network, memory = _on_edge(way, result)
                rows.append(
                    (
                        *(
                            name,
                            _TITLES.get(way, f'split, rate {way.partition(":")[2]}'),
                            network,
                            memory,
                        ),
                        kilobytes(piece.bytes),
                        show_ms(piece.edge_ms, piece.edge_spread_ms),
                        show_ms(piece.server_ms, piece.server_spread_ms),
                        *(figure(latency_ms([piece], mbit), 0) for mbit in _TABLE_MBIT),
                    )
                )
        return Table(columns, rows)

    def findings(self, results: Mapping[str, Result]) -> Sequence[str]:
        """Return what the figures say to the paper's claims, in sentences."""
        return find(_networks(results), results[CHECK])

    def claims(self, results: Mapping[str, Result]) -> Sequence[Claim]:
        """Return what the figures say to the paper's claims."""
        return judge_ways(_networks(results))

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:
        """Return latencies over the rate of the link, and the memory."""
        networks = _networks(results)
        checks = results[CHECK]['rows']
        return {
            'loc-roc-sc': draw_latencies(networks, 1.0, {_SHIPPED: checks}),
            'loc-roc-sc-slow-edge': draw_latencies(networks, SLOW_EDGE, {}),
            'loc-roc-sc-memory': draw_memory(networks),
        }

    def _pictures(self, width: int = 480, height: int = 368) -> list[NDArray[np.uint8]]:
        return where_to_split.read_frames(self._data, self._extent.frames, (width, height))


_TITLES = {
    LOCAL: 'local-only',
    RAW: 'remote-only, raw',
    JPEG: f'remote-only, {JPEG}',
    FLOAT32: 'split, float32',
}


def measure_bundle(
    bundle: Bundle, pictures: list[NDArray[np.uint8]], rounds: int, weights: str
) -> Result:
    """Measure all ways of a bundle, and what they take on the edge.

    Args:
        bundle: The bundle.
        pictures: RGB, uint8 [H, W, 3].
        rounds: How often each picture goes each way.
        weights: `trained`, or `random`: then nothing is said of coded features.
    """
    pieces = measure_pieces(bundle, pictures, rounds)
    if weights == 'random':
        pieces = {way: piece for way, piece in pieces.items() if way in _TITLES}
    return {
        'weights': weights,
        'pictures': len(pictures),
        'feature_shape': list(bundle.feature_shape),
        'encoder_mb': bundle.encoder_path.stat().st_size / 1e6,
        'tail_mb': bundle.tail_path.stat().st_size / 1e6,
        'memory_mb': {
            str(mode): measure_memory(bundle, mode, 1) for mode in (Mode.LOCAL, Mode.SPLIT)
        },
        'pieces': {way: asdict(piece) for way, piece in pieces.items()},
        'latency_ms': {
            f'edge {factor:g} times slower': {
                way: {link_name(mbit): latency_ms([piece], mbit, factor) for mbit in LINKS_MBIT}
                for way, piece in pieces.items()
            }
            for factor in (1.0, SLOW_EDGE)
        },
    }


def _networks(results: Mapping[str, Result]) -> dict[str, Result]:
    return {name: result for name, result in results.items() if name != CHECK}


def _shown(result: Result, default: int) -> dict[str, Piece]:
    """Return the ways but those of the rates between the least, the default and the largest."""
    pieces = read_pieces(result['pieces'])
    coded = [way for way in pieces if way not in _TITLES]
    kept = {*coded[:1], split_rate(default), *coded[-1:]}
    return {way: piece for way, piece in pieces.items() if way in _TITLES or way in kept}


def _on_edge(way: str, result: Result) -> tuple[str, str]:
    encoder, tail, memory = result['encoder_mb'], result['tail_mb'], result['memory_mb']
    if way == LOCAL:
        return f'{encoder + tail:.1f} MB', f'{memory["local"]:.0f} MB'
    if way in (RAW, JPEG):
        return 'none', MISSING
    return f'{encoder:.1f} MB', f'{memory["split"]:.0f} MB'
