# SPDX-License-Identifier: Apache-2.0
"""One trace driven by the policy, by each fixed rate and by the oracle, and the figures of each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mtl_split_core.profile import Mode, Profile
from mtl_split_edge.chooser import Chooser
from mtl_split_edge.decision import PolicySettings
from mtl_split_edge.ladder import make_ladder
from mtl_split_tools.simulation.drivers import Fixed, Planned
from mtl_split_tools.simulation.oracle import plan
from mtl_split_tools.simulation.world import Drive, Frame, World

AUTO, ORACLE = 'auto', 'oracle'
EQUAL_ACCURACY = 0.01
"""Difference of accuracy up to which two ways count as equally good."""


@dataclass(frozen=True, slots=True)
class Run:
    """One driver on one trace.

    Args:
        name: `auto`, `oracle`, or the name of the point that was sent throughout.
        frames: What became of each image.
        deadline_s: From image to answer, seconds.
        local_cost: As in the policy's settings.
    """

    name: str
    frames: Sequence[Frame]
    deadline_s: float
    local_cost: float

    def in_time(self, frame: Frame) -> bool:
        """Return whether a frame was answered before its deadline."""
        return frame.delay_s is not None and frame.delay_s <= self.deadline_s

    def document(self) -> dict[str, Any]:
        """Return the figures; shares and accuracy 0 to 1, delays in ms."""
        count = len(self.frames)
        good = [(f, f.point) for f in self.frames if f.point is not None and self.in_time(f)]
        quality = sum(point.quality for _, point in good)
        local = sum(point.mode is Mode.LOCAL for _, point in good)
        delays = [frame.delay_s * 1e3 for frame, _ in good if frame.delay_s is not None]
        fates = Counter(
            'in time' if self.in_time(f) else 'late' if f.delay_s is not None else f.fate
            for f in self.frames
        )
        return {
            'frames': count,
            'misses': 1 - len(good) / count,
            'accuracy': quality / len(good) if good else 0.0,
            'score': quality / count,
            'worth': (quality - local * self.local_cost) / count,
            'delay_ms': _percentiles(delays),
            'bytes_per_frame': sum(frame.sent for frame in self.frames) / count,
            'points': dict(Counter(point.name for _, point in good).most_common()),
            'fates': dict(fates.most_common()),
        }


def drive_all(world: World, profile: Profile, settings: PolicySettings) -> list[Run]:
    """Drive a trace in every way.

    Args:
        world: The world.
        profile: Points to choose from.
        settings: Of the policy.

    Returns:
        The runs: auto, the oracle, then each point that sends.
    """

    def run(name: str, frames: Sequence[Frame]) -> Run:
        return Run(name, frames, settings.deadline_s, settings.local_cost)

    auto = Drive(world, Chooser(profile, settings)).run()
    choices = [*make_ladder(profile.points, settings), *profile.select(Mode.LOCAL)]
    planned = Planned(plan(world, choices, settings.local_cost), world.fps)
    runs = [run(AUTO, auto), run(ORACLE, Drive(world, planned).run())]
    runs += [
        run(point.name, Drive(world, Fixed(point)).run())
        for point in profile.points
        if point.mode is not Mode.LOCAL
    ]
    return runs


def pool(runs: Sequence[Run]) -> Run:
    """Put the runs of one driver on several traces together.

    Args:
        runs: At least one, of the same name.
    """
    return replace(runs[0], frames=[frame for run in runs for frame in run.frames])


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """Set the policy beside the others.

    Args:
        runs: From drive_all() or pooled.

    Returns:
        Of the fixed rates and the pictures: the one with the best score, and the one with the
        fewest misses among those at least as accurate as the policy; and the oracle.
    """
    figures = {run.name: run.document() for run in runs}
    auto, oracle = figures[AUTO], figures[ORACLE]
    fixed = {name: found for name, found in figures.items() if name not in (AUTO, ORACLE)}
    split = [name for name in fixed if name.startswith('split')]
    picture = [name for name in fixed if not name.startswith('split')]
    equal = [name for name in fixed if fixed[name]['accuracy'] >= auto['accuracy'] - EQUAL_ACCURACY]
    behind = 1 - auto['worth'] / oracle['worth'] if oracle['worth'] > 0 else 0.0
    return {
        'best_fixed_rate': _beside(
            auto, fixed, max(split, key=lambda n: fixed[n]['score'], default=None)
        ),
        'best_picture': _beside(
            auto, fixed, max(picture, key=lambda n: fixed[n]['score'], default=None)
        ),
        'equal_accuracy': _beside(
            auto, fixed, min(equal, key=lambda n: fixed[n]['misses'], default=None)
        ),
        'behind_oracle': behind,
    }


def _beside(
    auto: dict[str, Any], fixed: dict[str, dict[str, Any]], name: str | None
) -> dict[str, Any] | None:
    if name is None:
        return None
    other = fixed[name]
    fewer = 1 - auto['misses'] / other['misses'] if other['misses'] else None
    return {
        'name': name,
        'misses': other['misses'],
        'accuracy': other['accuracy'],
        'score': other['score'],
        'fewer_misses': fewer,
        'more_score': auto['score'] / other['score'] - 1 if other['score'] else None,
    }


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return dict.fromkeys(('p50', 'p95', 'p99'))
    p50, p95, p99 = np.percentile(values, (50, 95, 99)).tolist()
    return {'p50': p50, 'p95': p95, 'p99': p99}
