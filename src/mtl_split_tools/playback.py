# SPDX-License-Identifier: Apache-2.0
"""The clock of a replay: where in the recording it is now, with rate and pause."""

import threading
import time
from collections.abc import Callable


class Playback:
    """Position in a recording against monotonic time; safe to use from several threads.

    Args:
        rate: Speed, 1 is real time.
        paused: Whether to stand still until `toggle`.
        clock: Monotonic time in nanoseconds.
    """

    def __init__(
        self, rate: float, paused: bool, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Stand at position 0."""
        self._rate = rate
        self._paused = paused
        self._clock = clock
        self._condition = threading.Condition()
        self._position = 0
        self._since = clock()
        self._stopped = False

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._paused

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def seek(self, position: int) -> None:
        """Go to a position, in nanoseconds of the recording."""
        with self._condition:
            self._position, self._since = position, self._clock()
            self._condition.notify_all()

    def position(self) -> int:
        """Return the position now, in nanoseconds of the recording."""
        with self._condition:
            return self._now()

    def toggle(self) -> None:
        """Pause, or go on."""
        with self._condition:
            self._position, self._since = self._now(), self._clock()
            self._paused = not self._paused
            self._condition.notify_all()

    def stop(self) -> None:
        """End every wait."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def wait_until(self, position: int) -> bool:
        """Wait until a position is reached.

        Args:
            position: Nanoseconds of the recording.

        Returns:
            False after `stop`.
        """
        with self._condition:
            while not self._stopped:
                if self._paused:
                    self._condition.wait()
                    continue
                ahead = (position - self._now()) / self._rate / 1e9
                if ahead <= 0:
                    return True
                # A pause or stop notifies; otherwise this ends some 0.1 ms after the moment.
                self._condition.wait(min(ahead, threading.TIMEOUT_MAX))
            return False

    def _now(self) -> int:
        if self._paused:
            return self._position
        return self._position + round((self._clock() - self._since) * self._rate)
