# SPDX-License-Identifier: Apache-2.0
"""A flame graph: who calls whom, as wide as the processor time that it takes."""

import colorsys
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from mtl_split_tools.bench_report.drawing import canvas, png
from mtl_split_tools.bench_report.stacks import DDS, NATIVE, NETWORK, PARTS, Node

_DEEPEST = 16
_NARROW = 0.002
"""Share of the whole below which nothing is drawn."""
_LETTER = 0.0062
"""Width of a letter as a share of the whole."""
_MIXED = '#eeeeee'


def draw_flame(name: str, tree: Node, parts: Mapping[str, float]) -> bytes:
    """Draw the stacks of a node.

    Args:
        name: Of the node.
        tree: The stacks.
        parts: Milliseconds by image of each part.

    Returns:
        A PNG.
    """
    shares = {part: ms / max(tree.ms, 1e-9) for part, ms in parts.items() if ms > 0}
    inside = sum(shares.get(part, 0.0) for part in (NETWORK, NATIVE))
    title = f'{name}: {tree.ms:.1f} ms of CPU an image, {inside:.0%} of it the network'
    figure = canvas(13, 6.2, title)
    axes = figure.subplots()
    depth = _draw(axes, tree, 0.0, 0, tree.ms)
    axes.set(xlim=(0, tree.ms), ylim=(0, depth), yticks=[], xlabel='ms of processor time an image')
    axes.spines[['top', 'right', 'left']].set_visible(False)
    for part in (part for part in PARTS if part in shares):
        axes.bar(0, 0, color=_color(part), label=f'{part} {shares[part]:.1%}')
    figure.legend(loc='outside lower center', ncols=4, frameon=False, fontsize=9)
    return png(figure)


def _draw(axes: Axes, node: Node, left: float, level: int, whole: float) -> int:
    """Draw what a function calls, the widest first; return how many levels there are."""
    deepest = level
    for name, call in sorted(node.calls.items(), key=lambda pair: -pair[1].ms):
        if call.ms < _NARROW * whole or level >= _DEEPEST:
            continue
        box = Rectangle((left, level), call.ms, 1, facecolor=_color(call.part), edgecolor='white')
        axes.add_patch(box)
        letters = int(call.ms / whole / _LETTER)
        function = name.partition(' (')[0]
        if letters >= min(len(function), 4):
            text = function if len(function) <= letters else f'{function[: letters - 1]}…'
            axes.text(left + call.ms / 2, level + 0.5, text, ha='center', va='center', fontsize=7.5)
        deepest = max(deepest, _draw(axes, call, left, level + 1, whole))
        left += call.ms
    return max(deepest, level + 1 if node.calls else level)


def _color(part: str) -> tuple[float, float, float] | str:
    if not part:
        return _MIXED
    if part in (NETWORK, NATIVE):
        return '#56b4e9' if part == NETWORK else '#9fd3f2'
    if part == DDS:
        return '#999999'
    others = [name for name in PARTS if name not in (NETWORK, NATIVE, DDS)]
    return colorsys.hsv_to_rgb(0.02 + 0.13 * others.index(part) % 0.9, 0.42, 0.96)
