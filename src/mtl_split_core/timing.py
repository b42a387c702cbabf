# SPDX-License-Identifier: Apache-2.0
"""Stage durations on a monotonic clock."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

StageTimes = dict[str, float]
"""Milliseconds by stage name, in the order in which the stages ran."""


class StageClock:
    """Times the stages of one frame.

    Args:
        now: Monotonic clock, nanoseconds.
    """

    def __init__(self, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._now = now
        self.times: StageTimes = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body and add it to the stage, also when the body raises.

        Args:
            name: Stage name; a stage that is entered again adds up.
        """
        start = self._now()
        try:
            yield
        finally:
            self.times[name] = self.times.get(name, 0.0) + (self._now() - start) / 1e6

    def microseconds(self, name: str) -> int:
        """Return the duration of a stage as a whole number, 0 if it did not run.

        Args:
            name: Stage name.

        Returns:
            Microseconds, at least 0.
        """
        return max(0, round(self.times.get(name, 0.0) * 1e3))
