# SPDX-License-Identifier: Apache-2.0
"""The picture of a plan: accuracy against latency and against bytes, with both limits."""

import math
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mtl_split_core.profile import Mode
from mtl_split_tools.bench_report.drawing import canvas, plain, png, spread
from mtl_split_tools.bench_report.looks import COLORS, LOCAL, PICTURE, SPLIT
from mtl_split_tools.plan.candidate import Candidate, Limit
from mtl_split_tools.plan.search import Plan
from mtl_split_tools.plan.show import PLACEMENTS, demand_text, verdict

_COLORS = {Mode.SPLIT: COLORS[SPLIT], Mode.REMOTE: COLORS[PICTURE], Mode.LOCAL: COLORS[LOCAL]}
_LIMIT = '#444444'
_NAMED = 12

Place = Callable[[Candidate], float]


def draw_plan(plan: Plan) -> bytes:
    """Draw all candidates.

    Args:
        plan: The plan.

    Returns:
        A PNG.
    """
    demand = plan.demand
    figure = canvas(13, 6.2, f'{verdict(plan)}\n{demand_text(demand)}')
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, plan, lambda one: one.latency_ms, demand.deadline_ms, 'too late')
    _say_why(left, plan, lambda one: one.latency_ms, Limit.DEADLINE, 'right')
    left.set(xlabel='picture to answer, ms (logarithmic)', ylabel='expected accuracy')
    sent = [one.size for one in plan.candidates if one.size]
    limit = demand.bandwidth_bit_s / 8 / demand.fps
    nothing = min([limit, *sent]) / 3  # the edge alone, left of everything that travels
    _draw(right, plan, lambda one: one.size or nothing, limit, f'too much at {demand.fps:g} Hz')
    _say_why(right, plan, lambda one: one.size or nothing, Limit.BANDWIDTH, 'left')
    right.set_xlabel('kB for a picture (logarithmic)')
    right.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: '' if value < 2 * nothing else f'{value / 1e3:g}')
    )
    if len(sent) < len(plan.candidates):
        right.annotate(
            'sends nothing', (nothing, 0.02), xycoords=('data', 'axes fraction'), ha='center',
            rotation=90, va='bottom', color=COLORS[LOCAL], fontsize=9,
        )  # fmt: skip
    _legend(figure, plan)
    return png(figure)


def _draw(axes: Axes, plan: Plan, place: Place, limit: float, beyond: str) -> None:
    places = [place(one) for one in plan.candidates]
    low, high = min(places) * 0.55, max(places) * 1.5
    if math.isfinite(limit):
        low, high = min(low, limit * 0.6), max(high, limit * 1.6)
        axes.axvspan(limit, high, color=_LIMIT, alpha=0.1, lw=0)
        axes.axvline(limit, color=_LIMIT, lw=1.2)
        axes.annotate(
            f' {beyond}', (limit, 0.99), xycoords=('data', 'axes fraction'), va='top',
            color=_LIMIT, fontsize=10,
        )  # fmt: skip
    axes.set(xscale='log', xlim=(low, high))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 700 * low else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.xaxis.set_minor_formatter(NullFormatter())
    plain(axes)
    for one in plan.candidates:
        color = _COLORS[one.way.point.mode]
        spot = place(one), one.accuracy
        if one is plan.chosen:
            axes.plot(*spot, '*', color=color, ms=22, mec='black', mew=1.2, zorder=5)
        elif not one.reasons:
            axes.plot(*spot, 'o', color=color, ms=9, mec='black', zorder=4)
        elif one.fits:
            axes.plot(*spot, 'o', color='white', ms=7, mec=color, zorder=3)
        else:
            axes.plot(*spot, 'x', color=color, ms=6, alpha=0.6, zorder=2)
    _name(axes, plan, place)


def _name(axes: Axes, plan: Plan, place: Place) -> None:
    """Write names beside the front, one below the other where points are close."""
    named = plan.front[:_NAMED]
    if not named:
        return
    low, high = axes.get_ylim()
    heights = spread([one.accuracy for one in named], (high - low) / 26, low, high)
    several = len({one.way.profile for one in plan.candidates}) > 1
    for one, height in zip(named, heights, strict=True):
        axes.annotate(
            one.name if several else one.way.point.name,
            (place(one), one.accuracy),
            xytext=(-12 if one is plan.chosen else -8, height),
            textcoords=('offset points', 'data'),
            ha='right', va='center', fontsize=9,
            fontweight='bold' if one is plan.chosen else 'normal',
        )  # fmt: skip


def _say_why(axes: Axes, plan: Plan, place: Place, shown: Limit, align: str) -> None:
    """Write what rules out the candidates that this panel's own limit does not rule out."""
    for one in plan.candidates:
        limits = [reason.limit for reason in one.reasons]
        if not one.fits and shown not in limits:
            axes.annotate(
                ', '.join(limits), (place(one), one.accuracy),
                xytext=(-7 if align == 'right' else 7, 0),
                textcoords='offset points', ha=align, va='center', fontsize=8, color=_LIMIT,
            )  # fmt: skip


def _legend(figure: Figure, plan: Plan) -> None:
    seen = {one.way.point.mode for one in plan.candidates}
    entries = [
        *(
            _mark('s', _COLORS[mode], f'{mode}: {text}')
            for mode, text in PLACEMENTS.items()
            if mode in seen
        ),
        _mark('*', 'white', 'chosen', 14),
        _mark('o', '#888888', 'fits, nothing beats it'),
        Line2D([], [], marker='o', color='white', mec='#888888', ls='', label='fits, is beaten'),
        Line2D([], [], marker='x', color='#888888', ls='', label='does not fit'),
    ]
    figure.legend(handles=entries, loc='outside lower center', ncols=len(entries), fontsize=9)


def _mark(marker: str, color: str, label: str, size: float = 8) -> Line2D:
    return Line2D([], [], marker=marker, color=color, mec='black', ms=size, ls='', label=label)
