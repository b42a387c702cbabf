# SPDX-License-Identifier: Apache-2.0
"""The table and the picture of `mtl-vs-stl`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.console import MISSING, figure
from mtl_split_tools.experiments.frame import Cell, Result, Table
from mtl_split_tools.experiments.training import spread
from mtl_split_tools.sweep.result import METRICS

CAMVID = 'camvid'
"""What the rows of this project's own network are called."""

_ALONE, _TOGETHER, _GREY = '#d55e00', '#0072b2', '#777777'


@dataclass(slots=True)
class Comparison:
    """One task of one network, learnt alone and together.

    Args:
        network: Name.
        task: Name of the task or its metric.
        chance: What guessing gives, 0 to 1; None where it is not a plain share.
        alone: Result by seed, 0 to 1.
        together: The same.
    """

    network: str
    task: str
    chance: float | None
    alone: dict[int, float] = field(default_factory=dict)
    together: dict[int, float] = field(default_factory=dict)

    @property
    def gains(self) -> list[float]:
        """Points that learning together brings, of each seed that has both."""
        return [
            100 * (self.together[seed] - self.alone[seed])
            for seed in self.alone
            if seed in self.together
        ]

    @property
    def verdict(self) -> str:
        """Which is better: only where all seeds agree."""
        if not self.gains:
            return MISSING
        if min(self.gains) > 0:
            return 'MTL in every seed'
        if max(self.gains) < 0:
            return 'STL in every seed'
        return 'seeds differ' if any(self.gains) else 'equal'


def gather(cells: Sequence[Cell], results: Mapping[str, Result]) -> list[Comparison]:
    """Return what the runs gave, by network and task.

    Args:
        cells: Of the experiment.
        results: What they gave, by key.
    """
    found: dict[tuple[str, str], Comparison] = {}
    for cell in cells:
        network = str(cell.settings.get('backbone', CAMVID))
        result = results[cell.key]
        for task, value in result['test'].items():
            chance = result.get('chance', {}).get(task)
            comparison = found.setdefault(
                (network, task), Comparison(network, METRICS.get(task, task), chance)
            )
            kind = comparison.together if cell.settings['together'] else comparison.alone
            kind[int(cell.settings['seed'])] = float(value)
    # The cells come seed after seed; the two parts one after the other.
    return sorted(found.values(), key=lambda entry: (entry.network == CAMVID, entry.network))


def report(comparisons: Sequence[Comparison]) -> Table:
    """Return a row for each comparison."""
    rows = [
        (
            found.network,
            found.task,
            figure(found.chance),
            str(len(found.gains)),
            spread(list(found.alone.values())),
            spread(list(found.together.values())),
            _points(found.gains),
            found.verdict,
        )
        for found in comparisons
    ]
    columns = ('network', 'task', 'chance', 'seeds', 'STL', 'MTL', 'MTL - STL', 'better')
    return Table(columns, rows)


def draw_comparisons(comparisons: Sequence[Comparison]) -> bytes:
    """Draw each seed of each comparison, a panel for each network.

    Args:
        comparisons: From `gather`.

    Returns:
        A PNG.
    """
    networks = list(dict.fromkeys(found.network for found in comparisons))
    picture = canvas(max(8.5, 3.8 * len(networks)), 4.6, _title(comparisons))
    panels = picture.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    for axes, network in zip(panels, networks, strict=True):
        mine = [found for found in comparisons if found.network == network]
        for place, found in enumerate(mine):
            _draw(axes, place, found)
        axes.set(title=network, xlim=(-0.6, len(mine) - 0.4), ylim=(0, 1.03))
        axes.set_xticks(range(len(mine)), [found.task for found in mine])
        plain(axes)
        axes.grid(visible=False, axis='x')
    panels[0].set_ylabel('accuracy on test pictures, 0 to 1')
    for color, text in ((_ALONE, 'alone (STL)'), (_TOGETHER, 'together (MTL)')):
        panels[0].plot([], [], 'o', color=color, mec='black', mew=0.6, ms=8, label=text)
    panels[0].plot([], [], ls='--', color=_GREY, lw=1.2, label='guessing')
    picture.legend(loc='outside lower center', ncols=3, fontsize=9, frameon=False)
    return png(picture)


def _draw(axes: Axes, place: int, found: Comparison) -> None:
    for seed in found.alone.keys() & found.together.keys():
        ends = [found.alone[seed], found.together[seed]]
        axes.plot([place - 0.17, place + 0.17], ends, color=_GREY, lw=1, alpha=0.7, zorder=1)
    for kind, shift, color in (
        (found.alone, -0.17, _ALONE),
        (found.together, 0.17, _TOGETHER),
    ):
        values = list(kind.values())
        axes.plot([place + shift] * len(values), values, 'o', color=color, mec='black', mew=0.6,
                  ms=8)  # fmt: skip
    if found.chance is not None:
        axes.plot([place - 0.4, place + 0.4], [found.chance] * 2, ls='--', color=_GREY, lw=1.2)


def _title(comparisons: Sequence[Comparison]) -> str:
    better = sum(found.verdict == 'MTL in every seed' for found in comparisons)
    worse = sum(found.verdict == 'STL in every seed' for found in comparisons)
    return (
        f'Learnt together: better in every seed in {better} of {len(comparisons)} comparisons, '
        f'worse in {worse}'
    )


def _points(gains: Sequence[float]) -> str:
    if not gains:
        return MISSING
    mean = f'{sum(gains) / len(gains):+.1f}'
    return mean if len(gains) == 1 else f'{mean} ({min(gains):+.1f} to {max(gains):+.1f})'
