# SPDX-License-Identifier: Apache-2.0
"""What one server answers of many cameras, camera by camera."""

from collections.abc import Sequence

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.bench_report.looks import COLORS, RAW, SPLIT, Row

_GAP = 0.8


def draw_cameras(rows: Sequence[Row]) -> bytes:
    """Draw frames a second of each camera, answered of those sent, run by run.

    Args:
        rows: As `mtl-split bench-cameras` writes them.

    Returns:
        A PNG.
    """
    figure = canvas(11, 4.4, _title(rows))
    axes = figure.subplots()
    plain(axes)
    axes.grid(visible=False, axis='x')
    highest = max(rate for row in rows for rate in row['rates_hz'])
    place, ticks, names = 0.0, [], []
    for row in rows:
        first = place
        pairs = zip(row['rates_hz'], row['answered_hz_by_camera'], strict=True)
        for sent, answered in pairs:
            axes.bar(place, sent, 0.86, color=COLORS[RAW], alpha=0.3, lw=0)
            axes.bar(place, answered, 0.86, color=COLORS[SPLIT], lw=0)
            axes.text(place, answered, f'{answered:.1f}', ha='center', va='bottom', fontsize=9)
            place += 1
        middle = (first + place - 1) / 2
        top = max(row['rates_hz']) + 0.03 * highest
        told = f'{row["answered_hz"]:.0f} Hz in all, {row["in_time"]:.0%} in time'
        axes.text(middle, top, told.replace(', ', '\n'), ha='center', va='bottom', fontsize=9.5)
        ticks.append(middle)
        names.append(_name(row['rates_hz']))
        place += _GAP
    axes.set(ylim=(0, 1.16 * highest), ylabel='frames a second of each camera')
    axes.set_xticks(ticks, names)
    axes.tick_params(axis='x', length=0)
    axes.bar(0, 0, color=COLORS[SPLIT], label='answered')
    axes.bar(0, 0, color=COLORS[RAW], alpha=0.3, label='sent, not answered')
    figure.legend(loc='outside lower center', ncols=2, frameon=False, fontsize=10)
    return png(figure)


def _name(rates: Sequence[float]) -> str:
    if len(rates) == 1:
        return '1 camera'
    if len(set(rates)) == 1:
        return f'{len(rates)} cameras'
    return ' Hz beside '.join(f'{rate:g}' for rate in rates) + ' Hz'


def _title(rows: Sequence[Row]) -> str:
    most = max(row['answered_hz'] for row in rows)
    worst = min((row['jain'] for row in rows if row['jain'] is not None), default=None)
    fair = '' if worst is None else f', Jain index at least {worst:.2f}'
    return f'One server, many cameras: up to {most:.0f} frames a second in all{fair}'
