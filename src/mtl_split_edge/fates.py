# SPDX-License-Identifier: Apache-2.0
"""Counts what became of the images, and says who answers at present and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from mtl_split_edge.decision import Reason
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_ros.status import Level, Status
from mtl_split_ros.windows import RateMeter, StageWindows


class Outcome(IntEnum):
    """Constants of FrameStatus."""

    ANSWERED_BY_EDGE = 1
    ANSWERED_BY_SERVER = 2
    MISSED = 3
    DROPPED = 4


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one image; see FrameStatus.

    Args:
        outcome: What became of it.
        way: Name of the way, '' if dropped.
        reason: Why this way.
        bytes: Payload sent for it.
        expected_s: From its arrival to its answer, as foreseen, seconds.
        elapsed_s: From its arrival to the knowledge of its fate, seconds.
    """

    outcome: Outcome
    way: str = ''
    reason: str = ''
    bytes: int = 0
    expected_s: float = float('nan')
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LinkView:
    """What is known of the other side.

    Args:
        servers: Servers that report at present.
        same_bundle: Whether the server at the other end runs the bundle of this edge.
        silence_s: For how long the oldest frame without a sign of arrival is out, seconds.
        estimate: What the link can do.
        held_back: Whether the link would do, and only returns to it that failed speak against it.
    """

    servers: int
    same_bundle: bool
    silence_s: float
    estimate: LinkEstimate
    held_back: bool = False

    def trouble(self, deadline_s: float) -> str:
        """Say why the server is not asked.

        Args:
            deadline_s: From the arrival of an image to that of its answer, seconds.
        """
        if not self.servers:
            return 'no server reports'
        if not self.same_bundle:
            return 'the server runs another bundle'
        if self.silence_s > deadline_s:
            return f'the server has shown no sign of the frames sent for {self.silence_s:.1f} s'
        link = self.estimate
        if not link.known:
            return 'the link is not known yet'
        if link.answered < 0.5:
            return f'the server answers {link.answered:.0%} of the frames that arrive'
        figures = (
            f'{link.goodput / 1e3:.0f} kB/s, {link.delay_s * 1e3:.0f} ms, '
            f'{link.loss:.0%} of packets lost'
        )
        if self.held_back:
            return f'the latest return to the link failed, the next one is prepared ({figures} now)'
        return f'over the link ({figures}) nothing better would be in time'


class Fates:
    """Figures of all images; written by worker and executor, read by the diagnostics timer."""

    def __init__(self) -> None:
        self._meters = {outcome: RateMeter() for outcome in Outcome}
        self._elapsed = StageWindows()
        self._latest = Fate(Outcome.DROPPED)

    def add(self, fate: Fate) -> None:
        """Count one image."""
        self._meters[fate.outcome].add()
        if fate.outcome in (Outcome.ANSWERED_BY_EDGE, Outcome.ANSWERED_BY_SERVER):
            self._latest = fate
            kind = 'local' if fate.outcome is Outcome.ANSWERED_BY_EDGE else 'by server'
            self._elapsed.add({f'answer {kind}': fate.elapsed_s * 1e3})

    def fill(
        self,
        status: Status,
        mode: str,
        deadline_s: float,
        decisions: Mapping[Reason, int],
        link: LinkView,
    ) -> None:
        """Diagnostics of who answers.

        Args:
            status: To fill.
            mode: Parameter `mode`.
            deadline_s: What mode auto aims at, seconds.
            decisions: Decisions since the start, by reason.
            link: What is known of the other side.
        """
        rates = {outcome: meter.rates()[0] for outcome, meter in self._meters.items()}
        here, there = rates[Outcome.ANSWERED_BY_EDGE], rates[Outcome.ANSWERED_BY_SERVER]
        latest = self._latest
        text = f'mode {mode}: {there:.1f} Hz answered by the server, {here:.1f} Hz here'
        status.summary(Level.OK, f'{text}, last {latest.way}' if latest.way else text)
        if mode == 'auto' and latest.outcome is Outcome.ANSWERED_BY_EDGE:
            status.summary(Level.WARN, f'{text}: {link.trouble(deadline_s)}')
        status.add('mode', mode)
        status.add('way', latest.way)
        for outcome, meter in self._meters.items():
            status.add(outcome.name.lower().replace('_', ' '), meter.total)
        for reason in Reason:
            status.add(f'decided: {reason}', decisions.get(reason, 0))
        estimate = link.estimate
        status.add('servers', link.servers)
        status.add('link kB/s', estimate.goodput / 1e3 if estimate.known else float('nan'))
        status.add('link delay ms', estimate.delay_s * 1e3 if estimate.known else float('nan'))
        status.add('link loss', estimate.loss)
        status.add('deadline ms', deadline_s * 1e3)
        status.values += self._elapsed.values()
