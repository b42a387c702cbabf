# SPDX-License-Identifier: Apache-2.0
"""Chooses for each frame who answers it and at which rate: the best that arrives in time."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from mtl_split_core.profile import Mode, ProfilePoint
from mtl_split_edge.decision import Decision, PolicySettings, QueueState, Reason
from mtl_split_edge.ladder import make_ladder
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_edge.probes import Probes
from mtl_split_edge.rehearsal import Rehearsal
from mtl_split_edge.returns import Returns

_WORSE = 1.02  # a lower rung must be worth this much more to replace one that is in time
_SETTLED_S = 5.0  # a rung that held for so long was no mistake
_MOST_BUSY = 0.9  # share of its time that the edge may take to answer alone, to send as well
_FAILED_S = 1.0  # a rung that held for less was one


class Policy:
    """Decides frame by frame. Not for several threads at once.

    The points to send at form a ladder. Down it goes at once, where a link slower by the reserve
    would make the rung miss, and up one rung at a time, where the next one would hold on a link
    slower by the headroom. Without a rung that pays, the edge answers alone and probes.

    Args:
        points: What may be chosen from: all of a profile for `auto`, a selection otherwise.
        settings: What to aim at; may be replaced while running.
    """

    def __init__(self, points: Sequence[ProfilePoint], settings: PolicySettings) -> None:
        self.settings = settings
        self.counts: Counter[Reason] = Counter()
        self._local = next((point for point in points if point.mode is Mode.LOCAL), None)
        self._sending = [point for point in points if point.mode is not Mode.LOCAL]
        self._ladder = make_ladder(points, settings)
        self._rung: int | None = None
        self._held_back = False
        self._up_since: float | None = None
        self._up_after = settings.up_after_s
        self._raised = -math.inf
        self._returns = Returns()
        self._rehearsal = Rehearsal()
        self._probes = Probes(self._ladder)

    @property
    def rung(self) -> ProfilePoint | None:
        """The point that frames are sent at now; None while the edge answers alone."""
        return None if self._rung is None else self._ladder[self._rung]

    @property
    def held_back(self) -> bool:
        """Whether a rung would be in time, and only the returns that failed speak against it."""
        return self._held_back

    def decide(self, link: LinkEstimate, queue: QueueState, now: float) -> Decision:
        """Decide about the frame that is next, just before work on it begins.

        Args:
            link: What the link can do.
            queue: What waits on the edge.
            now: Monotonic seconds.

        Returns:
            The decision; it is counted.
        """
        self._settle(self._believed(link, queue), queue, now)
        decision = self._answer(self._believed(link, queue), queue, now)
        self.counts[decision.reason] += 1
        return decision

    def expected_s(self, point: ProfilePoint, link: LinkEstimate, queue: QueueState) -> float:
        """Return when an answer is to be expected, with the margin.

        Args:
            point: How to answer.
            link: What the link can do.
            queue: What waits on the edge.

        Returns:
            Seconds from the arrival of the image to that of the answer.
        """
        edge_s = point.edge_ms / 1e3 * link.edge_factor
        if point.mode is Mode.LOCAL:
            return queue.age_s + edge_s
        return (
            queue.age_s
            + max(edge_s, queue.backlog_s)
            + link.travel_s(point.bytes_p95, self.settings.margin)
            + point.server_ms / 1e3 * link.server_factor
        )

    def worth(self, point: ProfilePoint, link: LinkEstimate) -> float:
        """Return the expected accuracy per image of the camera, those it cannot answer as 0.

        Args:
            point: How to answer.
            link: What the link can do.

        Returns:
            0 to 1; a local answer less its cost.
        """
        local = point.mode is Mode.LOCAL
        slowest_s = point.edge_ms / 1e3 * link.edge_factor
        if not local:
            link_s = point.bytes_mean * link.slowness
            slowest_s = max(slowest_s, link_s, point.server_ms / 1e3 * link.server_factor)
        share = min(1.0, self.settings.period_s / max(slowest_s, 1e-9))
        if local:
            return point.quality * share - self.settings.local_cost
        return point.quality * share * link.delivery(point.bytes_mean)

    def _believed(self, link: LinkEstimate, queue: QueueState) -> LinkEstimate:
        """Take a link for unknown that has swallowed a frame for a whole deadline.

        A smaller frame would be in time if the link had got slower; if it is cut, none is, and
        by the time the two can be told apart several answers are missed.
        """
        silent = queue.silence_s >= self.settings.deadline_s
        return replace(link, known=False) if silent else link

    def _settle(self, link: LinkEstimate, queue: QueueState, now: float) -> None:
        """Move on the ladder, by what the link can do with nothing waiting."""
        before = self._rung
        fits = self._in_time(link)
        self._returns.look(link, queue, now, well=bool(fits))
        self._rehearsal.look(link)
        slower = _slower(link, self.settings.headroom)
        local = self._local_worth(link)
        self._held_back = False
        if not fits or max(self.worth(self._ladder[rung], link) for rung in fits) <= local:
            self._rung = None
            self._stay(now)
        elif before is None:
            safe = (r for r in self._in_time(slower) if self.worth(self._ladder[r], slower) > local)
            rung = next(safe, None)
            self._rung = self._return(rung, link, now)
            self._held_back = rung is not None and self._rung is None
        else:
            # A link that gets slower has to be seen before the first frame is late by it.
            stays = self._in_time(_slower(link, self.settings.reserve))
            self._rung = self._lower(before, stays or fits[:1], link)
            if self._rung == before:
                self._rung = self._higher(before, slower, now)
        if self._rung is None or before is None:
            self._up_since = None
        if before is not None and (self._rung is None or self._rung < before):
            self._up_since = None
            if now - self._raised < _FAILED_S:
                self._up_after = min(2 * self._up_after, self.settings.up_after_most_s)
                self._raised = now
        if before is None and self._rung is not None:
            self._returns.returned(now)
        if before is not None and self._rung is None:
            self._returns.left(now)
        if self._rung is not None:
            self._probes.rest()

    def _return(self, rung: int | None, link: LinkEstimate, now: float) -> int | None:
        """Return the rung to return to the link at, None as long as it is not to be."""
        least = min(point.bytes_p95 for point in self._ladder)
        rehearsed = self._can_rehearse(link)
        if rung is None or not self._returns.may_return(
            link, least, self.settings, now, rehearsed=rehearsed
        ):
            self._stay(now)
            return None
        if not (self._returns.doubtful and rehearsed):
            self._rehearsal.stop()
            return rung
        self._rehearsal.begin(self._ladder[rung], link, now)
        if not self._rehearsal.over(now):
            return None
        # The trips rehearsed were those of whole frames: their bytes take no more time.
        as_rehearsed = replace(link, delay_s=self._rehearsal.trip_s(), slowness=1e-9)
        expected_s = self.expected_s(self._ladder[rung], as_rehearsed, QueueState())
        if expected_s > self.settings.deadline_s:
            self._stay(now)
            return None
        self._rehearsal.stop()
        return rung

    def _stay(self, now: float) -> None:
        """Go on answering alone; a rehearsal that ends so was a return that failed."""
        if self._rehearsal.stop():
            self._returns.failed(now)

    def _can_rehearse(self, link: LinkEstimate) -> bool:
        """Tell whether the edge can answer every image; to send what it has computed is little."""
        if self._local is None or not self._local_worth(link):
            return False
        edge_s = self._local.edge_ms / 1e3 * link.edge_factor
        return edge_s <= _MOST_BUSY * self.settings.period_s

    def _lower(self, rung: int, fits: list[int], link: LinkEstimate) -> int:
        """Return the rung to be at: this one, or the best below where this one fails."""

        def worth(number: int) -> float:
            return self.worth(self._ladder[number], link)

        best = max((number for number in fits if number < rung), key=worth, default=None)
        if rung not in fits:
            return fits[0] if best is None else best
        if best is not None and worth(best) > _WORSE * worth(rung):
            return best
        return rung

    def _higher(self, rung: int, slower: LinkEstimate, now: float) -> int:
        """Return the next rung up once it has been safe for long enough, else this one."""
        least = self.worth(self._ladder[rung], slower)
        above = (number for number in self._in_time(slower) if number > rung)
        step = next((n for n in above if self.worth(self._ladder[n], slower) > least), None)
        if step is None:
            self._up_since = None
            return rung
        if self._up_since is None:
            self._up_since = now
        if now - self._raised > _SETTLED_S:
            self._up_after = self.settings.up_after_s
        if now - self._up_since < self._up_after:
            return rung
        self._up_since = self._raised = now
        return step

    def _answer(self, link: LinkEstimate, queue: QueueState, now: float) -> Decision:
        """Decide about one frame, by what waits now."""

        def send(point: ProfilePoint, reason: Reason) -> Decision:
            return Decision(point, None, self.expected_s(point, link, queue), reason)

        fits = [
            point
            for point in self._sending
            if link.known
            and self.worth(point, link) > 0
            and self.expected_s(point, link, queue) <= self.settings.deadline_s
        ]
        # What would wait for the link until the next image comes is better not sent at all.
        room_s = queue.backlog_s - self.settings.period_s / 2
        free = [point for point in fits if point.edge_ms / 1e3 * link.edge_factor >= room_s]
        rung = self.rung
        up_to = [point for point in free if rung and point.quality <= rung.quality]
        if best := max(up_to, key=lambda point: self.worth(point, link), default=None):
            return send(rung if rung in up_to and rung else best, Reason.BEST)
        probe = None if rung else self._probe(link, queue, now)
        if self._local and (late_s := self.expected_s(self._local, link, queue)) <= (
            self.settings.deadline_s
        ):
            return Decision(self._local, probe, late_s, Reason.LINK)
        if probe:
            return send(probe, Reason.PROBE)
        if free:
            # With no rung to stand on, the least that is in time is the safest.
            return send(min(free, key=self._height), Reason.BEST)
        idle = replace(queue, backlog_s=0.0)
        if rung and self.expected_s(self._ladder[0], link, idle) <= self.settings.deadline_s:
            return Decision(None, None, math.inf, Reason.PACED)
        reason = Reason.LATE if rung else Reason.NO_LINK
        return Decision(None, None, math.inf, reason)

    def _probe(self, link: LinkEstimate, queue: QueueState, now: float) -> ProfilePoint | None:
        def in_time(point: ProfilePoint) -> bool:
            return self.expected_s(point, link, QueueState()) <= self.settings.deadline_s

        if not (point := self._rehearsal.point):
            return self._probes.next(link, queue, self.settings, self._returns.news, in_time, now)
        if queue.backlog_s > self.settings.period_s / 2:
            self._stay(now)  # a frame would have to be left out
            return None
        return point

    def _height(self, point: ProfilePoint) -> int:
        return self._ladder.index(point) if point in self._ladder else len(self._ladder)

    def _in_time(self, link: LinkEstimate) -> list[int]:
        """Rungs that are in time with nothing waiting; none while the link is unknown."""
        idle = QueueState()
        return [
            number
            for number, point in enumerate(self._ladder)
            if link.known and self.expected_s(point, link, idle) <= self.settings.deadline_s
        ]

    def _local_worth(self, link: LinkEstimate) -> float:
        if self._local is None:
            return 0.0
        if self._local.edge_ms / 1e3 * link.edge_factor > self.settings.deadline_s:
            return 0.0
        return max(0.0, self.worth(self._local, link))


def _slower(link: LinkEstimate, share: float) -> LinkEstimate:
    slowness, sigma = link.slowness * (1 + share), link.slowness_sigma * (1 + share)
    return replace(link, slowness=slowness, slowness_sigma=sigma)
