# SPDX-License-Identifier: Apache-2.0
"""What the edge knows of the link and of the server behind it, from the link reports."""

import math
import threading
import time
from collections import deque
from dataclasses import dataclass

from mtl_split_edge.pipeline import SentTimes
from mtl_split_ros.status import Level, Status, short
from mtl_split_ros.windows import StageWindows

REPORT_AGE_S = 3.0
LOSS_WINDOW_S = 5.0
MUCH_LOST = 0.05
"""Share of the frames from which on the loss is worth a warning: one a second at 20 Hz."""


@dataclass(frozen=True, slots=True)
class Report:
    """A LinkReport's content.

    Args:
        fingerprint: Of the server's bundle.
        session: Of the server process.
        interval: Seconds covered.
        received: Frames that arrived.
        lost: Frames missing by their numbers.
        refused: Frames that could not be used.
        answered: Frames with results.
        goodput: Payload bytes per second.
        last_sequence: Number of the latest frame that arrived.
        hold_s: Seconds from its arrival to the report.
        service_s: Median seconds from decoding to publishing.
        busy_fraction: Share of the interval that the server worked, 0 to 1.
        refusal: Why the latest refused frame was refused, or ''.
        clock_us: The server's clock, microseconds.
        late: Frames dropped because their time was over.
        done_sequence: Number of the latest frame that was worked through.
        done_mask: Bit i: frame done_sequence - i was worked through.
    """

    fingerprint: int
    session: int
    interval: float
    received: int
    lost: int
    refused: int
    answered: int
    goodput: float
    last_sequence: int
    hold_s: float
    service_s: float
    busy_fraction: float
    refusal: str
    clock_us: int = 0
    late: int = 0
    done_sequence: int = 0
    done_mask: int = 0

    @property
    def possible(self) -> bool:
        """Whether its figures can be true; what comes over the wire need not be."""
        figures = (self.goodput, self.hold_s, self.service_s, self.busy_fraction)
        return (
            all(math.isfinite(figure) and figure >= 0 for figure in figures)
            and 0 < self.interval < math.inf
        )


class LinkState:
    """The newest report, how old it is, and the round trips; used by worker and executor."""

    def __init__(self, fingerprint: int) -> None:
        """Judge reports against this edge's bundle `fingerprint`."""
        self._fingerprint = fingerprint
        self._sent = SentTimes()
        self._round_trips = StageWindows()
        self._report: Report | None = None
        self._at = 0.0
        self._lost = self._refused = self._late = self._impossible = 0
        self._arrivals: deque[tuple[float, int, int]] = deque()
        self._lock = threading.Lock()

    def expect(self, fingerprint: int) -> None:
        """Judge reports against another bundle from now on."""
        self._fingerprint = fingerprint

    def sent(self, sequence: int, now: float | None = None) -> None:
        """Packet `sequence` goes out now."""
        with self._lock:
            self._sent.sent(sequence, now)

    def reported(self, report: Report, now: float | None = None) -> None:
        """A report arrived; one whose figures cannot be true is ignored and counted."""
        now = time.monotonic() if now is None else now
        with self._lock:
            if not report.possible:
                self._impossible += 1
                return
            self._report, self._at = report, now
            self._lost += report.lost
            self._refused += report.refused
            self._late += report.late
            self._arrivals.append((now, report.received, report.lost))
            while self._arrivals[0][0] < now - LOSS_WINDOW_S:
                self._arrivals.popleft()
            trip = self._sent.round_trip_s(report.last_sequence, report.hold_s, now)
        if report.received and report.fingerprint == self._fingerprint and trip is not None:
            self._round_trips.add({'round trip': trip * 1e3})

    def fill(
        self, status: Status, subscribers: int, servers: int = 1, now: float | None = None
    ) -> None:
        """Diagnostics of the link.

        Args:
            status: To fill.
            subscribers: Subscriptions of `features`.
            servers: Servers that report at present.
            now: Monotonic seconds, for tests.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            report, age = self._report, now - self._at
            received = sum(count for _, count, _ in self._arrivals)
            lost = sum(count for _, _, count in self._arrivals)
        status.add('subscribers', subscribers)
        status.add('impossible reports', self._impossible)
        if report is None:
            nobody = '' if subscribers else ', nobody subscribes features'
            text = f'no server has reported yet{nobody}: start one in this namespace and domain'
            status.summary(Level.WARN, text)
            return
        self._judge(status, report, age)
        if lost > MUCH_LOST * (received + lost) and age <= REPORT_AGE_S:
            status.merge_summary(
                Level.WARN,
                f'{lost} of {received + lost} frames did not arrive in {LOSS_WINDOW_S:.0f} s: the '
                'link loses packets or is slower than the stream; mode auto or a smaller rate help',
            )
        status.add('servers', servers)
        if servers > 1:
            status.merge_summary(
                Level.ERROR,
                f'{servers} servers report to this edge: it talks to one of them; stop the others '
                'or give each pair its own namespace',
            )
        status.add('report age s', age)
        status.add('server fingerprint', f'{report.fingerprint:016x}')
        status.add('server session', f'{report.session:016x}')
        status.add('received', report.received)
        status.add('lost', report.lost)
        status.add('lost total', self._lost)
        status.add('refused', report.refused)
        status.add('refused total', self._refused)
        status.add('late total', self._late)
        status.add('answered', report.answered)
        status.add('goodput byte/s', report.goodput)
        status.add('service ms', report.service_s * 1e3)
        status.add('server busy', report.busy_fraction)
        status.add('refusal', short(report.refusal, 400))
        status.values += self._round_trips.values()

    def _judge(self, status: Status, report: Report, age: float) -> None:
        if age > REPORT_AGE_S:
            status.summary(Level.WARN, f'no report from the server for {age:.0f} s')
        elif report.fingerprint != self._fingerprint:
            status.summary(
                Level.ERROR,
                f'the server runs the bundle {report.fingerprint:016x}, this edge '
                f'{self._fingerprint:016x}: give both the same bundle',
            )
        elif report.refusal:
            status.summary(Level.ERROR, f'the server refuses: {short(report.refusal, 400)}')
        else:
            status.summary(
                Level.OK,
                f'{report.answered / report.interval:.1f} Hz answered, {report.lost} lost',
            )
