# SPDX-License-Identifier: Apache-2.0
"""Whether a frame is this server's to answer, and still wanted.

Every frame has one answerer. The edge names it by its session once it has heard of it, and says, on
the clock of that server, until when an answer helps; after that the edge may have answered itself.
"""

import threading
import time
from enum import Enum, auto

PEER_ALIVE_S = 2.0
"""A server that has not reported for so long is gone."""
_PEERS_KEPT = 16


class Turn(Enum):
    """What to do with a frame."""

    ANSWER = auto()
    LATE = auto()
    """Its time is over."""
    ELSEWHERE = auto()
    """Another server answers it."""


class Turns:
    """Knows the other servers on the graph. Used by worker and executor.

    Args:
        session: Of this server process.
        now: Monotonic seconds, for tests.
    """

    def __init__(self, session: int, now: float | None = None) -> None:
        self._session = session
        self._since = time.monotonic() if now is None else now
        self._peers: dict[int, float] = {}
        self._lock = threading.Lock()

    def heard(self, session: int, now: float | None = None) -> None:
        """A link report of the server with this session is on the graph."""
        if session == self._session:
            return
        with self._lock:
            self._peers.pop(session, None)
            if len(self._peers) >= _PEERS_KEPT:
                del self._peers[next(iter(self._peers))]
            self._peers[session] = time.monotonic() if now is None else now

    def peers(self, now: float | None = None) -> tuple[int, ...]:
        """Sessions of the other servers that are alive."""
        now = time.monotonic() if now is None else now
        with self._lock:
            return tuple(
                session for session, heard in self._peers.items() if now - heard < PEER_ALIVE_S
            )

    def of(self, answer_session: int, answer_until_us: int, now: float | None = None) -> Turn:
        """Judge a frame.

        Args:
            answer_session: Who is to answer it; 0 for any server.
            answer_until_us: Until when, microseconds of this clock; 0 without a limit.
            now: Monotonic seconds, for tests.
        """
        now = time.monotonic() if now is None else now
        if answer_session == self._session:
            late = answer_until_us and now * 1e6 >= answer_until_us
            return Turn.LATE if late else Turn.ANSWER
        peers = self.peers(now)
        # A frame to nobody, or to a server that is gone, as in a recording: one of us answers it.
        if answer_session in peers or any(peer < self._session for peer in peers):
            return Turn.ELSEWHERE
        # That server may only not have been heard of yet.
        young = answer_session and now - self._since < PEER_ALIVE_S
        return Turn.ELSEWHERE if young else Turn.ANSWER


def clock_us(now: float | None = None) -> int:
    """Microseconds of this server's clock, as its reports carry them."""
    return round((time.monotonic() if now is None else now) * 1e6)
