# SPDX-License-Identifier: Apache-2.0
"""The picture of a simulated drive."""

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mtl_split_core.profile import Mode
from mtl_split_tools.simulation.runs import AUTO, ORACLE, Run
from mtl_split_tools.simulation.trace import Trace

_COLORS = {Mode.SPLIT: '#0072b2', Mode.REMOTE: '#e69f00', Mode.LOCAL: '#009e73'}
_MISS = '#d55e00'
_GREY = '#777777'


def draw(trace: Trace, runs: Sequence[Run], title: str) -> bytes:
    """Draw the trace, what the policy chose, its delays, and all ways side by side.

    Args:
        trace: The trace.
        runs: From drive_all().
        title: Heading.

    Returns:
        A PNG.
    """
    figure = Figure(figsize=(13, 8.5), layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    grid = figure.add_gridspec(3, 2, width_ratios=(2, 1))
    link = figure.add_subplot(grid[0, 0])
    choice = figure.add_subplot(grid[1, 0], sharex=link)
    delay = figure.add_subplot(grid[2, 0], sharex=link)
    ways = figure.add_subplot(grid[:, 1])
    found = {run.name: run for run in runs}
    _draw_link(link, trace)
    _draw_choice(choice, found[AUTO], found[ORACLE])
    _draw_delay(delay, found[AUTO])
    _draw_ways(ways, runs)
    data = io.BytesIO()
    figure.savefig(data, format='png', dpi=110)
    return data.getvalue()


def _draw_link(axes: Axes, trace: Trace) -> None:
    moments = [trace.seconds * (number + 0.5) / 1200 for number in range(1200)]
    rates = [trace.mbit(moment) for moment in moments]
    axes.fill_between(moments, [max(rate, 0.01) for rate in rates], 0.01, color='#cccccc', lw=0)
    axes.set(
        yscale='log', ylim=(0.1, max(rates) * 1.6), ylabel='link, Mbit/s', xlim=(0, trace.seconds)
    )
    axes.grid(alpha=0.3)
    axes.tick_params(labelbottom=False)


def _draw_choice(axes: Axes, auto: Run, oracle: Run) -> None:
    seen = {f.point.name: f.point for run in (oracle, auto) for f in run.frames if f.point}
    order = sorted(seen.values(), key=lambda point: (point.mode is Mode.LOCAL, point.quality))
    rows = {point.name: number for number, point in enumerate(order)}
    planned = [(frame.at, rows[frame.point.name]) for frame in oracle.frames if frame.point]
    axes.plot(*zip(*planned, strict=True), '.', color='#bbbbbb', ms=7, label='oracle')
    for mode, color in _COLORS.items():
        chosen = [
            (f.at, rows[f.point.name]) for f in auto.frames if f.point and f.point.mode is mode
        ]
        if chosen:
            axes.plot(*zip(*chosen, strict=True), '.', color=color, ms=3, label=f'auto, {mode}')
    axes.set(yticks=range(len(order)), ylim=(-0.6, len(order) - 0.4))
    axes.set_yticklabels([f'{point.name}  {point.quality:.3f}' for point in order])
    axes.grid(alpha=0.3)
    axes.tick_params(labelbottom=False)
    axes.legend(loc='upper center', ncols=4, fontsize=8, bbox_to_anchor=(0.5, 1.17), frameon=False)


def _draw_delay(axes: Axes, auto: Run) -> None:
    limit = auto.deadline_s * 1e3
    good = [
        (f.at, f.delay_s * 1e3) for f in auto.frames if f.delay_s is not None and auto.in_time(f)
    ]
    missed = [frame.at for frame in auto.frames if not auto.in_time(frame)]
    if good:
        axes.plot(*zip(*good, strict=True), '.', color=_GREY, ms=3, label='in time')
    axes.plot(missed, [limit * 1.1] * len(missed), 'x', color=_MISS, ms=4, label='late or dropped')
    axes.axhline(limit, color='black', lw=0.8, ls='--', label='deadline')
    axes.set(ylim=(0, limit * 1.3), ylabel='answer after, ms', xlabel='seconds')
    axes.grid(alpha=0.3)
    axes.legend(loc='upper right', ncols=3, fontsize=8)


def _draw_ways(axes: Axes, runs: Sequence[Run]) -> None:
    """Draw missed frames and score as bars, best score first."""
    figures = sorted(
        ((run.name, run.document()) for run in runs), key=lambda item: item[1]['score']
    )
    for row, (name, found) in enumerate(figures):
        color = {AUTO: '#0072b2', ORACLE: 'black'}.get(name, '#bbbbbb')
        axes.barh(row + 0.2, found['score'], 0.36, color=color)
        axes.barh(row - 0.2, found['misses'], 0.36, color=_MISS, alpha=0.75)
        text = f'{found["score"]:.3f} ({found["accuracy"]:.3f} in time)'
        axes.text(found['score'] + 0.01, row + 0.2, text, va='center', fontsize=8)
        axes.text(
            found['misses'] + 0.01, row - 0.2, f'{found["misses"]:.1%}', va='center', fontsize=8
        )
    axes.set(yticks=range(len(figures)), xlim=(0, 1.2), ylim=(-0.7, len(figures) - 0.3))
    axes.set_yticklabels([name for name, _ in figures])
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.set_title(
        'accuracy per camera frame, missed ones as 0;\nbelow it, in orange, the share missed',
        fontsize=10,
    )
    axes.grid(alpha=0.3, axis='x')
