# SPDX-License-Identifier: Apache-2.0
"""The picture of `ablation`: accuracy against bytes, one curve for each training."""

from collections.abc import Mapping, Sequence

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.sweep.bd_rate import Point
from mtl_split_tools.sweep.result import METRICS

_COLORS = ('#0072b2', '#d55e00', '#777777', '#8e4ba8', '#009e73', '#b8860b')


def draw_curves(by_metric: Mapping[str, Mapping[str, Sequence[Point]]]) -> bytes:
    """Draw a panel for each task.

    Args:
        by_metric: Metric, then curves by name: bytes and accuracy.

    Returns:
        A PNG.
    """
    figure = canvas(13, 4.4, 'What each part of the training brings')
    panels = figure.subplots(1, len(METRICS), squeeze=False)[0]
    for axes, (metric, title) in zip(panels, METRICS.items(), strict=True):
        for color, (name, curve) in zip(_COLORS, by_metric[metric].items(), strict=False):
            # Also where there is nothing to draw: the legend is that of the first panel.
            kilobytes, values = [size / 1000 for size, _ in curve], [value for _, value in curve]
            axes.plot(kilobytes, values, 'o-', color=color, label=name, ms=5)
        axes.set_title(title, fontsize=10)
        axes.set(xscale='log', xlabel='kB a frame, logarithmic')
        plain(axes)
    panels[0].legend(fontsize=8)
    return png(figure)
