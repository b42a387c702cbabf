# SPDX-License-Identifier: Apache-2.0
"""The policy as the node uses it: one object for worker and executor, modes switched live."""

import math
import threading
import time
from collections import Counter
from dataclasses import replace

from mtl_split_core.errors import MtlSplitError
from mtl_split_core.profile import Mode, Profile, ProfilePoint
from mtl_split_edge.decision import Decision, PolicySettings, QueueState, Reason
from mtl_split_edge.link import Report
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_edge.link_estimator import LinkEstimator
from mtl_split_edge.policy import Policy

LARGEST_BACKLOG_S = 0.15
"""For how long a link may be busy with earlier frames before one that is sent regardless waits."""
LONGEST_PAUSE_S = 0.25
"""From one frame to the next on a link that has gone silent, so that its return is noticed."""
_PERIOD_STEP = 1.1  # share by which the camera's period changes before the policy hears of it


class Chooser:
    """Estimator and policy behind one lock.

    Args:
        profile: What each way costs and is worth.
        settings: What to aim at.
    """

    def __init__(self, profile: Profile, settings: PolicySettings) -> None:
        self._profile = profile
        self._settings = settings
        self._lock = threading.Lock()
        self._estimator = LinkEstimator(profile.fingerprint)
        self._policy = Policy(profile.points, settings)
        self._held: ProfilePoint | None = None
        self._held_counts: Counter[Reason] = Counter()
        self._sent_at = -math.inf

    def hold(self, point: ProfilePoint) -> None:
        """Treat every frame the same way from now on, at the pace of the link.

        Args:
            point: The way; its figures are not used, so it need not have been measured.
        """
        with self._lock:
            self._held = point

    def use(self, mode: Mode | None, rate: int | None = None) -> None:
        """Choose among all points from now on, or among those of one mode.

        What is known of the link stays.

        Args:
            mode: The mode; None for all, which is `auto`.
            rate: Rate index of the mode; None for all of them.

        Raises:
            MtlSplitError: The profile has no such point.
        """
        points = self._profile.select(mode, rate) if mode else self._profile.points
        if not points:
            msg = (
                f'the profile of {self._profile.bundle} has no {mode} at rate {rate}: measure '
                'again with `mtl-split profile`'
            )
            raise MtlSplitError(msg)
        with self._lock:
            counts = self._policy.counts
            self._held = None
            self._policy = Policy(points, self._settings)
            self._policy.counts = counts

    def choose(self, profile: Profile) -> None:
        """Choose among all points of a profile from now on.

        Args:
            profile: Of the same bundle.
        """
        self._profile = profile
        self.use(None)

    def aim(self, deadline_s: float) -> None:
        """Take over a deadline, seconds from the arrival of an image to that of its answer."""
        if deadline_s != self._settings.deadline_s:
            self.set(replace(self._settings, deadline_s=deadline_s))

    def set(self, settings: PolicySettings) -> None:
        """Aim at something else from now on.

        Args:
            settings: What to aim at.
        """
        with self._lock:
            self._settings = self._policy.settings = settings

    def follow(self, period_s: float) -> None:
        """Take over the period of the camera, seconds, when it has changed."""
        before = self._settings.period_s
        if not before / _PERIOD_STEP <= period_s <= before * _PERIOD_STEP:
            self.set(replace(self._settings, period_s=period_s))

    def decide(self, age_s: float, now: float | None = None) -> Decision:
        """Decide about the frame that is next, just before work on it begins.

        Args:
            age_s: Since the arrival of its image, seconds.
            now: Monotonic seconds, for tests.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            queue = QueueState(
                age_s, self._estimator.backlog_s(now), self._estimator.silence_s(now)
            )
            if self._held:
                return self._pace(self._held, queue, now)
            return self._policy.decide(self._estimator.estimate(now), queue, now)

    def sent(self, sequence: int, size: int, point: ProfilePoint, now: float | None = None) -> None:
        """A frame goes out; call it just before publishing.

        Args:
            sequence: Its number.
            size: Its payload, bytes.
            point: How it is sent.
            now: Monotonic seconds, for tests.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            self._sent_at = now
            probe = not self._held and self._policy.rung is None
            self._estimator.sent(sequence, size, point.server_ms / 1e3, now, probe)

    def worked(self, point: ProfilePoint, seconds: float) -> None:
        """This edge has worked on a frame for so long, from the decision to its publishing."""
        with self._lock:
            self._estimator.worked(point.edge_ms / 1e3, seconds)

    def reported(self, report: Report, now: float | None = None) -> None:
        """A link report arrived."""
        now = time.monotonic() if now is None else now
        with self._lock:
            self._estimator.reported(report, now)

    def answered(self, sequence: int, service_s: float, now: float | None = None) -> None:
        """The answer to a sent frame arrived; see LinkEstimator.answered()."""
        now = time.monotonic() if now is None else now
        with self._lock:
            self._estimator.answered(sequence, service_s, now)

    def link(self, now: float | None = None) -> LinkEstimate:
        """Return the link as it is seen now, for diagnostics."""
        now = time.monotonic() if now is None else now
        with self._lock:
            return self._estimator.estimate(now)

    def silence_s(self, now: float | None = None) -> float:
        """Return for how long the oldest frame without a sign of arrival is out, seconds."""
        now = time.monotonic() if now is None else now
        with self._lock:
            return self._estimator.silence_s(now)

    @property
    def held_back(self) -> bool:
        """See Policy."""
        with self._lock:
            return self._policy.held_back

    @property
    def settings(self) -> PolicySettings:
        """What is aimed at."""
        return self._settings

    @property
    def counts(self) -> dict[Reason, int]:
        """Decisions since the start, by reason."""
        with self._lock:
            return dict(self._policy.counts + self._held_counts)

    def _pace(self, point: ProfilePoint, queue: QueueState, now: float) -> Decision:
        known = self._estimator.estimate(now).known
        # A link that has gone silent is tried now and then; one that is slow by experience is not.
        tried = now - self._sent_at > LONGEST_PAUSE_S
        backlog_s = self._estimator.usual_backlog_s(now) if tried else queue.backlog_s
        if point.mode is Mode.LOCAL or not known or backlog_s <= LARGEST_BACKLOG_S:
            decision = Decision(point, None, math.nan, Reason.FIXED)
        else:
            decision = Decision(None, None, math.inf, Reason.PACED)
        self._held_counts[decision.reason] += 1
        return decision
