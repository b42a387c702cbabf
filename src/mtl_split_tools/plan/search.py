# SPDX-License-Identifier: Apache-2.0
"""Judges every candidate: what it takes, what rules it out, and which ones nothing beats.

There are some tens of candidates, so all are judged. The latency is what the policy of the edge
expects on a link that it knows for certain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mtl_split_core.profile import Mode
from mtl_split_edge.decision import QueueState
from mtl_split_edge.policy import Policy
from mtl_split_tools.plan.candidate import Candidate, Way
from mtl_split_tools.plan.demand import Demand, Objective
from mtl_split_tools.plan.limits import beaten, limits_passed


@dataclass(frozen=True, slots=True)
class Plan:
    """What the search found.

    Args:
        demand: What was asked for.
        candidates: All, in the order in which they were given.
        chosen: The best of the front; None if nothing fits.
    """

    demand: Demand
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None

    @property
    def front(self) -> tuple[Candidate, ...]:
        """What fits and nothing that fits beats, the most accurate first."""
        return tuple(one for one in self.in_order if not one.reasons)

    @property
    def in_order(self) -> tuple[Candidate, ...]:
        """All: the front, then what it beats, then what does not fit; the most accurate first."""
        return tuple(
            sorted(
                self.candidates,
                key=lambda one: (not one.fits, bool(one.reasons), *_rank(one, Objective.ACCURACY)),
            )
        )


def search(ways: Sequence[Way], demand: Demand) -> Plan:
    """Judge all ways.

    Args:
        ways: What there is to choose from.
        demand: What is asked for.

    Returns:
        Every way with its figures, the reasons against it, and the best one.
    """
    policy = Policy([way.point for way in ways], demand.settings)
    judged = [_judge(way, demand, policy) for way in ways]
    fitting = [one for one in judged if one.fits]
    front = [one for one in fitting if not any(other.dominates(one) for other in fitting)]
    compared = (
        replace(one, reasons=(beaten(one, front),)) if one.fits and one not in front else one
        for one in judged
    )
    chosen = min(front, key=lambda one: _rank(one, demand.objective), default=None)
    return Plan(demand, tuple(compared), chosen)


def _rank(candidate: Candidate, objective: Objective) -> tuple[float, ...]:
    """What candidates are sorted by, the best first."""
    worse, late, size = -candidate.accuracy, candidate.latency_ms, candidate.size
    return {
        Objective.ACCURACY: (worse, late, size),
        Objective.LATENCY: (late, worse, size),
        Objective.BYTES: (size, worse, late),
    }[objective]


def _judge(way: Way, demand: Demand, policy: Policy) -> Candidate:
    point, link = way.point, demand.link
    edge_s = point.edge_ms / 1e3 * link.edge_factor
    server_s = point.server_ms / 1e3 * link.server_factor
    link_s = point.bytes_mean * link.slowness
    slowest_s = max(edge_s / demand.edge_share, link_s, server_s)
    arriving = 1.0 if point.mode is Mode.LOCAL else link.delivery(point.bytes_mean)
    found = Candidate(
        way=way,
        accuracy=point.quality * arriving,
        latency_ms=policy.expected_s(point, link, QueueState()) * 1e3,
        size=point.bytes_mean,
        edge_busy=edge_s * demand.fps,
        link_busy=link_s * demand.fps,
        server_busy=server_s * demand.fps,
        fps=1 / slowest_s if slowest_s else float('inf'),
    )
    return replace(found, reasons=limits_passed(found, demand))
