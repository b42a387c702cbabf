# SPDX-License-Identifier: Apache-2.0
"""Where the time of a frame goes, transport by transport."""

from collections.abc import Mapping, Sequence

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.bench_report.looks import Row, color, label, link_name
from mtl_split_tools.spreads import limits, whisker

GROUPS = {
    'network on the edge': '#56b4e9',
    'coding': '#e69f00',
    'between the nodes': '#999999',
    'network on the server': '#0072b2',
    'all else': '#d9d9d9',
}
_NARROW_MS = 2.2


def draw_stages(rows: Sequence[Row], stacks: Mapping[str, Mapping[str, float]]) -> bytes:
    """Draw for each transport the stages of a frame end to end.

    Args:
        rows: Figures over one link.
        stacks: Milliseconds by transport and name of GROUPS.

    Returns:
        A PNG.
    """
    ordered = sorted(
        (row for row in rows if row['transport'] in stacks),
        key=lambda row: -sum(stacks[row['transport']].values()),
    )
    link = link_name(ordered[0]['link_mbit']) if ordered else ''
    figure = canvas(11, 1.7 + 0.38 * len(ordered), _title(ordered, stacks, link))
    axes = figure.subplots()
    plain(axes)
    axes.grid(visible=False, axis='y')
    for place, row in enumerate(ordered):
        begin = 0.0
        stack = stacks[row['transport']]
        for name, shade in GROUPS.items():
            value = stack.get(name, 0.0)
            axes.barh(place, value, 0.72, begin, color=shade, lw=0)
            if value >= _NARROW_MS:
                dark = name == 'network on the server'
                axes.text(begin + value / 2, place, f'{value:.0f}', ha='center', va='center',
                          fontsize=9, color='white' if dark else 'black')  # fmt: skip
            begin += value
        reach = begin
        if bar := whisker(row, 'end_to_end_ms', 'p50'):
            axes.errorbar(begin, place, xerr=bar, fmt='none', ecolor='black', capsize=4, lw=1.3)
            reach += bar[1][0]
        axes.text(reach, place, f'  {begin:.0f} ms', va='center', fontsize=10, fontweight='bold')
    ends = (sum(stack.values()) for stack in stacks.values())
    most = (spread[1] for row in ordered if (spread := limits(row, 'end_to_end_ms', 'p50')))
    longest = max([*ends, *most, 1.0])
    axes.set(
        xlim=(0, 1.1 * longest),
        ylim=(-0.6, len(ordered) - 0.4),
        xlabel='median ms from image to answer',
    )
    axes.set_yticks(range(len(ordered)), [label(row['transport']) for row in ordered])
    for text, row in zip(axes.get_yticklabels(), ordered, strict=True):
        text.set(color=color(row['transport']), fontweight='bold')
    axes.tick_params(axis='y', length=0)
    for name, shade in GROUPS.items():
        axes.bar(0, 0, color=shade, label=name)
    figure.legend(loc='outside lower center', ncols=len(GROUPS), frameon=False, fontsize=10)
    return png(figure)


def _title(rows: Sequence[Row], stacks: Mapping[str, Mapping[str, float]], link: str) -> str:
    split = [row['transport'] for row in rows if row['transport'].startswith('split')]
    if not split:
        return f'Where the time goes, {link}'
    best = min(split, key=lambda way: sum(stacks[way].values()))
    stack = stacks[best]
    inside = stack.get('network on the edge', 0) + stack.get('network on the server', 0)
    share = 1 - inside / max(sum(stack.values()), 1e-9)
    return f'split, {link}: {share:.0%} of the time is not the network'
