# SPDX-License-Identifier: Apache-2.0
"""Which share of the images is answered after which time, and by which link."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from mtl_split_tools.bench_report.drawing import canvas, plain, png, spread
from mtl_split_tools.bench_report.looks import (
    AUTO,
    KINDS,
    LOCAL,
    OTHER,
    PICTURE,
    RAW,
    SPLIT,
    VIDEO,
    Row,
    color,
    family,
    label,
    link_name,
    links_of,
    on_link,
)
from mtl_split_tools.spreads import whisker, with_limits

_FAR_MS = 1e6
_ORDER = ('split', 'auto', 'local', 'jpeg', 'webp', 'h264', 'h265')

Delays = Mapping[tuple[float | None, str], Sequence[float | None]]
"""Milliseconds by link and transport; None: not answered."""


def draw_delays(
    delays: Delays, rows: Sequence[Row], links: Sequence[float | None], deadline_ms: float
) -> bytes:
    """Draw one panel per link: which share of the images is answered after which time.

    Args:
        delays: From the publishing of an image to its answer.
        rows: Figures of the bench; of repeats the least and most median are drawn.
        links: What to draw, one panel each.
        deadline_ms: Time of an image.

    Returns:
        A PNG.
    """
    figure = canvas(5.2 * len(links), 4.8, _title(delays, links, deadline_ms))
    panels = figure.subplots(1, len(links), sharey=True, squeeze=False)[0]
    for axes, link in zip(panels, links, strict=True):
        plain(axes)
        medians = {row['transport']: row for row in on_link(rows, link)}
        limit = 2.6 * deadline_ms
        named = []
        mine = [(way, found) for (at, way), found in delays.items() if at == link]
        chosen = _worth_a_name([way for way, _ in mine])
        for way, found in mine:
            known = sorted(value for value in found if value is not None)
            shares = [100 * number / len(found) for number in range(len(known) + 1)]
            strong = way in chosen
            axes.step([0, *known, _FAR_MS], [*shares, shares[-1]], where='post', color=color(way),
                      lw=2.4 if strong else 0.8, alpha=1 if strong else 0.4,
                      zorder=4 if family(way) == SPLIT else 3)  # fmt: skip
            if strong and way in medians and (bar := whisker(medians[way], 'end_to_end_ms', 'p50')):
                middle = medians[way]['end_to_end_ms']['p50']
                axes.errorbar(middle, 50, xerr=bar, fmt='none', ecolor=color(way), capsize=4)
            if strong:
                inside = np.searchsorted(known, limit)
                named.append((shares[inside], known, way))
        _name(axes, named)
        axes.axvline(deadline_ms, color='black', lw=1, ls='--')
        axes.text(deadline_ms, 101.5, f'{deadline_ms:g} ms', ha='center', va='bottom', fontsize=9)
        axes.set(xlim=(0, limit), ylim=(0, 101), xlabel='ms from image to answer')
        axes.set_title(link_name(link), fontsize=11, pad=18)
    panels[0].set_ylabel('% of the images answered by then')
    return png(figure)


def draw_shares(rows: Sequence[Row], deadline_ms: float) -> bytes:
    """Draw a table of colours: share in time by transport and link, accuracy beside it.

    Args:
        rows: Figures of the bench.
        deadline_ms: Time of an image.

    Returns:
        A PNG.
    """
    links = links_of(rows)
    value = {(row['transport'], row['link_mbit']): row for row in rows}
    ways = sorted(dict.fromkeys(row['transport'] for row in rows), key=_rank)
    figure = canvas(2.4 + 1.75 * len(links), 1.6 + 0.34 * len(ways), _shares_title(rows, links))
    shares, accuracy = figure.subplots(1, 2, sharey=True)
    best = max((row['miou'] or 0.0 for row in rows), default=1.0)
    for axes, key, top, title in (
        (shares, 'in_time', 1.0, f'% of the images answered within {deadline_ms:g} ms'),
        (accuracy, 'streaming_miou', best, 'mIoU of the answer at hand'),
    ):
        cells = np.full((len(ways), len(links)), np.nan)
        for place, way in enumerate(ways):
            for column, link in enumerate(links):
                row = value.get((way, link))
                if row is None or row[key] is None:
                    continue
                cells[place, column] = row[key]
                say = _percent if key == 'in_time' else '{:.2f}'.format
                text = with_limits(say(row[key]), row, key, say)
                size = 10 if len(text) < 5 else 8
                axes.text(column, place, text, ha='center', va='center', fontsize=size)
        axes.imshow(cells, cmap='RdBu', vmin=-0.35 * top, vmax=1.35 * top, aspect='auto')
        axes.set_title(title, fontsize=11)
        axes.set_xticks(range(len(links)), [link_name(link) for link in links], fontsize=9)
        axes.tick_params(length=0)
        axes.set_xticks(np.arange(len(links) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(ways) + 1) - 0.5, minor=True)
        axes.grid(which='minor', color='white', lw=2)
        axes.tick_params(which='minor', length=0)
        axes.spines[:].set_visible(False)
    shares.set_yticks(range(len(ways)), [label(way) for way in ways], fontsize=10)
    for text, way in zip(shares.get_yticklabels(), ways, strict=True):
        text.set(color=color(way), fontweight='bold')
    return png(figure)


def _percent(share: float) -> str:
    return f'{100 * share:.0f}'


def _worth_a_name(ways: Sequence[str]) -> set[str]:
    """Return the first and last of each kind, by the number behind the colon."""
    kinds: dict[str, list[str]] = {}
    for way in ways:
        kinds.setdefault(way.partition(':')[0], []).append(way)
    kinds.pop('webp', None)
    found = set()
    for members in kinds.values():
        members.sort(key=lambda way: float(way.partition(':')[2] or 0))
        found |= {members[0], members[-1]}
    return {way for way in found if family(way) != RAW or way == 'raw'}


def _name(axes: Axes, named: Sequence[tuple[float, list[float], str]]) -> None:
    """Write the names on the right, at the heights where the curves leave the panel."""
    # Of curves that end together the fastest is named first.
    named = sorted(named, key=lambda one: (one[0] if one[0] < 99 else 100, -_median(one[1])))
    heights = spread([share for share, _, _ in named], 5.4, 1.0, 100.0)
    for height, (share, known, way) in zip(heights, named, strict=True):
        what = f' {_median(known):.0f} ms' if share >= 50 else f' {share:.0f}%'
        axes.annotate(f'{label(way)}{what}', (1.0, height), (5, 0),
                      xycoords=('axes fraction', 'data'), textcoords='offset points',
                      va='center', fontsize=9, color=color(way), fontweight='bold')  # fmt: skip


def _rank(way: str) -> tuple[int, float]:
    kind, _, number = way.partition(':')
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER), float(number or 0)


def _median(known: Sequence[float]) -> float:
    return known[len(known) // 2] if known else 0.0


def _share_in_time(found: Sequence[float | None], deadline_ms: float) -> float:
    return sum(value is not None and value <= deadline_ms for value in found) / max(len(found), 1)


def _title(delays: Delays, links: Sequence[float | None], deadline_ms: float) -> str:
    """Return what the best of each kind reaches over the slowest of the links."""
    best: dict[str, float] = {}
    for (link, way), found in delays.items():
        if link == links[-1]:
            share = _share_in_time(found, deadline_ms)
            best[family(way)] = max(share, best.get(family(way), 0.0))
    kinds = [kind for kind in (SPLIT, OTHER, PICTURE, VIDEO, LOCAL, AUTO) if kind in best]
    text = ', '.join(f'{KINDS[kind]} {best[kind]:.0%}' for kind in kinds)
    return f'{link_name(links[-1])}, answered within {deadline_ms:g} ms by the best of each: {text}'


def _shares_title(rows: Sequence[Row], links: Sequence[float | None]) -> str:
    """Return the finding: the slowest link that each kind still gets nearly all over in time."""
    found = []
    for kind in (SPLIT, PICTURE, VIDEO):  # the line has no room for another bundle, its rows have
        good = [
            link
            for link in links
            if any(
                row['in_time'] >= 0.95
                for row in on_link(rows, link)
                if family(row['transport']) == kind
            )
        ]
        if any(family(row['transport']) == kind for row in rows):
            found.append(
                f'{KINDS[kind]} {"down to " + link_name(good[-1]) if good else "on no link"}'
            )
    return f'In time (95 %): {", ".join(found)}' if found else 'Share in time by link'
