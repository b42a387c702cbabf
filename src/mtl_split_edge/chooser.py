# SPDX-License-Identifier: Apache-2.0
"""The policy as the node uses it: one object for worker and executor, modes switched live."""

import threading
import time

from mtl_split_core.errors import MtlSplitError
from mtl_split_core.profile import Mode, Profile, ProfilePoint
from mtl_split_edge.decision import Decision, PolicySettings, QueueState, Reason
from mtl_split_edge.link import Report
from mtl_split_edge.link_estimate import LinkEstimate, LinkEstimator
from mtl_split_edge.policy import Policy


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
            self._policy = Policy(points, self._settings)
            self._policy.counts = counts

    def set(self, settings: PolicySettings) -> None:
        """Aim at something else from now on.

        Args:
            settings: What to aim at.
        """
        with self._lock:
            self._settings = self._policy.settings = settings

    def decide(self, age_s: float, now: float | None = None) -> Decision:
        """Decide about the frame that is next, just before work on it begins.

        Args:
            age_s: Since the arrival of its image, seconds.
            now: Monotonic seconds, for tests.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            queue = QueueState(age_s, self._estimator.backlog_s(now))
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
            self._estimator.sent(sequence, size, point.server_ms / 1e3, now)

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
    def counts(self) -> dict[Reason, int]:
        """Decisions since the start, by reason."""
        with self._lock:
            return dict(self._policy.counts)
