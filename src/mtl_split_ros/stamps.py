# SPDX-License-Identifier: Apache-2.0
"""Notices stamps that go back, as of a recording that starts again, and stamps of zero."""

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
        self._at = self._zero_at = -math.inf
        self._count = self._zeros = 0

    def heard(self, stamp: Time, now: float | None = None) -> None:
        """A message arrived; a stamp of zero says nothing of the order.

        Args:
            stamp: Of its header.
            now: Monotonic seconds, for tests.
        """
        now = time.monotonic() if now is None else now
        nanoseconds = stamp.sec * 10**9 + stamp.nanosec
        if not nanoseconds:
            self._zeros += 1
            self._zero_at = now
            return
        if self._latest is not None and nanoseconds < self._latest:
            self._count += 1
            self._jump_s = (self._latest - nanoseconds) / 1e9
            self._at = now
        self._latest = nanoseconds

    def fill(self, status: Status, now: float | None = None) -> None:
        """Add the counts to a diagnostic status, and warnings while they are news.

        Args:
            status: To fill.
            now: Monotonic seconds, for tests.
        """
        status.add('stamps that went back', self._count)
        status.add('stamps of zero', self._zeros)
        now = time.monotonic() if now is None else now
        if now - self._at < TROUBLE_S:
            text = (
                f'stamps went back by {self._jump_s:.3f} s: a recording started again, a clock was '
                'set, or two cameras publish; answers carry them as they are'
            )
            status.merge_summary(Level.WARN, text)
        if now - self._zero_at < TROUBLE_S:
            text = (
                'stamps of zero: the camera sets none, so its images cannot be told apart; answers '
                'carry them as they are'
            )
            status.merge_summary(Level.WARN, text)
