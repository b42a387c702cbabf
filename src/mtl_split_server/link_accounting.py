# SPDX-License-Identifier: Apache-2.0
"""Counts what arrives, what is missing by its number, and what was answered, per interval."""

import statistics
import threading
import time
from dataclasses import dataclass

SEQUENCE_MODULUS = 2**32
LARGEST_GAP = 1000
CAMERAS_KEPT = 16
UINT32_MAX = 2**32 - 1
DONE_BITS = 64


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """One interval of the link, as the server saw it.

    Args:
        interval: Seconds, above 0.
        received: Frames that arrived.
        lost: Frames missing by their sequence numbers.
        refused: Frames that arrived and could not be used.
        late: Frames dropped because their time was over.
        answered: Frames with published results, and probes.
        goodput: Payload bytes per second that arrived.
        last_sequence: Number of the latest frame that arrived.
        hold_us: Microseconds from its arrival to now.
        service_us: Median microseconds from decoding to publishing, 0 without answers.
        done_sequence: Number of the latest frame that was worked through.
        done_mask: Bit i: frame done_sequence - i was worked through, 64 bits.
        busy_fraction: Share of the interval that the worker was busy, 0 to 1.
        refusal: The latest refusal of the interval, or ''.
        camera: Camera of the latest frame.
    """

    interval: float
    received: int
    lost: int
    refused: int
    late: int
    answered: int
    goodput: float
    last_sequence: int
    hold_us: int
    service_us: int
    done_sequence: int
    done_mask: int
    busy_fraction: float
    refusal: str
    camera: str


class LinkAccounting:
    """Written by subscription and worker, read by the report timer."""

    def __init__(self, now: float | None = None) -> None:
        """Begin the first interval."""
        self._lock = threading.Lock()
        self._last: dict[str, int] = {}
        self._done: dict[str, tuple[int, int]] = {}
        self._last_sequence, self._last_at, self._camera = 0, 0.0, ''
        self.lost_total = self.late_total = 0
        self._begin(time.monotonic() if now is None else now, 0.0)

    def _begin(self, now: float, busy_s: float) -> None:
        self._began, self._busy_before = now, busy_s
        self._received = self._lost = self._refused = self._late = self._bytes = 0
        self._services: list[float] = []
        self._refusal = ''

    def arrived(
        self, camera: str, sequence: int | None, size: int, now: float | None = None
    ) -> None:
        """A frame arrived.

        Args:
            camera: Whose frame it is; numbers are followed per camera.
            sequence: Its number; None for a frame of a foreign bundle, whose number says nothing.
            size: Payload bytes.
            now: Monotonic seconds, for tests.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            self._received += 1
            self._bytes += size
            if sequence is None:
                return
            lost = self._gap(camera, sequence)
            self._lost += lost
            self.lost_total += lost
            self._last_sequence, self._last_at, self._camera = sequence, now, camera

    def _gap(self, camera: str, sequence: int) -> int:
        before = self._last.pop(camera, None)
        if len(self._last) >= CAMERAS_KEPT:
            del self._last[next(iter(self._last))]
        self._last[camera] = sequence
        if before is None:
            return 0
        step = (sequence - before) % SEQUENCE_MODULUS
        # one writer's samples never arrive out of order, so a step back or a leap is an edge that
        # began anew, not a loss
        return step - 1 if 1 <= step <= LARGEST_GAP else 0

    def refused(self, reason: str) -> None:
        """A frame that arrived could not be used."""
        with self._lock:
            self._refused += 1
            self._refusal = reason

    def late(self) -> None:
        """A frame was dropped because its time was over."""
        with self._lock:
            self._late += 1
            self.late_total += 1

    def answered(self, camera: str, sequence: int, service_s: float) -> None:
        """A frame was worked through.

        Args:
            camera: Whose frame it is.
            sequence: Its number.
            service_s: Seconds from the beginning of its decoding to its last results.
        """
        with self._lock:
            self._services.append(service_s)
            before, mask = self._done.pop(camera, (sequence, 0))
            step = (sequence - before) % SEQUENCE_MODULUS
            # A step back is an edge that began anew; what the one before it sent is of no interest.
            mask = mask << step if step < DONE_BITS else 0
            if len(self._done) >= CAMERAS_KEPT:
                del self._done[next(iter(self._done))]
            self._done[camera] = sequence, (mask | 1) & (2**DONE_BITS - 1)

    def close_interval(self, busy_s: float, now: float | None = None) -> LinkFigures:
        """End the interval and begin the next one.

        Args:
            busy_s: Seconds that the worker was busy since its start.
            now: Monotonic seconds, for tests.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            interval = max(now - self._began, 1e-3)
            hold_s = now - self._last_at if self._last_at else 0.0
            service_s = statistics.median(self._services) if self._services else 0.0
            done_sequence, done_mask = self._done.get(self._camera, (0, 0))
            figures = LinkFigures(
                interval=interval,
                received=self._received,
                lost=self._lost,
                refused=self._refused,
                late=self._late,
                answered=len(self._services),
                goodput=self._bytes / interval,
                last_sequence=self._last_sequence,
                hold_us=min(round(hold_s * 1e6), UINT32_MAX),
                service_us=min(round(service_s * 1e6), UINT32_MAX),
                done_sequence=done_sequence,
                done_mask=done_mask,
                busy_fraction=min(1.0, max(0.0, (busy_s - self._busy_before) / interval)),
                refusal=self._refusal,
                camera=self._camera,
            )
            self._begin(now, busy_s)
            return figures
