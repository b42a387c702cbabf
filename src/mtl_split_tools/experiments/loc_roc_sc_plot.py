# SPDX-License-Identifier: Apache-2.0
"""Which of local-only, remote-only and split computing answers first on which link."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.experiments.frame import Result
from mtl_split_tools.experiments.pieces import (
    FLOAT32,
    JPEG,
    LINKS_MBIT,
    LOCAL,
    RAW,
    latency_ms,
    link_name,
    read_pieces,
)

_LOOKS = {
    LOCAL: ('local-only', '#444444', '-'),
    RAW: ('remote-only, raw picture', '#d55e00', '--'),
    JPEG: (f'remote-only, {JPEG}', '#d55e00', '-'),
    FLOAT32: ('split, float32 as in the paper', '#0072b2', '--'),
}
_CODED = '#009e73'
_COLUMNS = 3
_GRID = np.geomspace(LINKS_MBIT[0], LINKS_MBIT[-1], 60)


def draw_latencies(
    results: Mapping[str, Result], factor: float, checks: Mapping[str, Sequence[Result]]
) -> bytes:
    """Draw the latency of each way over the rate of the link.

    Args:
        results: By network.
        factor: How much longer the edge takes than was measured.
        checks: By network, what was measured on the shaped link.

    Returns:
        A PNG.
    """
    rows = -(-len(results) // _COLUMNS)
    sides = 'one core for each side'
    if factor != 1:
        sides += f', the edge takes {factor:g} times as long as measured'
    title = f'From picture to answer over the rate of the link\n({sides})'
    figure = canvas(13, 0.9 + 3.6 * rows, title)
    panels = figure.subplots(rows, min(_COLUMNS, len(results)), squeeze=False, sharey=True)
    for axes, (name, result) in zip(panels.flat, results.items(), strict=False):
        _draw(axes, name, result, factor, checks.get(name, ()))
    for axes in panels[:, 0]:
        axes.set_ylabel('picture to answer, ms')
    for axes in panels.flat[len(results) :]:
        axes.set_visible(False)
    seen: dict[str, Artist] = {}
    for axes in panels.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            seen.setdefault(label, handle)
    figure.legend(list(seen.values()), list(seen), loc='outside lower center', ncols=4, fontsize=9)
    return png(figure)


def draw_memory(results: Mapping[str, Result]) -> bytes:
    """Draw what local-only and split computing take of the edge's memory.

    Args:
        results: By network.

    Returns:
        A PNG.
    """
    title = 'Memory of the edge: what the tail would take is saved by the split'
    figure = canvas(9, 0.8 + 0.6 * len(results), title)
    axes = figure.subplots()
    places = np.arange(len(results))
    for number, (mode, color, text) in enumerate(
        (('local', '#444444', 'local-only'), ('split', '#0072b2', 'split'))
    ):
        sizes = [result['memory_mb'][mode] for result in results.values()]
        bars = axes.barh(places + (number - 0.5) * 0.38, sizes, 0.36, color=color, label=text)
        axes.bar_label(bars, fmt='%.0f', padding=3, fontsize=9)
    axes.set_yticks(places, list(results))
    axes.invert_yaxis()
    axes.set_xlabel('peak of the process without ROS, MB')
    axes.margins(x=0.12)
    plain(axes)
    figure.legend(loc='outside lower center', ncols=2, fontsize=9)
    return png(figure)


def _draw(axes: Axes, name: str, result: Result, factor: float, checks: Sequence[Result]) -> None:
    pieces = read_pieces(result['pieces'])
    coded = [way for way in pieces if way not in _LOOKS]
    looks = dict(_LOOKS)
    for way, style in zip((coded[0], coded[-1]) if coded else (), ('-', '--'), strict=False):
        kind = 'least' if style == '-' else 'largest'
        looks[way] = (f'split, coded, {kind} rate', _CODED, style)
    for way, (text, color, style) in looks.items():
        if way in pieces:
            times = [latency_ms([pieces[way]], mbit, factor) for mbit in _GRID]
            axes.plot(_GRID, times, style, color=color, lw=1.6, label=text)
    for check in checks:
        if check['measured_ms'] is not None:
            axes.plot(
                check['mbit'], check['measured_ms'], 'x', color='black', ms=8, mew=1.6,
                label='real nodes, shaped link',
            )  # fmt: skip
    axes.set_title(f'{name}\n{_local_first(result, factor)}', fontsize=10)
    axes.set(xscale='log', yscale='log', xlabel='link')
    axes.set_xticks(LINKS_MBIT, [link_name(mbit).replace('bit/s', '') for mbit in LINKS_MBIT])
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    plain(axes)


def _local_first(result: Result, factor: float) -> str:
    """Return up to which link no way answers sooner than the edge alone."""
    pieces = read_pieces(result['pieces'])

    def first(mbit: float) -> str:
        return min(pieces, key=lambda way: latency_ms([pieces[way]], mbit, factor))

    sooner = [mbit for mbit in _GRID if first(mbit) != LOCAL]
    if not sooner:
        return 'the edge alone is first on every link'
    if sooner[0] == _GRID[0]:
        return f'{first(_GRID[0])} is first on the slowest link'
    return f'the edge alone is first below {link_name(float(f"{sooner[0]:.2g}"))}'
