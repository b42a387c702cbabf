# SPDX-License-Identifier: Apache-2.0
"""What is measured: links, the ways of a frame over each of them, and traces."""

import itertools
from dataclasses import dataclass

import numpy as np

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import DataError
from mtl_split_edge.modes import AUTO
from mtl_split_edge.parameters import PICTURES
from mtl_split_tools.simulation.trace import Trace

LOCAL = 'local'
SHORTEST_STEP_S = 0.25
"""A trace with shorter steps is played by the mean over so long: setting the link takes time."""

Settings = dict[str, bool | float | str]


@dataclass(frozen=True, slots=True)
class Condition:
    """A link.

    Args:
        name: In tables and plots.
        up_mbit: From edge to server, 10^6 bit/s; before the cut where it is cut; None: no limit.
        down_mbit: From server to edge.
        cut: Whether it is cut when the measurement begins.
    """

    name: str
    up_mbit: float | None
    down_mbit: float | None
    cut: bool = False


FAST, MEDIUM, SLOW = (Condition(f'{mbit:g}', mbit, mbit) for mbit in (10.0, 1.0, 0.3))
SLOW_UP = Condition('0.3 up, 10 down', 0.3, 10.0)
CUT = Condition('cut', 10.0, 10.0, cut=True)


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement: a way over a link."""

    condition: Condition
    way: str


def make_plan(bundle: Bundle, *, quick: bool) -> list[Cell]:
    """Return what to measure.

    Args:
        bundle: Gives the rates: the smallest and its default are measured.
        quick: Only the ways that the goals speak of, and q80.
    """
    split = list(dict.fromkeys(('split:0', f'split:{bundle.default_rate}')))
    if quick:
        ways = {
            FAST: [split[-1], 'jpeg:80', AUTO],
            MEDIUM: [split[-1], AUTO],
            SLOW: [AUTO],
            SLOW_UP: ['split:0', AUTO],
            CUT: [AUTO],
        }
    else:
        small = ['jpeg:10', 'jpeg:80', 'webp:10']
        ways = {
            FAST: [*split, 'jpeg:10', 'jpeg:30', 'jpeg:50', 'jpeg:80', 'webp:10', LOCAL, AUTO],
            MEDIUM: [*split, *small, AUTO],
            SLOW: [*split, *small, AUTO],
            SLOW_UP: ['split:0', 'jpeg:10', AUTO],
            CUT: [split[-1], 'jpeg:80', AUTO],
        }
    return [Cell(condition, way) for condition, names in ways.items() for way in names]


def edge_settings(way: str, bundle: Bundle) -> Settings:
    """Return the parameters by which an edge sends everything one way.

    Args:
        way: `split:RATE`, `jpeg:QUALITY`, `webp:QUALITY`, `local` or `auto`.
        bundle: What the edge runs.

    Raises:
        DataError: There is no such way.
    """
    kind, _, value = way.partition(':')
    if way in (LOCAL, AUTO):
        return {'mode': way}
    if kind == 'split' and value in map(str, range(len(bundle.rates))):
        return {'mode': 'split', 'rate': int(value)}
    if way in PICTURES:
        return {'mode': 'remote', 'picture': way}
    rates = f'split:0 to split:{len(bundle.rates) - 1}'
    msg = f'{way} is no way of a frame: there are {rates}, {", ".join(PICTURES)}, local and auto'
    raise DataError(msg)


def trace_steps(trace: Trace) -> list[tuple[float, float]]:
    """Return from when on the link has which rate.

    Args:
        trace: The trace.

    Returns:
        Seconds and Mbit/s, 0 where it is cut.
    """
    times = [float(moment) for moment in trace.times]
    if min(after - before for before, after in itertools.pairwise(times)) < SHORTEST_STEP_S:
        count = max(1, int(trace.seconds / SHORTEST_STEP_S))
        times = np.linspace(0.0, trace.seconds, count + 1).tolist()
    carried = np.interp(times, trace.times, trace.carried)
    rates = np.diff(carried) / np.diff(times) / 125_000
    return list(zip(times[:-1], rates.tolist(), strict=True))
