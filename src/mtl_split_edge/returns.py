# SPDX-License-Identifier: Apache-2.0
"""When the edge may try the link again, after returns to it that failed."""

import math

from mtl_split_edge.decision import PolicySettings, QueueState
from mtl_split_edge.link_estimate import LinkEstimate

_FAILED_S = 2.0  # a return to the link that held for less was a mistake
_OUTAGE_S = 1.9  # a link that was silent for so long may be another one now, a full queue is not
_FASTER = 8.0  # times as fast is another link; what a shaper lets pass makes up to four
_SAFER = 4.0  # times fewer packets lost
_FULL = 0.1  # share of its time from which on the link may be full with the stream, and lose by it
_CLEAR_PACKETS = 4  # two probes
_SURE_PACKETS = 9  # more than a shaper lets pass at once
_UNREHEARSED = 4.0  # times as long a wait where a try costs images
_DRAINED_S = 1.0  # after which nothing of a stream is left in the queues
_CALM_S = 0.5  # for which all must have been well where it was not without a stream
_FREE = 2  # failures in a row that may have been the link's

LOSSY = 0.01
"""Share of lost packets from which on it can be the loss that a return fails by."""


class Returns:
    """Counts the returns to the link that failed, and looks for news of it meanwhile.

    What a return fails by need not show in a probe, whose answer does not come back: after the
    second failure in a row the next return waits, each time twice as long, unless the probes say
    that it is another link now; or that what made even them late, with no stream in their way, such
    as a server without processor time, has gone. Where a return fails all the same, that has to
    be gone for twice as long the next time.
    """

    def __init__(self) -> None:
        self._at = self._left = self._known_at = -math.inf
        self._failed = 0
        self._slowest = self._worst_loss = 0.0
        self._news_from: int | None = None
        self._troubled = self._hasty = False
        self._calm_from: float | None = None
        self._calm_s = _CALM_S

    @property
    def news(self) -> bool:
        """Whether the latest probes say that the link is better than when it was left."""
        return self._news_from is not None

    def look(self, link: LinkEstimate, queue: QueueState, now: float, *, well: bool) -> None:
        """Take a look at the link.

        Args:
            link: What it can do.
            queue: What waits on the edge.
            now: Monotonic seconds.
            well: Whether something sent would be in time.
        """
        if not well:
            self._calm_from = None
            alone_s = now - self._left if self._left >= self._at else 0.0
            self._troubled = self._troubled or alone_s > _DRAINED_S
        elif self._calm_from is None:
            self._calm_from = now
        if link.known:
            self._known_at = now
        elif now - self._known_at > _OUTAGE_S:
            self._failed = 0
        self._worst_loss = max(self._worst_loss, link.loss)
        if not link.known or link.probed_packets < _CLEAR_PACKETS:
            # What a stream that failed has left in the queues is in the way of the first probe.
            self._news_from = None
            return
        if queue.silence_s:
            return  # what is out makes the link look slower than it may be
        self._slowest = max(self._slowest, link.slowness)
        if link.slowness >= self._slowest / _FASTER:
            self._news_from = None
        elif self._news_from is None or self._news_from > link.probed_packets:
            self._news_from = link.probed_packets

    def returned(self, now: float) -> None:
        """Frames are sent again."""
        self._at, self._slowest, self._worst_loss = now, 0.0, 0.0
        self._hasty = self._troubled and self._failed >= _FREE
        self._troubled = False

    def left(self, now: float) -> None:
        """No frames are sent any more."""
        if now - self._at >= _FAILED_S:
            self._failed, self._calm_s = 0, _CALM_S
        else:
            self._failed += 1
            # it was not the trouble that it failed by
            self._calm_s *= 2.0 if self._hasty else 1.0
        self._left = now

    def failed(self, now: float) -> None:
        """A rehearsal has shown that a return would fail."""
        self._failed, self._left = self._failed + 1, now
        self._calm_from = None

    @property
    def doubtful(self) -> bool:
        """Whether the last return failed."""
        return self._failed > 0

    def may_return(
        self,
        link: LinkEstimate,
        least_bytes: float,
        settings: PolicySettings,
        now: float,
        *,
        rehearsed: bool,
    ) -> bool:
        """Tell whether a return to the link is worth a try.

        Args:
            link: What it can do.
            least_bytes: Of the smallest frame there is.
            settings: How long to wait.
            now: Monotonic seconds.
            rehearsed: Whether the try costs no images.
        """
        if self._failed < _FREE:
            return True
        if self._news_from is not None and link.probed_packets >= self._news_from + _SURE_PACKETS:
            return True
        calm_s = 0.0 if self._calm_from is None else now - self._calm_from
        if rehearsed and self._troubled and calm_s >= self._calm_s:
            return True
        safer = link.loss < self._worst_loss / _SAFER and self._worst_loss > LOSSY
        if safer and least_bytes * self._slowest < _FULL * settings.period_s:
            return True
        wait_s = settings.return_after_s * 2.0 ** min(self._failed - _FREE, 10)
        wait_s = min(wait_s, settings.return_after_most_s)
        return now - self._left >= (wait_s if rehearsed else _UNREHEARSED * wait_s)
