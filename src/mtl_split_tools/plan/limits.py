# SPDX-License-Identifier: Apache-2.0
"""Why a candidate falls out, in words and with the amount."""

from collections.abc import Sequence

from mtl_split_tools.plan.candidate import Candidate, Limit, Reason
from mtl_split_tools.plan.demand import Demand
from mtl_split_tools.plan.units import bandwidth_text

_ROUNDING = 1e-9  # what is exactly at a limit must not fall to rounding


def limits_passed(candidate: Candidate, demand: Demand) -> tuple[Reason, ...]:
    """Return every limit that a candidate passes.

    Args:
        candidate: The candidate.
        demand: The limits.
    """
    found = []
    if _over(candidate.latency_ms, demand.deadline_ms):
        late_ms = candidate.latency_ms - demand.deadline_ms
        found.append(Reason(Limit.DEADLINE, f'deadline missed by {_amount(late_ms)} ms'))
    if _over(candidate.link_busy, 1.0):
        needed = bandwidth_text(candidate.size * 8 * demand.fps)
        text = f'over bandwidth at {demand.fps:g} Hz: needs {needed}'
        found.append(Reason(Limit.BANDWIDTH, text))
    edge, server = candidate.edge_busy, candidate.server_busy
    for limit, busy, share in ((Limit.EDGE, edge, demand.edge_share), (Limit.SERVER, server, 1.0)):
        if _over(busy, share):
            text = f'{limit} over {share:.0%} busy at {demand.fps:g} Hz: {busy:.0%}'
            found.append(Reason(limit, text))
    memory_mb = candidate.way.point.edge_memory_mb
    if demand.memory_mb is not None:
        if memory_mb is None:
            text = 'memory of the edge not measured: run `mtl-split profile` again'
            found.append(Reason(Limit.MEMORY, text))
        elif _over(memory_mb, demand.memory_mb):
            more = _amount(memory_mb - demand.memory_mb)
            found.append(Reason(Limit.MEMORY, f'{more} MB over the memory of the edge'))
    if _over(demand.min_accuracy, candidate.accuracy):
        less = demand.min_accuracy - candidate.accuracy
        found.append(Reason(Limit.ACCURACY, f'accuracy {less:.3f} under what is asked for'))
    return tuple(found)


def beaten(candidate: Candidate, front: Sequence[Candidate]) -> Reason:
    """Return by which one of the front a candidate is beaten, and in what.

    Args:
        candidate: One that fits and is not on the front.
        front: The front.
    """
    better = min(
        (other for other in front if other.dominates(candidate)),
        key=lambda other: (-other.accuracy, other.latency_ms, other.size),
    )
    gains = []
    if better.accuracy > candidate.accuracy:
        gains.append(f'accuracy +{better.accuracy - candidate.accuracy:.3f}')
    if better.latency_ms < candidate.latency_ms:
        gains.append(f'{_amount(candidate.latency_ms - better.latency_ms)} ms sooner')
    if better.size < candidate.size:
        gains.append(f'{(candidate.size - better.size) / 1e3:.1f} kB less')
    return Reason(Limit.DOMINATED, f'dominated by {better.name}: {", ".join(gains)}')


def _over(value: float, limit: float) -> bool:
    return value > limit * (1 + _ROUNDING)


def _amount(value: float) -> str:
    """An amount that never reads as 0."""
    return f'{value:.0f}' if value >= 10 else f'{value:.1f}' if value >= 0.1 else f'{value:.1g}'
