# SPDX-License-Identifier: Apache-2.0
"""One way to answer on one link, with what it takes and why it fell out."""

from dataclasses import dataclass
from enum import StrEnum

from mtl_split_core.profile import ProfilePoint


@dataclass(frozen=True, slots=True)
class Way:
    """A way to answer, with the profile that it is of.

    Args:
        profile: Short name of the profile, unique in a plan.
        point: What was measured.
    """

    profile: str
    point: ProfilePoint

    @property
    def name(self) -> str:
        """Short name, unique in a plan."""
        return f'{self.profile} {self.point.name}'


class Limit(StrEnum):
    """What can rule a candidate out."""

    DEADLINE = 'deadline'
    BANDWIDTH = 'bandwidth'
    EDGE = 'edge'
    SERVER = 'server'
    MEMORY = 'memory'
    ACCURACY = 'accuracy'
    DOMINATED = 'dominated'


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a candidate fell out.

    Args:
        limit: By what.
        text: In words, with the amount.
    """

    limit: Limit
    text: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way on a link.

    Args:
        way: The way.
        accuracy: Mean of the metrics, lost frames as 0.
        latency_ms: From picture to answer, with 95 % of all payloads, nothing waiting.
        size: Bytes per frame, mean.
        edge_busy: Share of the time that the edge works, above 1 if it cannot keep up.
        link_busy: Share of the time that the link carries.
        server_busy: Share of the time that the server works.
        fps: Most pictures per second that all three keep up with; infinite if none works.
        reasons: Why it fell out; empty on the Pareto front.
    """

    way: Way
    accuracy: float
    latency_ms: float
    size: float
    edge_busy: float
    link_busy: float
    server_busy: float
    fps: float
    reasons: tuple[Reason, ...] = ()

    @property
    def name(self) -> str:
        """Short name, unique in a plan."""
        return self.way.name

    @property
    def fits(self) -> bool:
        """Whether it keeps to every limit, also where another one beats it."""
        return all(reason.limit is Limit.DOMINATED for reason in self.reasons)

    def dominates(self, other: 'Candidate') -> bool:
        """Return whether it is nowhere worse than another one, and somewhere better."""
        mine = (-self.accuracy, self.latency_ms, self.size)
        its = (-other.accuracy, other.latency_ms, other.size)
        return mine != its and all(a <= b for a, b in zip(mine, its, strict=True))
