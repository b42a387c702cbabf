# SPDX-License-Identifier: Apache-2.0
"""The table and the picture of `mtl-vs-stl`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes

from mtl_split_tools.bench_report.drawing import canvas, plain, png
from mtl_split_tools.console import MISSING, figure
from mtl_split_tools.experiments.claims import MTL_SPLIT, NOT_NOTED, Claim, Verdict, judge
from mtl_split_tools.experiments.frame import Cell, Result, Table
from mtl_split_tools.experiments.training import spread
from mtl_split_tools.sweep.result import METRICS

CAMVID = 'camvid'
"""What the rows of this project's own network are called."""

_CLAIM = 'tasks learnt together are better than each learnt alone, on every task'
_BETTER, _WORSE = 'MTL in every seed', 'STL in every seed'
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
        alone_val: Result by seed on `val`, where that is not what is reported.
        together_val: The same.
    """

    network: str
    task: str
    chance: float | None
    alone: dict[int, float] = field(default_factory=dict)
    together: dict[int, float] = field(default_factory=dict)
    alone_val: dict[int, float] = field(default_factory=dict)
    together_val: dict[int, float] = field(default_factory=dict)

    @property
    def gains(self) -> list[float]:
        """Points that learning together brings, of each seed that has both."""
        return [
            100 * (self.together[seed] - self.alone[seed])
            for seed in self.alone
            if seed in self.together
        ]

    def shown(self, by_seed: Mapping[int, float]) -> str:
        """Return results for a table: of the seeds that have both, if there are such."""
        both = self.alone.keys() & self.together.keys()
        return spread([value for seed, value in by_seed.items() if seed in both or not both])

    @property
    def verdict(self) -> str:
        """Which is better: only where all seeds agree, and there are several."""
        if not self.gains:
            return MISSING
        if len(self.gains) == 1:
            return 'open: one seed'
        if min(self.gains) > 0:
            return _BETTER
        if max(self.gains) < 0:
            return _WORSE
        return 'seeds differ' if any(self.gains) else 'equal'


def gather(cells: Sequence[Cell], results: Mapping[str, Result]) -> list[Comparison]:
    """Return what the runs gave, by network and task.

    Args:
        cells: Of the experiment.
        results: What they gave, by key; of all or some.
    """
    found: dict[tuple[str, str], Comparison] = {}
    for cell in cells:
        if cell.key not in results:
            continue
        network = str(cell.settings.get('backbone', CAMVID))
        result = results[cell.key]
        for task, value in result['test'].items():
            chance = result.get('chance', {}).get(task)
            comparison = found.setdefault(
                (network, task), Comparison(network, METRICS.get(task, task), chance)
            )
            seed, together = int(cell.settings['seed']), cell.settings['together']
            (comparison.together if together else comparison.alone)[seed] = float(value)
            if task in result.get('val', {}):
                kind = comparison.together_val if together else comparison.alone_val
                kind[seed] = float(result['val'][task])
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
            found.shown(found.alone),
            found.shown(found.together),
            _points(found.gains),
            found.verdict,
            found.shown(found.alone_val),
            found.shown(found.together_val),
        )
        for found in comparisons
    ]
    columns = ('network', 'task', 'chance', 'seeds', 'STL', 'MTL', 'MTL - STL', 'better')
    return Table((*columns, 'STL, val', 'MTL, val'), rows)


def judge_parts(comparisons: Sequence[Comparison], why: Mapping[str, str]) -> list[Claim]:
    """Return what the parts of the experiment say to the paper's claim.

    One seed decides nothing.

    Args:
        comparisons: From `gather`.
        why: By part, `Shapes` and `CamVid`: what its figures leave open.
    """
    parts = {
        'Shapes': [found for found in comparisons if found.network != CAMVID and found.gains],
        'CamVid': [found for found in comparisons if found.network == CAMVID and found.gains],
    }
    claims = []
    for part, mine in parts.items():
        if not mine:
            continue
        gains = '; '.join(f'{f.network} {f.task} {_points(f.gains)}' for f in mine)
        better, worse = (sum(f.verdict == way for f in mine) for way in (_BETTER, _WORSE))
        known = all(len(found.gains) > 1 for found in mine)
        ours = f'{part}, MTL - STL in points: {gains}'
        if known:
            ours += f'. Better in every seed in {better} of {len(mine)}, worse in {worse}'
        verdict = judge(better, len(mine)) if known else Verdict.OPEN
        claims.append(Claim(MTL_SPLIT, _CLAIM, NOT_NOTED, ours, verdict, why[part]))
    return claims


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
    panels[0].set_ylabel('accuracy; camvid: its figures on val')
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
    better = sum(found.verdict == _BETTER for found in comparisons)
    worse = sum(found.verdict == _WORSE for found in comparisons)
    return (
        f'Learnt together: better in every seed in {better} of {len(comparisons)} comparisons, '
        f'worse in {worse}'
    )


def _points(gains: Sequence[float]) -> str:
    if not gains:
        return MISSING
    mean = f'{sum(gains) / len(gains):+.1f}'
    return mean if len(gains) == 1 else f'{mean} ({min(gains):+.1f} to {max(gains):+.1f})'
