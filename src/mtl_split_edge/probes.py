# SPDX-License-Identifier: Apache-2.0
"""What the edge sends along to learn about a link while it answers alone."""

import math
from collections.abc import Callable, Sequence

from mtl_split_core.profile import ProfilePoint
from mtl_split_edge.decision import PolicySettings, QueueState
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_edge.returns import LOSSY

_GROWTH = 4.0  # so much larger may a probe be than the one before it, if that arrived


class Probes:
    """Few frames, larger ones as they arrive.

    A small frame says little: what a shaper lets pass at once is no measure of its rate, and one
    packet that arrives is none of the loss. So the first probe is the smallest frame there is, and
    each may be larger than the one before it, as far as it would be in time.

    Args:
        ladder: What may be sent.
    """

    def __init__(self, ladder: Sequence[ProfilePoint]) -> None:
        self._ladder = sorted(ladder, key=lambda point: point.bytes_p95)
        self._gap = self._size = 0.0
        self._at: float | None = -math.inf  # the first one at once

    def rest(self) -> None:
        """Frames are sent anyway; the next time alone begins anew."""
        self._at, self._gap, self._size = None, 0.0, 0.0

    def next(
        self,
        link: LinkEstimate,
        queue: QueueState,
        settings: PolicySettings,
        news: bool,
        in_time: Callable[[ProfilePoint], bool],
        now: float,
    ) -> ProfilePoint | None:
        """Return what to send now, None for nothing.

        Args:
            link: What the link can do.
            queue: What waits on the edge.
            settings: How often to probe.
            news: Whether the latest probes say that the link is better than before.
            in_time: Whether a point would be in time by `link`.
            now: Monotonic seconds.
        """
        if self._at is None:
            self._at = now + settings.probe_first_s
        if now < self._at or not self._ladder:
            return None
        arrived = link.known and not queue.silence_s
        most = _GROWTH * self._size if arrived else 0.0
        fits = [point for point in self._ladder if point.bytes_p95 <= most and in_time(point)]
        probe = fits[-1] if fits else self._ladder[0]
        # Where loss is what keeps the edge from the link, each probe that arrives is news, too.
        soon = arrived and (news or link.loss > LOSSY)
        self._gap = min(0.0 if soon else 2 * self._gap, settings.probe_most_s)
        self._gap = max(self._gap, settings.probe_first_s)
        self._at = now + self._gap
        self._size = probe.bytes_p95
        return probe
