# SPDX-License-Identifier: Apache-2.0
"""The picture that tells an engineer where to cut: bytes and work of each cut, and its answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.experiments.frame import Result
from mtl_split_tools.experiments.where_to_split_choice import (
    WITHIN,
    first_below,
    keeping,
    mean,
    rival,
    useful,
)
from mtl_split_train.published.cut_training import RIVAL

_COLORS = ('#0072b2', '#009e73', '#d55e00', '#8e4ba8', '#b8860b', '#777777')
_GREY = '#444444'
_GOOD = '#dff0d8'
_BITS = ('#08306b', '#2f7fbc', '#e08214', '#b2182b', '#67001f', '#888888', '#aaaaaa', '#cccccc')
_STAR, _DOT, _POINT = 18, 6, 4


def draw_backbones(results: Mapping[str, Result]) -> bytes:
    """Draw all cuts of all backbones, mark where to cut, and the answers that coding leaves.

    Args:
        results: Of the experiment, by backbone.

    Returns:
        A PNG.
    """
    figure = canvas(14, 9.6, _title(results))
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.45, 1)).ravel()
    axes = upper.subplots()
    for color, (name, result) in zip(_COLORS, results.items(), strict=False):
        _draw_cuts(axes, name, result, color)
    _frame(axes)
    axes.legend(loc='center left', bbox_to_anchor=(1.01, 0.5), fontsize=10, frameon=False,
                labelspacing=1.2)  # fmt: skip
    panels = lower.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for panel, color, (name, result) in zip(panels, _COLORS, results.items(), strict=False):
        _draw_answers(panel, name, result, color)
    panels[0].set_ylabel('mean accuracy of the tasks')
    handles, labels = panels[0].get_legend_handles_labels()
    lower.legend(handles, labels, loc='outside lower center', ncols=9, fontsize=9, frameon=False)
    return png(figure)


def draw_curves(results: Mapping[str, Result]) -> bytes:
    """Draw accuracy over bytes: a curve for each cut, from many bits to few, and the JPEG's.

    Args:
        results: Of the experiment, by backbone.

    Returns:
        A PNG.
    """
    figure = canvas(14, 4.8, 'Accuracy over bytes: early cuts light, late ones dark')
    panels = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for axes, (name, result) in zip(panels, results.items(), strict=True):
        cuts = result['cuts']
        for cut in cuts:
            shade = colormaps['viridis_r'](0.08 + 0.92 * cut['stage'] / len(cuts))
            _curve(axes, cut['coded'], color=shade, lw=1.2, ms=4)
        _curve(axes, result['jpeg'], color='#d62728', lw=2.2, ms=6, label='the picture as JPEG')
        axes.axhline(mean(result['uncoded']), color='black', lw=1, label='uncoded')
        axes.axhline(mean(result['chance']), color=_GREY, lw=1, ls='--', label='guessing')
        axes.set_title(f'{name}, {len(cuts)} cuts, {result["side"]} px', fontsize=10)
        axes.set(xscale='log', xlabel='bytes of a picture', ylim=(0, 1))
        plain(axes)
    panels[0].set_ylabel('mean accuracy of the tasks')
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=3, fontsize=9, frameon=False)
    return png(figure)


def _curve(axes: Axes, ways: Sequence[Result], **style: Any) -> None:
    places = [(way['bytes'], mean(way['accuracy'])) for way in ways]
    axes.plot(*zip(*places, strict=True), '.-', **style)


def _title(results: Mapping[str, Result]) -> str:
    found = {name: first_below(result) for name, result in results.items()}
    here = [
        f'{name} after stage {place[0]["stage"]} of {len(results[name]["cuts"])}'
        for name, place in found.items()
        if place
    ]
    never = [name for name, place in found.items() if not place]
    lines = ['Where to cut: ' + ', '.join(here[:3])] if here else ['No cut beats the JPEG']
    if here[3:]:
        lines.append(', '.join(here[3:]))
    if here and never:
        lines[-1] += f'; nowhere: {", ".join(never)}'
    return '\n'.join(lines)


def _draw_cuts(axes: Axes, name: str, result: Result, color: str) -> None:
    limit = rival(result)['bytes']
    found = [(cut, way['bytes'] / limit) for cut, way in keeping(result)]
    places = [(cut['edge_ms'], share) for cut, share in found]
    if places:
        axes.plot(*zip(*places, strict=True), '.-', color=color, lw=1, ms=_POINT, alpha=0.6)
    best = first_below(result)
    for cut, way in useful(result):
        place = cut['edge_ms'], way['bytes'] / limit
        if best and cut is best[0]:
            continue
        axes.plot(*place, 'o', color=color, mec='black', ms=_DOT, mew=0.7, zorder=3)
        axes.annotate(
            str(cut['stage']), place, xytext=(5, 4), textcoords='offset points', fontsize=9,
            color=color,
        )  # fmt: skip
    if best is None:
        axes.plot([], [], 'o', color=color, ms=_DOT, label=f'{name}: nowhere')
        return
    cut, way = best
    share = way['bytes'] / limit
    axes.plot(
        cut['edge_ms'], share, '*', color=color, mec='black', ms=_STAR, mew=0.8, zorder=4,
        label=f'{name}: after stage {cut["stage"]}, {way["coarseness"]} bits\n'
        f'{cut["edge_ms"]:.1f} of {result["cuts"][-1]["edge_ms"]:.1f} ms, '
        f'{100 * share:.0f} % of the JPEG',
    )  # fmt: skip
    axes.annotate(
        str(cut['stage']), (cut['edge_ms'], share), xytext=(10, 4), textcoords='offset points',
        fontsize=11, color=color, fontweight='bold',
    )  # fmt: skip


def _frame(axes: Axes) -> None:
    axes.set(
        xscale='log', yscale='log',
        xlabel='work on the edge up to the cut, ms on one thread, at 480x368',
        ylabel=f'least Z_b that keeps the answers, JPEG {RIVAL} = 1',
    )  # fmt: skip
    axes.set_title(
        f'star: the first cut that sends less than the picture as JPEG {RIVAL}, coded as coarsely '
        f'as costs at most {100 * WITHIN:.0f} point of accuracy; numbers: stages', fontsize=10,
    )  # fmt: skip
    low, high = axes.get_ylim()
    low, high = min(low * 0.75, 0.5), max(high, 2)
    axes.set_ylim(low, high)
    axes.axhspan(low, 1, color=_GOOD, lw=0, zorder=0)
    axes.axhline(1, color=_GREY, lw=1, ls='--', zorder=1)
    axes.annotate(
        'green: less than the JPEG', (0.995, low), xycoords=('axes fraction', 'data'),
        xytext=(0, 5), textcoords='offset points', fontsize=9, color=_GREY, ha='right',
    )  # fmt: skip
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
        axis.set_minor_formatter(NullFormatter())
    plain(axes)


def _draw_answers(axes: Axes, name: str, result: Result, color: str) -> None:
    cuts = result['cuts']
    bar = mean(result['uncoded'])
    axes.axhline(bar, color='black', lw=1.2, label='uncoded')
    stages = [cut['stage'] for cut in cuts]
    for place, shade in zip(range(len(cuts[0]['coded'])), _BITS, strict=False):
        ways = [cut['coded'][place] for cut in cuts]
        axes.plot(
            stages, [mean(way['accuracy']) for way in ways], '.-', color=shade, lw=1.3, ms=5,
            label=f'{ways[0]["coarseness"]} bits a value',
        )  # fmt: skip
    axes.axhline(mean(result['chance']), color=_GREY, lw=1, ls='--', label='guessing')
    if best := first_below(result):
        axes.axvline(best[0]['stage'], color=color, lw=5, alpha=0.25, zorder=0)
        axes.plot(best[0]['stage'], bar, '*', color=color, mec='black', ms=13, mew=0.7, zorder=4)
    axes.set_title(f'{name}, {result["side"]} px', fontsize=10, color=color, fontweight='bold')
    axes.set(xlabel='cut after stage', ylim=(0, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)
