# SPDX-License-Identifier: Apache-2.0
"""The picture of `ablation`: accuracy against bytes, one curve for each training."""

from collections.abc import Mapping, Sequence

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.sweep.bd_rate import Point
from mtl_split_tools.sweep.result import METRICS

_JOINT = '#0072b2'
_COLORS = ('#d55e00', '#777777', '#8e4ba8', '#009e73', '#b8860b')


def draw_curves(
    by_metric: Mapping[str, Mapping[str, Sequence[Point]]], joint: str, again: Sequence[str]
) -> bytes:
    """Draw a panel for each task.

    Args:
        by_metric: Metric, then curves by name: bytes and accuracy.
        joint: Name of the curve that the others are compared with.
        again: Names of the curves that are this one with other seeds.

    Returns:
        A PNG.
    """
    figure = canvas(13, 4.4, 'What each part of the training brings, after the same epochs')
    panels = figure.subplots(1, len(METRICS), squeeze=False)[0]
    for axes, (metric, title) in zip(panels, METRICS.items(), strict=True):
        rest = iter(_COLORS)
        for name, curve in by_metric[metric].items():
            # Also where there is nothing to draw: the legend is that of the first panel.
            kilobytes, values = [size / 1000 for size, _ in curve], [value for _, value in curve]
            if name in again:
                axes.plot(kilobytes, values, '.-', color=_JOINT, alpha=0.45, lw=1)
                continue
            color = _JOINT if name == joint else next(rest)
            label = f'{name}, thin: other seeds' if name == joint and again else name
            axes.plot(kilobytes, values, 'o-', color=color, label=label, ms=5)
        axes.set_title(title, fontsize=10)
        axes.set(xscale='log', xlabel='kB a frame, logarithmic')
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
        axes.xaxis.set_minor_formatter(NullFormatter())
        plain(axes)
    figure.legend(*panels[0].get_legend_handles_labels(), loc='outside lower center', ncols=6)
    return png(figure)
