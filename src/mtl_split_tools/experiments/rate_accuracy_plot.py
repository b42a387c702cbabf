# SPDX-License-Identifier: Apache-2.0
"""The picture of `rate-accuracy`: a panel for each task, Z_b and pictures of each bundle."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.experiments.frame import Result
from mtl_split_tools.sweep.bd_rate import Point, frontier
from mtl_split_tools.sweep.result import METRICS

_COLORS = ('#0072b2', '#8e4ba8', '#b8860b', '#444444')
_PICTURES = {'jpeg': ('JPEG', '#d55e00'), 'webp': ('WebP', '#009e73')}
_STYLES = ('-', '--', ':', '-.')


def draw_bundles(results: Mapping[str, Result]) -> bytes:
    """Draw accuracy against bytes; pictures at their best, full or half size.

    Args:
        results: Of the experiment, by bundle.

    Returns:
        A PNG.
    """
    title = 'Three tasks: sending Z_b or sending the picture into the same network'
    figure = canvas(14, 4.8, title)
    panels = figure.subplots(1, len(METRICS), squeeze=False)[0]
    for axes, (metric, title) in zip(panels, METRICS.items(), strict=True):
        _draw(axes, results, metric)
        axes.set_title(title, fontsize=10)
        axes.set(xscale='log', xlabel='kB a frame, logarithmic')
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
        axes.xaxis.set_minor_formatter(NullFormatter())
        plain(axes)
    figure.legend(*panels[0].get_legend_handles_labels(), loc='outside lower center', ncols=6)
    return png(figure)


def _draw(axes: Axes, results: Mapping[str, Result], metric: str) -> None:
    for number, (name, result) in enumerate(results.items()):
        style = _STYLES[number % len(_STYLES)]
        for kind, (text, color) in _PICTURES.items():
            best = frontier(_points(result, kind, metric))
            _curve(axes, best, f'{text} into {name}', color, style)
        color = _COLORS[number % len(_COLORS)]
        _curve(axes, _points(result, 'split', metric), f'Z_b of {name}', color, style, width=2.5)


def _points(result: Result, kind: str, metric: str) -> list[Point]:
    return sorted(
        (float(row['bytes_per_frame']), float(row[metric]))
        for row in result['rows']
        if row['transport'].startswith(f'{kind}:') and row[metric] is not None
    )


def _curve(
    axes: Axes, curve: list[Point], label: str, color: str, style: str, width: float = 1.2
) -> None:
    # Also where there is nothing to draw: the legend is that of the first panel.
    sizes, values = [size / 1000 for size, _ in curve], [value for _, value in curve]
    axes.plot(sizes, values, style, marker='o', ms=4, color=color, lw=width, label=label)
