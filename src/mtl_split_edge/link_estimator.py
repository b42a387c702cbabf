# SPDX-License-Identifier: Apache-2.0
"""What the link can do, from own send times and the server's reports.

The clocks of the two machines are never compared: a sample is a round trip on the edge's clock,
less what the server held the frame on its own. A frame of n bytes takes `delay + n * slowness`, and
a Kalman filter follows the two unknowns, so that a prediction for another size knows how sure it
is. Frames that stay away count too: they took at least as long as they are out.
"""

import math
from dataclasses import dataclass

from mtl_split_edge.link import Report
from mtl_split_edge.link_estimate import PACKET_BYTES, LinkEstimate

_KEPT = 512
_LEAST_SLOWNESS = 1e-9
_MOST_SLOWNESS = 10.0
_PRIOR_DELAY, _PRIOR_SLOWNESS = 0.02, 8e-6
_DELAY_WALK = 0.002  # s per square root of a second
_SLOWNESS_WALK = 0.3  # share of the slowness per square root of a second
_JUMP = 3.0  # standard deviations from which on the link has changed, not wavered
_SMOOTHING = 0.3
_ANSWERED_MEMORY_S, _LOSS_MEMORY_S = 1.0, 3.0  # in which the counts fade
_OUTAGE_S = 1.0
_CLEAN_PACKETS = 40  # in a row: at 5 % of loss that happens in 13 of 100 cases


@dataclass(frozen=True, slots=True)
class _Sent:
    at: float
    size: int
    server_s: float
    probe: bool

    @property
    def packets(self) -> int:
        return max(1, math.ceil(self.size / PACKET_BYTES))


class LinkEstimator:
    """Follows the link. Not for several threads at once.

    Args:
        fingerprint: Of this edge's bundle; a server with another one answers nothing.
    """

    def __init__(self, fingerprint: int) -> None:
        self._fingerprint = fingerprint
        self._session: int | None = None
        self._edge_factor = 1.0
        self._reset()

    def _reset(self) -> None:
        self._waiting: dict[int, _Sent] = {}
        self._known = False
        self._delay, self._slowness = _PRIOR_DELAY, _PRIOR_SLOWNESS
        self._p_delay, self._p_cross = _PRIOR_DELAY**2, 0.0
        self._p_slowness = _PRIOR_SLOWNESS**2
        self._jitter, self._surprise = 0.005, 0.0
        self._updated = self._link_free = -math.inf
        self._lost = self._received = 0.0
        self._came = self._due = self._done = 0.0
        self._answered_at = self._lost_at = -math.inf
        self._foreign = False
        self._server_factor = 1.0
        self._report_s = 0.0
        self._packets = 1.0
        self._probed = 0
        self._trip_s = 0.0

    def sent(
        self, sequence: int, size: int, server_s: float, now: float, probe: bool = False
    ) -> None:
        """A frame goes out.

        Args:
            sequence: Its number.
            size: Its payload, bytes.
            server_s: What the profile says that the server will work on it, seconds.
            now: Monotonic seconds.
            probe: Whether it is one of few, sent to learn about the link.
        """
        frame = self._waiting[sequence] = _Sent(now, size, server_s, probe)
        self._packets += _SMOOTHING * (frame.packets - self._packets)
        while len(self._waiting) > _KEPT:
            del self._waiting[next(iter(self._waiting))]

    def reported(self, report: Report, now: float) -> None:
        """A link report arrived; one with impossible figures is ignored.

        Args:
            report: The report.
            now: Monotonic seconds.
        """
        if not report.possible:
            return
        if self._session != report.session:
            # Another process: what is out will not be answered, and its way may be another one.
            first, self._session = self._session is None, report.session
            if not first:
                self._reset()
        self._foreign = report.fingerprint != self._fingerprint
        if self._foreign:
            return
        self._report_s = min(report.interval, 1.0)
        # What was refused is not of this edge: its own frames stay away then, which counts already.
        usable = max(0, report.received - report.refused)
        if usable or report.answered:
            # What arrived in this interval may be answered in the next: it is not due yet.
            kept = math.exp((self._answered_at - now) / _ANSWERED_MEMORY_S)
            self._answered_at = now
            self._due = kept * self._came
            # One that came too late says something of the way, not of who answers.
            self._came = self._due + max(0, usable - report.late)
            self._done = kept * self._done + report.answered
        if not usable:
            return
        if report.lost:
            self._probed = 0
        # What a dead link or a full queue swallowed says nothing about single packets.
        if self.silence_s(now) < _OUTAGE_S:
            kept = math.exp((self._lost_at - now) / _LOSS_MEMORY_S)
            self._lost_at = now
            self._lost = kept * self._lost + report.lost
            self._received = kept * self._received + usable
        self._acknowledge(report.last_sequence, report.hold_s, report.service_s, now)

    def answered(self, sequence: int, service_s: float, now: float) -> None:
        """The answer to one frame arrived by itself, sooner than the next report.

        Args:
            sequence: Number of the frame.
            service_s: What the server says that it worked on it, seconds.
            now: Monotonic seconds.
        """
        if math.isfinite(service_s) and service_s >= 0:
            self._report_s = 0.0
            self._acknowledge(sequence, service_s, service_s, now)

    def worked(self, expected_s: float, seconds: float) -> None:
        """This edge has worked on a frame.

        Args:
            expected_s: What the profile says, seconds; 0 where it says nothing.
            seconds: What it took.
        """
        if expected_s > 0:
            factor = min(max(seconds / expected_s, 0.1), 100.0)
            self._edge_factor += _SMOOTHING * (factor - self._edge_factor)

    def estimate(self, now: float) -> LinkEstimate:
        """Return what to expect of a frame that is sent now.

        Args:
            now: Monotonic seconds.
        """
        slowness = self._slowness_now(now)
        p_delay, p_slowness = self._spread(now)
        arrived = self._lost + self._received
        frame_loss = self._lost / arrived if arrived > 0 else 0.0
        return LinkEstimate(
            known=self._known,
            delay_s=self._delay,
            slowness=slowness,
            delay_sigma_s=math.hypot(math.sqrt(p_delay), self._jitter),
            slowness_sigma=min(math.sqrt(p_slowness), slowness),
            loss=1 - (1 - min(frame_loss, 0.999)) ** (1 / self._packets),
            answered=0.0 if self._foreign else min(1.0, (self._done + 1) / (self._due + 1)),
            server_factor=self._server_factor,
            edge_factor=self._edge_factor,
            probed_packets=self._probed,
            trip_s=self._trip_s,
        )

    def backlog_s(self, now: float) -> float:
        """Return for how long the link is still busy with what was sent.

        Args:
            now: Monotonic seconds.
        """
        free = self._free_after(list(self._waiting.values()), self._slowness_now(now))
        return max(0.0, free - now)

    def usual_backlog_s(self, now: float) -> float:
        """Return the backlog if the link were as the latest samples say, whatever stays away.

        Args:
            now: Monotonic seconds.
        """
        return max(0.0, self._free_after(list(self._waiting.values()), self._slowness) - now)

    def silence_s(self, now: float) -> float:
        """Return for how long the oldest frame without a sign of arrival is out; 0 without one.

        Args:
            now: Monotonic seconds.
        """
        first = next(iter(self._waiting.values()), None)
        return now - first.at if first else 0.0

    def _acknowledge(self, sequence: int, hold_s: float, service_s: float, now: float) -> None:
        if sequence not in self._waiting:
            return
        before = []
        for number in list(self._waiting):
            frame = self._waiting.pop(number)
            if number == sequence:
                break
            before.append(frame)
        # Behind frames that were out before it, it began to travel when they were through.
        began = max(frame.at, self._free_after(before, self._slowness))
        self._update(frame.size, max(0.0, now - hold_s - began), now)
        self._trip_s = max(0.0, now - hold_s - frame.at)
        self._link_free = max(frame.at, now - hold_s - self._delay)
        self._forgive(frame)
        if frame.server_s > 0 and service_s > 0:
            factor = min(max(service_s / frame.server_s, 0.1), 100.0)
            self._server_factor += _SMOOTHING * (factor - self._server_factor)

    def _forgive(self, frame: _Sent) -> None:
        """Forget losses once probes arrive; a stream at full rate forgets them by time."""
        self._probed = self._probed + frame.packets if frame.probe else 0
        if self._probed >= _CLEAN_PACKETS:
            self._lost = 0.0

    def _update(self, size: int, trip: float, now: float) -> None:
        self._p_delay, self._p_slowness = self._spread(now)
        self._updated, self._known = now, True
        surprise = trip - self._delay - size * self._slowness
        noise = self._jitter**2
        spread = self._p_delay + 2 * size * self._p_cross + size**2 * self._p_slowness + noise
        if surprise**2 > _JUMP**2 * spread:
            self._p_slowness += (surprise**2 - spread) / size**2
            spread = surprise**2
        else:
            # What all samples have in common is no jitter, the delay is still to follow it.
            wavered = min(max(abs(surprise - self._surprise), 0.001), 0.05)
            self._jitter += 0.1 * (wavered - self._jitter)
        self._surprise = surprise
        gain_delay = (self._p_delay + size * self._p_cross) / spread
        gain_slowness = (self._p_cross + size * self._p_slowness) / spread
        # No frame is sooner than an empty one: what a full queue made of the delay is over then.
        self._delay = min(max(0.0, self._delay + gain_delay * surprise), trip)
        self._slowness += gain_slowness * surprise
        self._slowness = min(max(self._slowness, _LEAST_SLOWNESS), _MOST_SLOWNESS)
        h_delay = self._p_delay + size * self._p_cross
        h_slowness = self._p_cross + size * self._p_slowness
        self._p_delay = max(self._p_delay - gain_delay * h_delay, 1e-10)
        self._p_slowness = max(self._p_slowness - gain_slowness * h_slowness, 1e-24)
        self._p_cross -= gain_delay * h_slowness
        limit = 0.99 * math.sqrt(self._p_delay * self._p_slowness)
        self._p_cross = min(max(self._p_cross, -limit), limit)

    def _spread(self, now: float) -> tuple[float, float]:
        """Variances as they have grown since the latest sample."""
        seconds = max(0.0, now - self._updated) if self._known else 0.0
        p_delay = self._p_delay + seconds * _DELAY_WALK**2
        walk = seconds * (_SLOWNESS_WALK * self._slowness) ** 2
        return min(p_delay, _PRIOR_DELAY**2), self._p_slowness + walk

    def _slowness_now(self, now: float) -> float:
        """Slowness of the samples, or more where a frame is out for longer than that explains."""
        first = next(iter(self._waiting.values()), None)
        if first is None or not self._known:
            return self._slowness
        began = max(first.at, self._link_free)
        # It may have arrived and not be reported yet.
        out = now - began - self._report_s - self._delay - _JUMP * self._jitter
        return min(max(self._slowness, out / max(first.size, 1)), _MOST_SLOWNESS)

    def _free_after(self, frames: list[_Sent], slowness: float) -> float:
        free = self._link_free
        for frame in frames:
            free = max(free, frame.at) + frame.size * slowness
        return free
