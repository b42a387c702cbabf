# SPDX-License-Identifier: Apache-2.0
"""The best that any policy could do on a trace: one that knows it in advance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mtl_split_core.profile import Mode, ProfilePoint
from mtl_split_tools.simulation.world import Chance, World

_STEP_S = 0.002
_KEPT = 400


@dataclass(frozen=True, slots=True)
class _Path:
    """Choices up to a frame, as a chain from the newest to the first."""

    worth: float
    choice: ProfilePoint | None
    before: '_Path | None'


State = tuple[float, float, float]
"""Until edge, link and server are free, seconds from the frame on."""


def plan(
    world: World, points: Sequence[ProfilePoint], local_cost: float
) -> list[ProfilePoint | None]:
    """Plan all frames by dynamic programming over what is busy for how long.

    Args:
        world: The world, of which everything is known.
        points: What may be chosen.
        local_cost: As in the policy's settings.

    Returns:
        The choice for each frame; None: drop it.
    """
    chance = Chance(world)
    paths: dict[State, _Path] = {(0.0, 0.0, 0.0): _Path(0.0, None, None)}
    period = 1 / world.fps
    for number in range(world.frames):
        found: dict[State, _Path] = {}
        for state, path in paths.items():
            _keep(found, _later(state, period), _Path(path.worth, None, path))
            if state[0] >= period:
                continue  # replaced by the next image before the edge is free
            for point in points:
                if after := _after(world, chance, number, point, state):
                    worth = point.quality
                    if point.mode is Mode.LOCAL:
                        worth -= local_cost
                    _keep(found, _later(after, period), _Path(path.worth + worth, point, path))
        paths = _best(found)
    last: _Path | None = max(paths.values(), key=lambda path: path.worth)
    choices = []
    while last is not None and last.before is not None:
        choices.append(last.choice)
        last = last.before
    return choices[::-1]


def _after(
    world: World, chance: Chance, number: int, point: ProfilePoint, state: State
) -> State | None:
    """What is busy after a frame is answered this way; None if it would be late."""
    edge, link, server = state
    edge += point.edge_ms / 1e3
    if point.mode is Mode.LOCAL:
        return (edge, link, server) if edge <= world.deadline_s else None
    at = world.at(number)
    size = chance.size(number, point)
    if chance.lost(number, size):
        return None
    link = world.trace.finish(at + max(edge, link), size) - at
    arrival = link + world.delay_s + chance.jitter_s(number)
    server = max(arrival, server) + point.server_ms / 1e3
    if server + world.delay_s > world.deadline_s or not world.trace.mbit(at + server) > 0:
        return None
    return edge, link, server


def _later(state: State, seconds: float) -> State:
    """The state at the next image, rounded up so that alike ones meet."""
    edge, link, server = (math.ceil(max(0.0, busy - seconds) / _STEP_S) * _STEP_S for busy in state)
    return edge, link, server


def _keep(found: dict[State, _Path], state: State, path: _Path) -> None:
    if state not in found or found[state].worth < path.worth:
        found[state] = path


def _best(found: dict[State, _Path]) -> dict[State, _Path]:
    """Leave out what is no better and busier than another."""
    kept: dict[State, _Path] = {}
    for state, path in sorted(found.items(), key=lambda item: (-item[1].worth, item[0])):
        if not any(all(a <= b for a, b in zip(other, state, strict=True)) for other in kept):
            kept[state] = path
        if len(kept) == _KEPT:
            break
    return kept
