# SPDX-License-Identifier: Apache-2.0
"""Accuracy against bytes on the wire: of what was answered, and of what the consumer has."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.bench_report.findings import IN_TIME
from mtl_split_tools.bench_report.looks import (
    AUTO,
    COLORS,
    KINDS,
    LOCAL,
    PICTURE,
    SPLIT,
    Row,
    color,
    family,
    label,
    link_name,
    links_of,
    on_link,
)
from mtl_split_tools.console import kilobytes
from mtl_split_tools.spreads import limits, whisker

_HOLLOW = ('webp', 'h265', 'float16', 'float32')
# Where names stand beside their points, so that they keep clear of each other.
_PLACES = {
    'jpeg': ((9, -3), 'left'), 'webp': ((-9, 3), 'right'), 'h264': ((0, 12), 'center'),
    'h265': ((0, -13), 'center'), 'float16': ((0, -13), 'center'), 'float32': ((0, -13), 'center'),
}  # fmt: skip
_TICKS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]


def draw_accuracy(rows: Sequence[Row], fps: float) -> bytes:
    """Draw accuracy against bytes: where all arrives, and over the two slowest links.

    The place of a transport is what it needs where nothing holds it back, so over a slow link
    its point falls straight down.

    Args:
        rows: Figures of the bench.
        fps: Images a second.

    Returns:
        A PNG.
    """
    links = links_of(rows)
    # The plain accuracy of the few that a loaded machine answers says nothing.
    fair = [row for row in on_link(rows, links[0]) if row['in_time'] >= IN_TIME]
    needs = {row['transport']: row['bytes_wire'] for row in on_link(rows, links[0])}
    chosen = [links[0], *[link for link in links[1:] if link is not None][-2:]]
    figure = canvas(5.2 * len(chosen), 5.2, _title(fair))
    panels = figure.subplots(1, len(chosen), sharex=True, squeeze=False)[0]
    sent = [need for way, need in needs.items() if family(way) not in (LOCAL, AUTO)]
    best = max(row[key] or 0.0 for row in rows for key in ('miou', 'streaming_miou'))
    for axes, link in zip(panels, chosen, strict=True):
        key = 'miou' if link == links[0] else 'streaming_miou'
        _draw_link(axes, fair if key == 'miou' else on_link(rows, link), needs, key)
        what = 'of the answers' if key == 'miou' else 'of the answer at hand'
        axes.set_title(f'{link_name(link)}: mIoU {what}', fontsize=11)
        axes.set_xlabel('kB a frame on the wire if nothing holds it back (logarithmic)')
        if key == 'miou':  # the differences are what there is to see
            low = min((row['miou'] or best for row in fair), default=0.0)
            axes.set_ylim(low - 0.35 * (best - low) - 0.01, best + 0.35 * (best - low) + 0.01)
        else:
            axes.set_ylim(-0.03, 1.12 * best)
            _shade(axes, link or 0.0, fps)
    panels[0].set(xscale='log', xlim=(0.5 * min(sent), 2.2 * max(sent)), ylabel='mIoU')
    inside = [tick for tick in _TICKS if 0.5 * min(sent) < 1e3 * tick < 2.2 * max(sent)]
    panels[0].set_xticks([1e3 * tick for tick in inside], [str(tick) for tick in inside])
    for axes in panels:
        axes.minorticks_off()
    return png(figure)


def _title(rows: Sequence[Row]) -> str:
    """Return the finding: how many times the bytes pictures need to be as good as Z_b."""
    split = [row for row in rows if family(row['transport']) == SPLIT and row['miou']]
    pictures = [row for row in rows if family(row['transport']) == PICTURE and row['miou']]
    found = []
    for row in split:
        as_good = [one['bytes_wire'] for one in pictures if one['miou'] >= row['miou'] - 0.005]
        if as_good:
            found.append((min(as_good) / row['bytes_wire'], row, min(as_good)))
    if not found:
        return 'Accuracy against bytes on the wire'
    times, row, other = max(found, key=lambda one: one[0])
    if times < 1.05:
        return 'A picture needs no more bytes than Z_b for the same accuracy'
    return (
        f'The same accuracy takes up to {times:.1f} times the bytes as a picture: '
        f'{kilobytes(other)} against {kilobytes(row["bytes_wire"])} ({label(row["transport"])})'
    )


def _shade(axes: Axes, mbit: float, fps: float) -> None:
    """Shade what is more than the link carries."""
    carried = mbit * 1e6 / 8 / fps
    axes.axvspan(carried, 1e9, color=COLORS[PICTURE], alpha=0.09, lw=0)
    axes.text(
        carried,
        0.02,
        f' more than\n {link_name(mbit)} carry\n at {fps:g} Hz',
        va='bottom',
        fontsize=9,
        color='#8a3c00',
        transform=axes.get_xaxis_transform(),
    )


def _draw_link(axes: Axes, rows: Sequence[Row], needs: dict[str, float], key: str) -> None:
    plain(axes)
    curves: dict[str, list[tuple[float, float, str]]] = {}
    for row in rows:
        way, value = row['transport'], row[key]
        if value is None:
            continue
        if family(way) in (LOCAL, AUTO):
            _draw_level(axes, way, value)
            if between := limits(row, key):
                axes.axhspan(*between, color=color(way), alpha=0.12, lw=0)
        elif way in needs:
            if bar := whisker(row, key):
                axes.errorbar(needs[way], value, bar, fmt='none', ecolor=color(way), capsize=3)
            curves.setdefault(way.partition(':')[0], []).append((needs[way], value, way))
    for kind, points in curves.items():
        points.sort()
        filled = {} if kind not in _HOLLOW else {'mfc': 'white', 'ls': ':'}
        sizes, values, _ = zip(*points, strict=True)
        style: dict[str, Any] = {
            'color': color(kind),
            'ms': 7,
            'lw': 1.8,
            'mew': 1.6,
            'marker': 'o',
        }
        axes.plot(sizes, values, **{**style, **filled})
        (across, up), side = _PLACES.get(kind, ((0, 11), 'center'))
        look: dict[str, Any] = {
            'ha': side,
            'va': 'center',
            'color': color(kind),
            'textcoords': 'offset points',
        }
        named = len(points) - 1 if key != 'miou' and family(kind) == PICTURE else 0
        for number, (size, value, way) in enumerate(points):
            if number == named:
                name = label(way) if key == 'miou' else label(kind)
                bold: dict[str, Any] = {'fontsize': 10, 'fontweight': 'bold'}
                axes.annotate(name, (size, value), (across, up), **look, **bold)
            elif key == 'miou' or family(kind) == SPLIT:
                text = way.partition(':')[2]
                axes.annotate(text, (size, value), (across, up), fontsize=8.5, **look)


def _draw_level(axes: Axes, way: str, value: float) -> None:
    auto = family(way) == AUTO
    axes.axhline(value, color=color(way), lw=1.4, ls=':' if auto else '--')
    axes.annotate(
        KINDS[family(way)],
        (1, value),
        (4, 6 if auto else -6),
        xycoords=('axes fraction', 'data'),
        textcoords='offset points',
        ha='left',
        va='center',
        fontsize=9.5,
        fontweight='bold',
        color=color(way),
    )
