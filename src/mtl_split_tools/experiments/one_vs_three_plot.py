# SPDX-License-Identifier: Apache-2.0
"""What one network for all tasks saves: latency over the link, work of the edge, bytes."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.experiments.frame import Result
from mtl_split_tools.experiments.one_vs_three_findings import EDGES, best_reduction, sooner_from
from mtl_split_tools.experiments.pieces import link_name

_ONE, _MANY = '#0072b2', '#d55e00'


def draw_bundles(results: Mapping[str, Result], links_mbit: Sequence[float]) -> bytes:
    """Draw all bundles, one below the other.

    Args:
        results: By bundle, with `placements`.
        links_mbit: The links, 10^6 bit/s.

    Returns:
        A PNG.
    """
    figure = canvas(13, 1.2 + 4 * len(results), _title(results))
    panels = figure.subplots(len(results), 3, squeeze=False, width_ratios=(1, 1, 0.8))
    for row, (name, result) in zip(panels, results.items(), strict=True):
        for axes, (key, text) in zip(row[:2], EDGES, strict=True):
            _draw_latencies(axes, result['placements'], key, links_mbit)
            axes.set_title(f'{name}, {text}', fontsize=11)
        row[0].set_ylabel('picture to last answer, ms')
        _draw_work(row[2], result['placements'])
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=3, fontsize=9)
    return png(figure)


def _draw_latencies(
    axes: Axes, placements: Mapping[str, Result], key: str, links_mbit: Sequence[float]
) -> None:
    for name, found in placements.items():
        color = _ONE if name.startswith('one') else _MANY
        look, marker = ':', ''
        if not name.endswith('local'):
            look, marker = '-' if name.endswith('rate 0') else '--', '.'
        times = [found[key][link_name(mbit)] for mbit in links_mbit]
        axes.plot(links_mbit, times, look, marker=marker, color=color, lw=1.6, label=name)
    axes.set(xscale='log', yscale='log', xlabel='link')
    names = [link_name(mbit).replace('bit/s', '') for mbit in links_mbit]
    axes.set_xticks(links_mbit, names)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    plain(axes)


def _draw_work(axes: Axes, placements: Mapping[str, Result]) -> None:
    names = list(placements)
    colors = [_ONE if name.startswith('one') else _MANY for name in names]
    bars = axes.barh(names, [placements[name]['edge_ms'] for name in names], color=colors)
    texts = [
        f'{placements[name]["edge_ms"]:.0f} ms, {placements[name]["bytes"] / 1e3:.1f} kB'
        for name in names
    ]
    axes.bar_label(bars, texts, padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.6)
    axes.set_xlabel('ms on one core for a picture')
    axes.set_title('work of the edge, bytes sent', fontsize=11)
    plain(axes)
    axes.grid(visible=False)


def _title(results: Mapping[str, Result]) -> str:
    lines = []
    for name, result in results.items():
        if len(result['singles']) < 2:
            continue
        found = result['placements']
        count = len(result['singles'])
        share, link = best_reduction(found, 'latency_ms', 'split')
        sooner = sooner_from(found, 'latency_ms', f'{count}, local')
        lines.append(
            f'{name}, one split network for {count}: up to {share:.0%} sooner than split ones '
            f'({link}), sooner than local ones {sooner}'
        )
    return '\n'.join(lines) or 'One network: no bundle has several tasks'
