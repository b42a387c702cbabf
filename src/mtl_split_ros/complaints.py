# SPDX-License-Identifier: Apache-2.0
"""Counts what was refused and why, and says each kind aloud once in a while, not once a frame."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable

from mtl_split_ros.status import Level, Status

KINDS_KEPT = 64
TROUBLE_S = 5.0


class Complaints:
    """Refusals by reason, with one throttled log line per kind."""

    def __init__(self, log: Callable[[str], object], every_s: float = 5.0) -> None:
        """Log through `log`, each kind at most once in `every_s` seconds."""
        self._log = log
        self._every_s = every_s
        self._said: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._last = ''
        self._last_at = -float('inf')

    def add(self, reason: str, text: str, now: float | None = None) -> None:
        """Count one refusal and log its text unless that kind was logged just now.

        Args:
            reason: Short name for the counter, from a fixed set.
            text: The clear line: thing, value, remedy.
            now: Monotonic seconds, for tests.
        """
        now = time.monotonic() if now is None else now
        # figures differ from frame to frame, the kind of the complaint does not
        kind = re.sub(r'[0-9a-f]*\d[0-9a-f]*', '#', text)
        with self._lock:
            self._counts[reason] += 1
            self._last, self._last_at = text, now
            if now - self._said.get(kind, -float('inf')) < self._every_s:
                self._unsaid[kind] += 1
                return
            if len(self._said) >= KINDS_KEPT:
                self._said.clear()
                self._unsaid.clear()
            self._said[kind] = now
            before = self._unsaid.pop(kind, 0)
        self._log(f'{text} ({before} more like it before this)' if before else text)

    @property
    def counts(self) -> dict[str, int]:
        """Refusals since the start, by reason."""
        with self._lock:
            return dict(self._counts)

    @property
    def total(self) -> int:
        """Refusals since the start."""
        with self._lock:
            return self._counts.total()

    def latest(self, within_s: float, now: float | None = None) -> str:
        """The newest refusal's text if it is younger than `within_s` seconds, else ''."""
        now = time.monotonic() if now is None else now
        with self._lock:
            return self._last if now - self._last_at <= within_s else ''

    def fill(self, status: Status) -> None:
        """Add the counts to diagnostics; a refusal of just now is an error there."""
        status.add('refused', self.total)
        for reason, count in sorted(self.counts.items()):
            status.add(f'refused: {reason}', count)
        if text := self.latest(TROUBLE_S):
            status.merge_summary(Level.ERROR, text)
            status.add('latest refusal', text)
