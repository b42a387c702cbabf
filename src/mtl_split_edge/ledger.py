# SPDX-License-Identifier: Apache-2.0
"""Book of the frames that were sent: who was to answer, until when, and what came of it."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mtl_split_core.profile import ProfilePoint
from mtl_split_edge.link import Report

SEQUENCE_MODULUS = 2**32
GUARD_S = 0.01
"""What a publish call may take longer on the server than its look at the clock."""
LONGEST_TRANSIT_S = 0.3
"""What an answer may take through a queue that is full."""
GRACE_S = LONGEST_TRANSIT_S + 0.05
"""How long after its time the report of an answer may come."""
ALIVE_S = 0.25
"""A server not heard for so long is out of reach; full queues stretch its ten reports a second."""
_DONE_BITS = 64
_KEPT = 512

HeaderT = TypeVar('HeaderT')


@dataclass(frozen=True, slots=True)
class Sent(Generic[HeaderT]):
    """A frame that the server is to answer.

    Args:
        header: Of its image.
        point: How it was sent.
        bytes: Its payload.
        arrived: When its image came, monotonic seconds.
        until: Until when the server may answer, monotonic seconds of this edge.
        session: Of the server that is to answer; 0 while none is known.
        until_us: Until when, microseconds of that server's clock.
        expected_s: From its image's arrival to its answer's, seconds.
        reason: Why it was sent this way.
    """

    header: HeaderT
    point: ProfilePoint
    bytes: int
    arrived: float
    until: float
    session: int
    until_us: int
    expected_s: float
    reason: str


class Ledger(Generic[HeaderT]):
    """Frames that are out. Written by the worker, settled by reports and by a timer.

    Args:
        life_s: For how long a lost answer of the server is sent again, seconds.
    """

    def __init__(self, life_s: float = 0.0) -> None:
        self._life_s = life_s
        self._answered_at = self._heard_at = -math.inf
        self._out: dict[int, Sent[HeaderT]] = {}
        self._settled = threading.Condition()
        self._open = True

    def sent(self, sequence: int, frame: Sent[HeaderT]) -> None:
        """Frame `sequence` goes out; not for probes, which nobody answers."""
        with self._settled:
            while len(self._out) >= _KEPT:
                del self._out[next(iter(self._out))]
            self._out[sequence] = frame

    def done(self, report: Report, now: float) -> tuple[list[Sent[HeaderT]], list[Sent[HeaderT]]]:
        """The server says which frames it worked through, and what its clock shows.

        It takes them in their order, so those before the latest that it did not work through
        never will be. Nor will those whose time is over by its own clock.

        Args:
            report: Of the server that this edge talks to.
            now: Monotonic seconds.

        Returns:
            Of the frames that were out: those answered, and those passed over, in the order in
            which they were sent.
        """
        answered, passed = [], []
        sequence, mask = report.done_sequence, report.done_mask
        closed_us = report.clock_us - GUARD_S * 1e6
        with self._settled:
            self._heard_at = now
            for number, frame in list(self._out.items()):
                step = (sequence - number) % SEQUENCE_MODULUS
                if mask and step < _DONE_BITS and mask >> step & 1:
                    answered.append(self._out.pop(number))
                elif (mask and step < _KEPT) or (
                    frame.session == report.session and frame.until_us < closed_us
                ):
                    passed.append(self._out.pop(number))
            if answered:
                self._answered_at = now
            self._settled.notify_all()
        return answered, passed

    def expire(self, now: float) -> list[Sent[HeaderT]]:
        """Return and forget the frames whose time is over, and with it the wait for a report."""
        with self._settled:
            gone = [number for number, frame in self._out.items() if now > frame.until + GRACE_S]
            return [self._out.pop(number) for number in gone]

    def wait_until_own(self, clock: Callable[[], float], transit_s: float = 0.0) -> bool:
        """Wait until no answer of the server can come any more.

        From then on this edge may answer a later image: no header will go backwards. A report
        that comes after the last one's time proves it, as it has come behind the answers. While
        reports come at all one is waited for, else for as long as an answer usually takes.

        Args:
            clock: Monotonic seconds.
            transit_s: What an answer usually takes from the server to here, seconds.

        Returns:
            False if close() came first.
        """
        with self._settled:
            while self._open:
                latest = max((frame.until for frame in self._out.values()), default=-math.inf)
                proof = min(latest + LONGEST_TRANSIT_S, self._heard_at + ALIVE_S)
                transit_s = min(transit_s, LONGEST_TRANSIT_S)
                repeated = self._answered_at + self._life_s + transit_s
                left = max(proof + GUARD_S, latest + GUARD_S + transit_s, repeated) - clock()
                if left <= 0:
                    return True
                self._settled.wait(left)
            return False

    def close(self) -> None:
        """Let whoever waits go."""
        with self._settled:
            self._open = False
            self._settled.notify_all()
