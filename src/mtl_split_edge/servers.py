# SPDX-License-Identifier: Apache-2.0
"""Which server this edge talks to, and until when, on that server's clock, an answer helps.

The two clocks are never compared. A report carries the server's clock; whatever that clock shows
when the report arrives, it shows at least as much as it did when the report left. So `clock + d` is
reached on the server at the latest when `d` has passed on the edge since the report's arrival.
"""

import threading
from collections import deque
from dataclasses import dataclass, field

from mtl_split_edge.link import Report

SERVER_ALIVE_S = 1.0
"""A server that has not reported for so long is given up for another one, if there is one."""
_CLOCKS_KEPT = 64
_SERVERS_KEPT = 16
_UINT64_MAX = 2**64 - 1


@dataclass(slots=True)
class _Server:
    fingerprint: int
    heard: float
    # clock of the server less the edge's at the arrival of a report; each is a lower bound
    offsets: deque[float] = field(default_factory=lambda: deque(maxlen=_CLOCKS_KEPT))


class Servers:
    """Follows the servers by their reports, and stays with one of them.

    Args:
        fingerprint: Of this edge's bundle; a server with the same one is preferred.
    """

    def __init__(self, fingerprint: int) -> None:
        self._fingerprint = fingerprint
        self._servers: dict[int, _Server] = {}
        self._current: int | None = None
        self._lock = threading.Lock()

    def prefer(self, fingerprint: int) -> None:
        """Prefer the servers with another bundle from now on."""
        with self._lock:
            self._fingerprint = fingerprint

    def heard(self, report: Report, now: float) -> bool:
        """A possible report arrived.

        Args:
            report: The report.
            now: Monotonic seconds.

        Returns:
            Whether it is of the server that this edge talks to.
        """
        with self._lock:
            server = self._servers.get(report.session)
            if server is None:
                while len(self._servers) >= _SERVERS_KEPT:
                    oldest = min(self._servers, key=lambda session: self._servers[session].heard)
                    del self._servers[oldest]
                server = self._servers[report.session] = _Server(report.fingerprint, now)
            server.fingerprint, server.heard = report.fingerprint, now
            server.offsets.append(report.clock_us / 1e6 - now)
            self._choose(report.session, now)
            return report.session == self._current

    def alive(self, now: float) -> tuple[int, ...]:
        """Return the sessions of the servers that have reported lately."""
        with self._lock:
            return tuple(
                session
                for session, server in self._servers.items()
                if now - server.heard < SERVER_ALIVE_S
            )

    def address(self, until: float) -> tuple[int, int]:
        """Return who is to answer, and until when.

        Args:
            until: Monotonic seconds of this edge.

        Returns:
            Session of the server and microseconds of its clock; zeros while none is known.
        """
        with self._lock:
            server = self._servers.get(self._current) if self._current is not None else None
            if server is None or self._current is None:
                return 0, 0
            micros = round((until + max(server.offsets)) * 1e6)
            return self._current, min(max(micros, 1), _UINT64_MAX)

    def _choose(self, session: int, now: float) -> None:
        current = self._servers.get(self._current) if self._current is not None else None
        gone = current is None or now - current.heard >= SERVER_ALIVE_S
        ours = self._servers[session].fingerprint == self._fingerprint
        if gone or (current and ours and current.fingerprint != self._fingerprint):
            self._current = session
