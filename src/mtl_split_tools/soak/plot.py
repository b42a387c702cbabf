# SPDX-License-Identifier: Apache-2.0
"""The picture of a drive: faults, share in time, delays and memory over time."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mtl_split_tools.link_bench.plot import COLORS, draw_delays_over_time
from mtl_split_tools.soak.drive import Drive, Memory
from mtl_split_tools.soak.faults import Fault, Kind

_WINDOW_S = 5.0
_FAULT_COLORS = dict(
    zip(
        Kind,
        ('#d55e00', '#cc79a7', '#777777', '#e69f00', '#f0e442', '#56b4e9', '#b0d8a0'),
        strict=True,
    )
)


def draw(
    drive: Drive, faults: Sequence[Fault], seconds: float, deadline_s: float, title: str
) -> bytes:
    """Draw a drive.

    Args:
        drive: The drive.
        faults: Its faults.
        seconds: Its length.
        deadline_s: Time of an image, seconds.
        title: Heading.

    Returns:
        A PNG.
    """
    figure = Figure(figsize=(15, 8.5), layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    share, delay, memory = figure.subplots(3, 1, sharex=True)
    _draw_share(share, drive, seconds, deadline_s)
    draw_delays_over_time(delay, drive.frames, drive.begin, deadline_s)
    for name, color, found in (
        ('edge', COLORS['local'], drive.edge),
        ('server', COLORS['split'], drive.server),
    ):
        _draw_memory(memory, name, color, found)
    highest = max((mb for m in (drive.edge, drive.server) for mb in m.mb if mb), default=1.0)
    memory.set(ylabel='memory, MB', ylim=(0, 1.15 * highest))
    memory.set(xlabel='seconds', xlim=(0, seconds))
    memory.legend(loc='lower right', fontsize=8)
    for axes in (share, delay, memory):
        axes.grid(alpha=0.3)
        for fault in faults:
            color = _FAULT_COLORS[fault.kind]
            axes.axvspan(fault.at, fault.end, color=color, alpha=0.45, lw=0, zorder=0)
    kinds = dict.fromkeys(fault.kind for fault in faults)
    share.legend(
        handles=[Patch(color=_FAULT_COLORS[kind], alpha=0.6, label=str(kind)) for kind in kinds],
        ncols=len(kinds) or 1,
        fontsize=8,
        loc='upper center',
        bbox_to_anchor=(0.5, 1.16),
        frameon=False,
    )
    data = io.BytesIO()
    figure.savefig(data, format='png', dpi=100)
    return data.getvalue()


def _draw_share(axes: Axes, drive: Drive, seconds: float, deadline_s: float) -> None:
    edges = np.arange(0, seconds + _WINDOW_S, _WINDOW_S)
    moments = np.array([frame.at - drive.begin for frame in drive.frames])
    good = np.array([frame.in_time(deadline_s) for frame in drive.frames], bool)
    every, _ = np.histogram(moments, edges)
    made, _ = np.histogram(moments[good], edges)
    share = np.divide(100 * made, every, out=np.full(len(every), np.nan), where=every > 0)
    axes.step(edges, [*share, share[-1]], where='post', color='black', lw=1.2)
    axes.set(ylim=(-3, 104), ylabel=f'% in time, by {_WINDOW_S:g} s')


def _draw_memory(axes: Axes, name: str, color: str, memory: Memory) -> None:
    values = [np.nan if value is None else value for value in memory.mb]
    axes.plot(memory.seconds, values, color=color, label=name)
