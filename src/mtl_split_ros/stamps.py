# SPDX-License-Identifier: Apache-2.0
"""Notices stamps of a stream that go back: a recording that starts again, a second camera."""

import math
import time

from builtin_interfaces.msg import Time

from mtl_split_ros.status import Level, Status

TROUBLE_S = 5.0


class StampWatch:
    """Watches the stamps of one stream; used by the executor alone."""

    def __init__(self) -> None:
        self._latest: int | None = None
        self._jump_s = 0.0
        self._at = -math.inf
        self._count = 0

    def heard(self, stamp: Time, now: float | None = None) -> None:
        """A message arrived; a stamp of zero says nothing.

        Args:
            stamp: Of its header.
            now: Monotonic seconds, for tests.
        """
        nanoseconds = stamp.sec * 10**9 + stamp.nanosec
        if not nanoseconds:
            return
        if self._latest is not None and nanoseconds < self._latest:
            self._count += 1
            self._jump_s = (self._latest - nanoseconds) / 1e9
            self._at = time.monotonic() if now is None else now
        self._latest = nanoseconds

    def fill(self, status: Status, now: float | None = None) -> None:
        """Add the count to a diagnostic status, and a warning while it is news.

        Args:
            status: To fill.
            now: Monotonic seconds, for tests.
        """
        status.add('stamps that went back', self._count)
        now = time.monotonic() if now is None else now
        if now - self._at < TROUBLE_S:
            text = (
                f'stamps went back by {self._jump_s:.3f} s: a recording started again, a clock was '
                'set, or two cameras publish; answers carry them as they are'
            )
            status.merge_summary(Level.WARN, text)
