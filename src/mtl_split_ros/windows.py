# SPDX-License-Identifier: Apache-2.0
"""Sliding figures of a running node: percentiles of durations and sizes, rates of events."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping

import numpy as np

PERCENTILES = (50, 95, 99)


class SlidingWindow:
    """The newest values of one figure; written by the worker, read by the diagnostics timer."""

    def __init__(self, size: int = 128) -> None:
        """Keep the newest `size` values."""
        self._values: deque[float] = deque(maxlen=size)
        self._lock = threading.Lock()
        self.total = 0

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: float) -> None:
        """Add one value, forget the oldest when full."""
        with self._lock:
            self._values.append(value)
            self.total += 1

    def mean(self) -> float:
        """Mean of the window, 0 when empty."""
        with self._lock:
            return float(np.mean(self._values)) if self._values else 0.0

    def percentiles(self) -> dict[int, float]:
        """Percentiles 50, 95 and 99 of the window, empty when there is no value yet."""
        with self._lock:
            values = np.array(self._values)
        if not values.size:
            return {}
        return dict(zip(PERCENTILES, np.percentile(values, PERCENTILES).tolist(), strict=True))


class RateMeter:
    """Events per second over the last few seconds."""

    def __init__(self, seconds: float = 5.0) -> None:
        """Look back over `seconds`."""
        self._seconds = seconds
        self._events: deque[tuple[float, float]] = deque()
        self._amount = 0.0
        self._first: float | None = None
        self._lock = threading.Lock()
        self.total = 0

    def add(self, amount: float = 1.0, now: float | None = None) -> None:
        """Count one event that carries an amount (bytes, for instance)."""
        now = time.monotonic() if now is None else now
        with self._lock:
            self.total += 1
            self._first = now if self._first is None else self._first
            self._events.append((now, amount))
            self._amount += amount
            self._forget(now)

    def rates(self, now: float | None = None) -> tuple[float, float]:
        """Events per second and amount per second."""
        now = time.monotonic() if now is None else now
        with self._lock:
            self._forget(now)
            if not self._events or self._first is None:
                return 0.0, 0.0
            # a stream that has just begun is not measured against time before its beginning
            seconds = min(self._seconds, max(now - self._first, 1.0))
            return len(self._events) / seconds, self._amount / seconds

    def _forget(self, now: float) -> None:
        while self._events and self._events[0][0] < now - self._seconds:
            self._amount -= self._events.popleft()[1]


class StageWindows:
    """One window of milliseconds per stage, in the order in which the stages first appeared."""

    def __init__(self, size: int = 128) -> None:
        """Keep the newest `size` values of every stage."""
        self._size = size
        self._stages: dict[str, SlidingWindow] = {}

    def add(self, times: Mapping[str, float]) -> None:
        """Add the stage times of one frame.

        Args:
            times: Milliseconds by stage name.
        """
        for stage, value in times.items():
            if stage not in self._stages:
                self._stages = {**self._stages, stage: SlidingWindow(self._size)}
            self._stages[stage].add(value)

    def values(self) -> Iterator[tuple[str, str]]:
        """Pairs for a diagnostic status: 'encode ms p50', '4.81' and so on.

        'encode frames' are all that the stage has had, of which the window holds the newest.
        """
        for stage, window in self._stages.items():
            yield f'{stage} frames', str(window.total)
            for percent, value in window.percentiles().items():
                yield f'{stage} ms p{percent}', f'{value:.2f}'
