# SPDX-License-Identifier: Apache-2.0
"""Pictures of the figures: share in time by link, delays, and a drive over a trace."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mtl_split_edge.fates import Outcome
from mtl_split_tools.link_bench.frames import Frame, Measured
from mtl_split_tools.link_bench.rows import GOALS
from mtl_split_tools.simulation.trace import Trace

COLORS = {'split': '#0072b2', 'jpeg': '#e69f00', 'webp': '#cc79a7', 'local': '#009e73'}
AUTO_COLOR = '#000000'
MISS = '#d55e00'
_MARKERS = 'osDv^<>Ph'
_STYLES = ('-', '--', ':', '-.')
_FAR_MS = 1e5
_ORDER = ('cut', '0.3', '0.3 up, 10 down', '1', '10')


def way_color(way: str) -> str:
    """Return the colour of a way."""
    return COLORS.get(way.partition(':')[0], AUTO_COLOR)


def draw_links(rows: Sequence[dict[str, Any]], deadline_s: float, title: str) -> bytes:
    """Draw by link: the share in time, and the accuracy of what the consumer has.

    Args:
        rows: Figures, of make_row().
        deadline_s: Time of an image, seconds.
        title: Heading.

    Returns:
        A PNG.
    """
    figure = _figure(13, 5.2, title)
    shares, accuracy = figure.subplots(1, 2)
    links = [link for link in _ORDER if any(row['link'] == link for row in rows)]
    places = {link: place for place, link in enumerate(links)}
    for way, look in _looks(rows).items():
        mine = sorted((places[row['link']], row) for row in rows if row['transport'] == way)
        at = [place for place, _ in mine]
        shares.plot(at, [100 * row['in_time'] for _, row in mine], **look)
        accuracy.plot(at, [row['streaming_miou'] for _, row in mine], **look)
    for link, (goal, _) in GOALS.items():
        if link in places:
            ends = (places[link] - 0.25, places[link] + 0.25)
            shares.plot(ends, [100 * goal] * 2, color=MISS, lw=2.5, alpha=0.6, zorder=1)
    shares.plot([], [], color=MISS, lw=2.5, alpha=0.6, label='goal')
    for axes in (shares, accuracy):
        axes.set(xticks=range(len(links)), xlabel='link, Mbit/s each way')
        axes.set_xticklabels([link.replace(', ', '\n') for link in links])
        axes.grid(alpha=0.3)
    shares.set(ylim=(-3, 104), ylabel=f'% of the images answered within {deadline_s * 1e3:g} ms')
    highest = max((row['streaming_miou'] or 0.0 for row in rows), default=1.0)
    accuracy.set(ylabel='mIoU of what the consumer has in time', ylim=(0, 1.1 * highest))
    handles, labels = shares.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc='outside right center')
    return _png(figure)


def draw_delays(measured: Sequence[Measured], deadline_s: float, title: str) -> bytes:
    """Draw for each link which share of the images is answered after which time.

    Args:
        measured: The measurements.
        deadline_s: Time of an image, seconds.
        title: Heading.

    Returns:
        A PNG.
    """
    links = [link for link in _ORDER[::-1] if any(m.link == link for m in measured)]
    figure = _figure(3.4 * len(links) + 1, 4.4, title)
    every = figure.subplots(1, len(links), sharey=True, squeeze=False)[0]
    looks = _looks([{'transport': m.way} for m in measured])
    for axes, link in zip(every, links, strict=True):
        for one in measured:
            if one.link == link:
                delays = sorted(f.delay_s * 1e3 for f in one.frames if f.delay_s is not None)
                shares = [100 * number / len(one.frames) for number in range(len(delays) + 1)]
                look = {**looks[one.way], 'marker': None}
                axes.step([0, *delays, _FAR_MS], [*shares, shares[-1]], where='post', **look)
        axes.axvline(deadline_s * 1e3, color=MISS, lw=1, alpha=0.7)
        axes.set(xlim=(0, 3 * deadline_s * 1e3), ylim=(0, 102), xlabel='ms from image to answer')
        axes.set_title(link if link == 'cut' else f'{link} Mbit/s', fontsize=10)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc='lower right')
    every[0].set_ylabel('% of the images')
    return _png(figure)


def draw_trace(
    trace: Trace,
    measured: Sequence[Measured],
    rows: Mapping[str, dict[str, Any]],
    deadline_s: float,
) -> bytes:
    """Draw a drive: link, what auto chose, its delays; and all ways side by side.

    Args:
        trace: The trace.
        measured: Auto first, then fixed ways.
        rows: Their figures by way.
        deadline_s: Time of an image, seconds.

    Returns:
        A PNG.
    """
    figure = _figure(13, 7.6, f'{trace.name}, played on the link; mode auto, 15 Hz')
    grid = figure.add_gridspec(3, 2, width_ratios=(3, 1))
    link = figure.add_subplot(grid[0, 0])
    choice = figure.add_subplot(grid[1, 0], sharex=link)
    delay = figure.add_subplot(grid[2, 0], sharex=link)
    ways = figure.add_subplot(grid[:, 1])
    auto = measured[0]
    moments = np.linspace(0, trace.seconds, 1200, endpoint=False)
    rates = [max(trace.mbit(float(moment)), 0.01) for moment in moments]
    link.fill_between(moments, rates, 0.01, color='#cccccc', lw=0)
    link.set(yscale='log', ylim=(0.1, max(rates) * 1.6), ylabel='link, Mbit/s')
    link.set_xlim(0, trace.seconds)
    _draw_choice(choice, auto)
    draw_delays_over_time(delay, auto.frames, auto.begin, deadline_s)
    delay.set_xlabel('seconds')
    for axes in (link, choice):
        axes.tick_params(labelbottom=False)
    for axes in (link, choice, delay):
        axes.grid(alpha=0.3)
    for place, one in enumerate(measured[::-1]):
        row = rows[one.way]
        ways.barh(place + 0.2, row['in_time'], 0.36, color=way_color(one.way))
        share = f'{row["in_time"]:.1%}'
        ways.text(0.02, place + 0.2, share, va='center', color='white', fontsize=9)
        kept = row['streaming_miou'] or 0.0
        ways.barh(place - 0.2, kept, 0.36, color=way_color(one.way), alpha=0.45)
        ways.text(0.02, place - 0.2, f'{kept:.3f}', va='center', fontsize=9)
    ways.set(yticks=range(len(measured)), xlim=(0, 1))
    ways.set_yticklabels([one.way for one in measured[::-1]])
    ways.set_title('share in time; below it, pale, the\nmIoU of what the consumer has', fontsize=10)
    return _png(figure)


def draw_delays_over_time(
    axes: Axes, frames: Sequence[Frame], begin: float, deadline_s: float
) -> None:
    """Draw a dot for each answer by who gave it, and a cross for each image without one in time.

    Args:
        axes: Where.
        frames: Images.
        begin: Zero of the time axis, monotonic seconds.
        deadline_s: Time of an image, seconds.
    """
    limit = deadline_s * 1e3
    for outcome, color, label in (
        (Outcome.ANSWERED_BY_SERVER, COLORS['split'], 'by the server'),
        (Outcome.ANSWERED_BY_EDGE, COLORS['local'], 'by the edge'),
    ):
        found = [
            (f.at - begin, f.delay_s * 1e3)
            for f in frames
            if f.outcome is outcome and f.delay_s is not None and f.in_time(deadline_s)
        ]
        if found:
            axes.plot(*zip(*found, strict=True), '.', color=color, ms=3, label=label)
    missed = [f.at - begin for f in frames if not f.in_time(deadline_s)]
    axes.plot(missed, [limit * 1.1] * len(missed), 'x', color=MISS, ms=4, label='late or none')
    axes.axhline(limit, color='black', lw=0.8, ls='--')
    axes.set(ylim=(0, limit * 1.35), ylabel='answer after, ms')
    axes.legend(loc='upper right', ncols=3, fontsize=8)


def _draw_choice(axes: Axes, auto: Measured) -> None:
    names = {frame.way for frame in auto.frames if frame.way}
    order = sorted(names, key=lambda way: (way == 'local', way.startswith('split'), way))
    rows = {way: place for place, way in enumerate(order)}
    for way, place in rows.items():
        at = [frame.at - auto.begin for frame in auto.frames if frame.way == way]
        axes.plot(at, [place] * len(at), '.', color=way_color(way), ms=4)
    dropped = [frame.at - auto.begin for frame in auto.frames if not frame.way]
    axes.plot(dropped, [-1] * len(dropped), 'x', color=MISS, ms=4)
    axes.set(yticks=range(-1, len(order)), ylim=(-1.6, len(order) - 0.4))
    axes.set_yticklabels(['dropped', *order])


def _looks(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return line and marker of each way; ways of one kind share their colour."""
    found: dict[str, dict[str, Any]] = {}
    for way in dict.fromkeys(row['transport'] for row in rows):
        color = way_color(way)
        like = sum(look['color'] == color for look in found.values())
        found[way] = {
            'color': color,
            'ls': _STYLES[like % len(_STYLES)],
            'marker': _MARKERS[len(found) % len(_MARKERS)],
            'lw': 2.4 if way == 'auto' else 1.3,
            'ms': 5,
            'label': way,
        }
    return found


def _figure(width: float, height: float, title: str) -> Figure:
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    return figure


def _png(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format='png', dpi=110)
    return data.getvalue()
