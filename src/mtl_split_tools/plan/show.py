# SPDX-License-Identifier: Apache-2.0
"""A plan as a table, as a sentence and as a document."""

import math
from typing import Any

from rich.table import Table

from mtl_split_core.profile import Mode
from mtl_split_tools.console import MISSING, figure, kilobytes, table
from mtl_split_tools.plan.candidate import Candidate
from mtl_split_tools.plan.demand import Demand, Objective
from mtl_split_tools.plan.search import Plan
from mtl_split_tools.plan.units import bandwidth_text

CHOSEN, FRONT = 'chosen', 'front'

PLACEMENTS = {
    Mode.SPLIT: 'Z_b travels',
    Mode.REMOTE: 'the picture travels',
    Mode.LOCAL: 'the edge alone',
}

_COLUMNS = ('way', 'placement', 'accuracy', 'ms', 'bytes', 'edge', 'link', 'server')
_MORE = ('most Hz', 'edge MB', 'verdict')


def plan_table(plan: Plan) -> Table:
    """Return the Pareto front and below it what fell out, each with the reasons.

    Args:
        plan: The plan.
    """
    rows = (
        (
            one.name,
            one.way.point.mode,
            figure(one.accuracy),
            figure(one.latency_ms, 0),
            kilobytes(one.size),
            f'{one.edge_busy:.0%}',
            f'{one.link_busy:.0%}',
            f'{one.server_busy:.0%}',
            figure(one.fps, 1) if math.isfinite(one.fps) else MISSING,
            figure(one.way.point.edge_memory_mb, 0),
            '; '.join(reason.text for reason in one.reasons)
            or (CHOSEN if one is plan.chosen else FRONT),
        )
        for one in plan.in_order
    )
    return table(demand_text(plan.demand), _COLUMNS + _MORE, rows)


def demand_text(demand: Demand) -> str:
    """Return what was asked for, in short."""
    parts = [bandwidth_text(demand.bandwidth_bit_s)]
    if math.isfinite(demand.deadline_ms):
        parts.append(f'{demand.deadline_ms:g} ms')
    parts += [f'{demand.fps:g} Hz', f'round trip {demand.rtt_ms:g} ms']
    for factor, side in ((demand.edge_factor, 'edge'), (demand.server_factor, 'server')):
        if factor != 1:
            parts.append(f'{side} {factor:g} times the profiled')
    if demand.edge_share < 1:
        parts.append(f'edge {demand.edge_share:.0%} busy at most')
    if demand.loss:
        parts.append(f'loss {demand.loss:.2%}')
    if demand.memory_mb is not None:
        parts.append(f'{demand.memory_mb:g} MB')
    if demand.min_accuracy:
        parts.append(f'accuracy from {demand.min_accuracy:g}')
    return ', '.join(parts)


def verdict(plan: Plan) -> str:
    """Return the answer in one sentence.

    Args:
        plan: The plan.
    """
    if one := plan.chosen:
        aim = {
            Objective.ACCURACY: 'most accurate',
            Objective.LATENCY: 'soonest',
            Objective.BYTES: 'fewest bytes',
        }[plan.demand.objective]
        what = f'accuracy {one.accuracy:.3f}, {one.latency_ms:.0f} ms, {kilobytes(one.size)}'
        where = PLACEMENTS[one.way.point.mode]
        return f'{one.name} ({where}) is the {aim} that fits: {what}'
    nearest = min(plan.candidates, key=lambda one: (len(one.reasons), one.latency_ms))
    reasons = '; '.join(reason.text for reason in nearest.reasons)
    return f'nothing fits; nearest is {nearest.name}: {reasons}'


def plan_document(plan: Plan, doubts: list[str]) -> dict[str, Any]:
    """Return the plan for a JSON file.

    Args:
        plan: The plan.
        doubts: What makes the comparison doubtful.
    """
    demand = plan.demand
    return {
        'demand': {
            'bandwidth_bit_s': demand.bandwidth_bit_s,
            'deadline_ms': _finite(demand.deadline_ms),
            'fps': demand.fps,
            'rtt_ms': demand.rtt_ms,
            'loss': demand.loss,
            'edge_factor': demand.edge_factor,
            'server_factor': demand.server_factor,
            'edge_share': demand.edge_share,
            'memory_mb': demand.memory_mb,
            'min_accuracy': demand.min_accuracy,
            'objective': str(demand.objective),
        },
        'warnings': doubts,
        'verdict': verdict(plan),
        'chosen': plan.chosen.name if plan.chosen else None,
        'front': [one.name for one in plan.front],
        'candidates': [_entry(one) for one in plan.in_order],
    }


def _entry(one: Candidate) -> dict[str, Any]:
    point = one.way.point
    return {
        'name': one.name,
        'profile': one.way.profile,
        'way': point.name,
        'placement': str(point.mode),
        'rate': point.rate if point.codec else None,
        'accuracy': one.accuracy,
        'latency_ms': one.latency_ms,
        'bytes': one.size,
        'edge_busy': one.edge_busy,
        'link_busy': one.link_busy,
        'server_busy': one.server_busy,
        'most_fps': _finite(one.fps),
        'edge_memory_mb': point.edge_memory_mb,
        'fits': one.fits,
        'reasons': [{'limit': str(reason.limit), 'text': reason.text} for reason in one.reasons],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
