# SPDX-License-Identifier: Apache-2.0
"""The picture that tells an engineer where to cut: coded bytes against work on the edge."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.experiments.frame import Result

_COLORS = ('#0072b2', '#009e73', '#d55e00', '#8e4ba8', '#b8860b', '#777777')
_REFERENCE = '#444444'
_LESS = 0.95  # what sends hardly less is not worth more work
_LEGEND = """number: stages before the cut
large: sends less (5 % or more)
  than each earlier cut
hollow: needs more than shown,
  too few values to tell
"""


def draw_backbones(results: Mapping[str, Result], quality: int) -> bytes:
    """Draw all cuts of all backbones.

    Args:
        results: Of the experiment, by backbone.
        quality: Of the JPEG that the cuts are compared with.

    Returns:
        A PNG.
    """
    figure = canvas(13, 6.6, _title(results, quality))
    axes = figure.subplots()
    for color, (name, result) in zip(_COLORS, results.items(), strict=False):
        _draw(axes, name, result['cuts'], color)
    first = next(iter(results.values()))
    references = ((first['picture_bytes'], 'the picture itself, uncompressed'),
                  (first['jpeg_bytes'], f'the picture as JPEG {quality}'))  # fmt: skip
    for size, text in references:
        axes.axhline(size, color=_REFERENCE, lw=1, ls='--')
        axes.annotate(
            text, (0.995, size), xycoords=('axes fraction', 'data'), xytext=(0, 3),
            textcoords='offset points', ha='right', fontsize=9, color=_REFERENCE,
        )  # fmt: skip
    axes.set(
        xscale='log', yscale='log', xlabel='work on the edge up to the cut, ms on one thread',
        ylabel='Z_b for a picture, kB, coded in 8 bits',
    )  # fmt: skip
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value / 1e3:g}'))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    plain(axes)
    figure.legend(
        loc='outside right upper', fontsize=9, title_fontsize=9, alignment='left', title=_LEGEND,
    )  # fmt: skip
    return png(figure)


def useful_cuts(cuts: Sequence[Result]) -> list[Result]:
    """Return the cuts that send less than each earlier one: only these are worth a training.

    Args:
        cuts: Of one backbone, the shortest first.
    """
    kept: list[Result] = []
    for cut in cuts:
        if not kept or cut['coded_bytes'] < _LESS * kept[-1]['coded_bytes']:
            kept.append(cut)
    return kept


def _title(results: Mapping[str, Result], quality: int) -> str:
    below = {}
    for name, result in results.items():
        small = [
            cut
            for cut in result['cuts']
            if cut['enough_values'] and cut['coded_bytes'] < result['jpeg_bytes']
        ]
        if small:
            below[name] = small[0]
    if not below:
        what = f'No cut sends less than JPEG {quality} without a bottleneck'
    else:
        name = min(below, key=lambda name: float(below[name]['edge_ms']))
        stage, ms = below[name]['stage'], below[name]['edge_ms']
        what = f'First to send less than JPEG {quality}: {name} after stage {stage}, {ms:.0f} ms'
    return f'{what}\n(random weights, no bottleneck, accuracy not measured)'


def _draw(axes: Axes, name: str, cuts: Sequence[Result], color: str) -> None:
    places = [(cut['edge_ms'], cut['coded_bytes']) for cut in cuts]
    axes.plot(*zip(*places, strict=True), '.-', color=color, lw=1, ms=5, alpha=0.6)
    useful = useful_cuts(cuts)
    marks = [(cut['edge_ms'], cut['coded_bytes']) for cut in useful]
    axes.plot([], [], 'o', color=color, ms=8, mec='black', mew=0.6, label=name)
    for cut, place in zip(useful, marks, strict=True):
        face = color if cut['enough_values'] else 'white'
        axes.plot(*place, 'o', mfc=face, mec='black' if face == color else color, ms=8, mew=0.8)
    for cut, place in zip(useful, marks, strict=True):
        axes.annotate(
            str(cut['stage']), place, xytext=(6, 5), textcoords='offset points',
            fontsize=8, color=color, fontweight='bold',
        )  # fmt: skip
