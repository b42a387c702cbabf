# SPDX-License-Identifier: Apache-2.0
"""Figures of a sweep: accuracy against bytes, and the channels of Z_b."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtl_split_tools.console import kilobytes
from mtl_split_tools.sweep.bd_rate import Point, bytes_for, frontier
from mtl_split_tools.sweep.result import COMPARED, METRICS, RIVALS, Metric, Sweep

_BLUE = '#0072b2'
_GREY = '#777777'
_COLORS = {'jpeg': '#d55e00', 'webp': '#009e73'}


def draw_accuracy(sweep: Sweep) -> bytes:
    """Draw accuracy against bytes, one panel per task.

    Args:
        sweep: The figures.

    Returns:
        A PNG.
    """
    metrics = sweep.measured(tuple(METRICS))
    figure = Figure(figsize=(4.6 * len(metrics), 4.4), layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(
        f'Sending Z_b or sending the picture: {sweep.bundle.name}, the same network, '
        f'{sweep.frames} frames'
    )
    for number, metric in enumerate(metrics):
        _draw_metric(figure.add_subplot(1, len(metrics), number + 1), sweep, metric)
    return _png(figure, 100)


def draw_features(
    picture: NDArray[np.uint8],
    before: NDArray[np.float32],
    after: Sequence[tuple[str, NDArray[np.float32]]],
    channels: Sequence[int],
) -> bytes:
    """Draw channels of Z_b of one picture before and after coding.

    Args:
        picture: RGB, uint8 [H, W, 3].
        before: Z_b, float32 [C, h, w].
        after: Title and decoded Z_b, one per row.
        channels: Which to draw, one per column.

    Returns:
        A PNG.
    """
    rows = [(f'as the encoder\ngives it, {kilobytes(before.nbytes)}', before), *after]
    figure = Figure(figsize=(1.3 * len(channels) + 4.6, 1.08 * len(rows) + 0.5))
    FigureCanvasAgg(figure)
    figure.suptitle(
        f'Z_b of this picture: {len(channels)} of its {len(before)} channels, those that cost most'
        ' (red above 0, blue below)',
        x=0.01,
        ha='left',
        fontsize=11,
    )
    grid = figure.add_gridspec(
        len(rows), len(channels) + 2, width_ratios=(2.6, 1.05, *[1.0] * len(channels)),
        left=0.01, right=0.995, top=1 - 0.4 / figure.get_figheight(), bottom=0.02,
        wspace=0.05, hspace=0.07,
    )  # fmt: skip
    _image(figure.add_subplot(grid[:, 0]), picture).set_axis_off()
    for row, (title, z) in enumerate(rows):
        axes = figure.add_subplot(grid[row, 1])
        axes.set_axis_off()
        axes.text(0.95, 0.5, title, fontsize=9, ha='right', va='center')
        for column, channel in enumerate(channels):
            # One pixel far out would leave the others pale.
            limit = float(np.quantile(np.abs(before[channel]), 0.98)) or 1.0
            axes = figure.add_subplot(grid[row, column + 2])
            _image(axes, z[channel], cmap='RdBu_r', vmin=-limit, vmax=limit, aspect='auto')
    return _png(figure, 80)


def _image(axes: Axes, values: NDArray[Any], **style: Any) -> Axes:
    axes.imshow(values, **style)
    axes.set(xticks=(), yticks=())
    return axes


def _draw_metric(axes: Axes, sweep: Sweep, metric: Metric) -> None:
    axes.set_title(METRICS[metric], fontsize=10)
    for kind, color in _COLORS.items():
        style = {'color': color, 'marker': 's', 'ms': 4}
        best = frontier(sweep.points(f'{kind}, best', metric))
        _curve(axes, best, label=RIVALS[f'{kind}, best'], ls=':', mfc='white', **style)
        _curve(axes, sweep.points(kind, metric), label=RIVALS[kind], **style)
    ours = sweep.points('split', metric)
    _curve(axes, ours, color=_BLUE, marker='o', ms=7, lw=2.5, label='Z_b', zorder=5)
    raw = sweep.value('raw', metric)
    if raw is not None:
        size = kilobytes(float(sweep.done['raw'].sizes.mean()))
        axes.axhline(raw, color=_GREY, lw=1, ls='--', label=f'uncompressed picture, {size}')
    if metric in COMPARED:
        _draw_saving(axes, ours, sweep.points('jpeg, best', metric))
    # Below three quarters of the best nobody wants to be; the curves leave the panel there.
    top = max(
        value for family in ('split', 'jpeg', 'webp') for _, value in sweep.points(family, metric)
    )
    axes.set_ylim(0.7 * top, 1.02 * max(top, 0.01))
    ticks = [1, 2, 4, 8, 16, 32, 64]
    axes.set(xscale='log', xlim=(800, 90_000), xlabel='kB a frame, logarithmic')
    axes.set_xticks([1000 * tick for tick in ticks], [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc='lower right', fontsize=8)


def _draw_saving(axes: Axes, ours: list[Point], theirs: list[Point]) -> None:
    """Draw an arrow from a rate to the JPEG that is as good, where it is longest."""
    needed = {size: (value, bytes_for(theirs, value)) for size, value in frontier(ours)}
    reached = {size: end for size, end in needed.items() if size < end[1] < float('inf')}
    if not reached:
        return
    size = max(reached, key=lambda size: reached[size][1] / size)
    value, end = reached[size]
    arrow = {'arrowstyle': '->', 'color': 'black', 'lw': 1.2}
    axes.annotate('', (end, value), (size, value), arrowprops=arrow, zorder=6)
    text = f' (arrow: {end / size:.1f} times the bytes as JPEG)'
    axes.set_title(axes.get_title() + text, fontsize=10)


def _curve(axes: Axes, points: Sequence[Point], **style: Any) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), **style)


def _png(figure: Figure, dpi: int) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format='png', dpi=dpi)
    return data.getvalue()
