# SPDX-License-Identifier: Apache-2.0
"""The picture that tells an engineer where to cut: coded bytes against work on the edge."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.console import kilobytes
from mtl_split_tools.experiments.frame import Result

_COLORS = ('#0072b2', '#009e73', '#d55e00', '#8e4ba8', '#b8860b', '#777777')
_REFERENCE = '#444444'
_BELOW = '#dff0d8'
_SIZES = {'*': 18, 'o': 6, '.': 4}
_LESS = 0.95  # what sends hardly less is not worth more work


def draw_backbones(results: Mapping[str, Result], quality: int) -> bytes:
    """Draw all cuts of all backbones, and mark where to cut each of them.

    Args:
        results: Of the experiment, by backbone.
        quality: Of the JPEG that the cuts are compared with.

    Returns:
        A PNG.
    """
    figure = canvas(13, 6.6, _title(results, quality))
    axes = figure.subplots()
    first = next(iter(results.values()))
    for color, (name, result) in zip(_COLORS, results.items(), strict=False):
        _draw(axes, name, result, color)
    axes.set(
        xscale='log', yscale='log', xlabel='work on the edge up to the cut, ms on one thread',
        ylabel='Z_b for a picture, kB, coded in 8 bits',
    )  # fmt: skip
    low, _ = axes.get_ylim()
    axes.set_ylim(low * 0.75, None)
    axes.axhspan(low * 0.75, first['jpeg_bytes'], color=_BELOW, lw=0, zorder=0)
    for size, text, side in (
        (first['picture_bytes'], 'the picture itself, uncompressed', 'right'),
        (first['jpeg_bytes'], f'the picture as JPEG {quality}', 'left'),
    ):
        axes.axhline(size, color=_REFERENCE, lw=1, ls='--', zorder=1)
        axes.annotate(
            text, (0.995 if side == 'right' else 0.005, size), xycoords=('axes fraction', 'data'),
            xytext=(0, 3), textcoords='offset points', ha=side, fontsize=9, color=_REFERENCE,
        )  # fmt: skip
    axes.text(
        0.995, 0.02, 'green: a cut sends less than the JPEG', transform=axes.transAxes,
        ha='right', fontsize=10, color=_REFERENCE,
    )  # fmt: skip
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value / 1e3:g}'))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    plain(axes)
    marks = {'*': 'cut here: the first below the JPEG', 'o': 'sends 5 % less than each earlier cut',
             '.': 'sends no less'}  # fmt: skip
    for mark, text in marks.items():
        axes.plot([], [], mark, color=_REFERENCE, ms=_SIZES[mark], label=text)
    if any(not cut['enough_values'] for result in results.values() for cut in result['cuts']):
        axes.plot([], [], 'o', mfc='white', color=_REFERENCE, ms=_SIZES['o'],
                  label='needs more than shown: too few values to tell')  # fmt: skip
    figure.legend(loc='outside lower center', ncols=4, fontsize=9, frameon=False)
    return png(figure)


def first_below(result: Result) -> Result | None:
    """Return the first cut of a backbone that sends less than the JPEG; None without such.

    Args:
        result: Of the backbone.
    """
    for cut in result['cuts']:
        if cut['enough_values'] and cut['coded_bytes'] < result['jpeg_bytes']:
            found: Result = cut
            return found
    return None


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
    found = {name: first_below(result) for name, result in results.items()}
    here = [f'{name} after stage {cut["stage"]}' for name, cut in found.items() if cut]
    what = (
        f'Where to cut: {", ".join(here)}'
        if here
        else f'No cut sends less than JPEG {quality} without a bottleneck'
    )
    never = ', '.join(name for name, cut in found.items() if not cut)
    rest = f'no cut of {never} sends less than JPEG {quality}; ' if here and never else ''
    return f'{what}\n({rest}random weights, no bottleneck, accuracy not measured)'


def _draw(axes: Axes, name: str, result: Result, color: str) -> None:
    cuts = result['cuts']
    places = [(cut['edge_ms'], cut['coded_bytes']) for cut in cuts]
    axes.plot(*zip(*places, strict=True), '.-', color=color, lw=1, ms=_SIZES['.'], alpha=0.6)
    best = first_below(result)
    for cut in useful_cuts(cuts):
        place = cut['edge_ms'], cut['coded_bytes']
        if cut is best:
            continue
        face = color if cut['enough_values'] else 'white'
        edge = 'black' if face == color else color
        axes.plot(*place, 'o', mfc=face, mec=edge, ms=_SIZES['o'], mew=0.7, zorder=3)
        axes.annotate(
            str(cut['stage']), place, xytext=(5, 4), textcoords='offset points', fontsize=8,
            color=color,
        )  # fmt: skip
    cut = best or useful_cuts(cuts)[-1]
    place = cut['edge_ms'], cut['coded_bytes']
    if best:
        axes.plot(*place, '*', mfc=color, mec='black', ms=_SIZES['*'], mew=0.8, zorder=4)
        text = f'\nstage {cut["stage"]}: {cut["edge_ms"]:.1f} ms, {kilobytes(cut["coded_bytes"])}'
    else:
        text = ': nowhere'
    axes.annotate(
        f'{name}{text}', place, xytext=(-9, -9), textcoords='offset points', ha='right',
        va='top', fontsize=10, color=color, fontweight='bold',
    )  # fmt: skip
