# SPDX-License-Identifier: Apache-2.0
"""How long runs with so many frames take, and whom one more frame would make late."""

from collections.abc import Iterable

_NEW = 0.2
"""Weight of the newest time in the mean."""


class RunTimes:
    """Mean times by number of frames. Not for several threads."""

    def __init__(self) -> None:
        """Know nothing."""
        self._means: dict[int, float] = {}

    def add(self, frames: int, seconds: float) -> None:
        """A run is over, from the first decoding to the last results."""
        before = self._means.get(frames, seconds)
        self._means[frames] = before + _NEW * (seconds - before)

    def of(self, frames: int) -> float:
        """Return the time of a run, seconds; in proportion to the nearest where none was so big."""
        if not self._means:
            return 0.0
        nearest = min(self._means, key=lambda known: abs(known - frames))
        return self._means[nearest] * frames / nearest

    def costs_one(self, deadlines: Iterable[float], now: float) -> bool:
        """Return whether one more frame makes one late that is in time without it.

        Args:
            deadlines: Of the frames that are in the run, seconds of any clock.
            now: On that clock.
        """
        ends = list(deadlines)
        without, with_it = now + self.of(len(ends)), now + self.of(len(ends) + 1)
        return any(without < end <= with_it for end in ends)
