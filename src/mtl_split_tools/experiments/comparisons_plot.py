# SPDX-License-Identifier: Apache-2.0
"""The picture of `comparisons`: one panel for each task, one line for each kind of training."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.experiments.frame import Result
from mtl_split_tools.sweep.result import METRICS

_BLUE, _GREY, _ORANGE = '#0072b2', '#777777', '#d55e00'
#: Width of an axis at least, ten points: a tenth of a point must not look like a difference.
_LEAST_SPAN = 0.1
_MOST = 1.005


def draw_rows(
    of_rows: Mapping[str, Sequence[Result]], texts: Mapping[str, str], joint: str
) -> bytes:
    """Draw the accuracy of all runs on the uncompressed picture.

    Args:
        of_rows: Runs by the name of their row.
        texts: What each row is.
        joint: Name of the row that the others are compared with: its runs make a band.

    Returns:
        A PNG.
    """
    figure = canvas(
        13, 1.4 + 0.45 * len(of_rows), 'Trained together or alone, uncompressed picture'
    )
    panels = figure.subplots(1, len(METRICS), sharey=True, squeeze=False)[0]
    for axes, (metric, title) in zip(panels, METRICS.items(), strict=True):
        _draw(axes, of_rows, metric, joint)
        axes.set_title(title, fontsize=10)
        plain(axes)
    names = [texts[name] for name in of_rows]
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    return png(figure)


def _draw(axes: Axes, of_rows: Mapping[str, Sequence[Result]], metric: str, joint: str) -> None:
    band = _known(of_rows.get(joint, ()), metric)
    if band:
        axes.axvspan(min(band), max(band), color=_GREY, alpha=0.25, lw=0)
    for place, (name, runs) in enumerate(of_rows.items()):
        values = _known(runs, metric)
        color = _BLUE if name == joint else _ORANGE
        axes.plot(values, [place] * len(values), 'o', color=color, mec='black', mew=0.6, ms=8)
    low, high = axes.get_xlim()
    room = max(0.0, _LEAST_SPAN - (high - low)) / 2
    above = max(0.0, high + room - _MOST)  # no figure is larger than one
    axes.set_xlim(low - room - above, high + room - above)


def _known(runs: Sequence[Result], metric: str) -> list[float]:
    return [run['ways']['raw'][metric] for run in runs if run['ways']['raw'][metric] is not None]
