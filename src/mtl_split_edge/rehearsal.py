# SPDX-License-Identifier: Apache-2.0
"""A return to the link without risk: frames at the camera's pace whose answers nobody needs."""

from statistics import median

from mtl_split_core.profile import ProfilePoint
from mtl_split_edge.link_estimate import LinkEstimate

_LASTS_S = 0.5
_FEW = 3  # round trips at either end that are compared
_FURTHER = 2.0  # times as long as it lasted, for which their growth is followed further


class Rehearsal:
    """The edge answers alone, and sends all that it would send after a return.

    A single probe says nothing of what a stream does to the link, nor of the way back that the
    answers fill: the reports on these frames are as large as their answers would be. A stream that
    is too much for either way shows in round trips that grow from frame to frame.
    """

    def __init__(self) -> None:
        self._point: ProfilePoint | None = None
        self._trips: list[float] = []
        self._since = 0.0
        self._packets = 0

    @property
    def point(self) -> ProfilePoint | None:
        """What is to be sent for it; None while there is none."""
        return self._point

    def begin(self, point: ProfilePoint, link: LinkEstimate, now: float) -> None:
        """Begin it, unless there is one.

        Args:
            point: What would be sent after the return.
            link: As it is before it.
            now: Monotonic seconds.
        """
        if self._point is None:
            self._trips, self._since, self._packets = [], now, link.probed_packets
        self._point = point

    def look(self, link: LinkEstimate) -> None:
        """Take a look at the latest round trip.

        Args:
            link: As it is now.
        """
        if self._point and link.probed_packets != self._packets:
            self._packets = link.probed_packets
            self._trips.append(link.trip_s)

    def over(self, now: float) -> bool:
        """Tell whether it has lasted for long enough.

        Args:
            now: Monotonic seconds.
        """
        return len(self._trips) > 2 * _FEW and now - self._since >= _LASTS_S

    def trip_s(self) -> float:
        """Return the round trip to expect some frames further on, seconds; once it is over."""
        first, last = median(self._trips[:_FEW]), median(self._trips[-_FEW:])
        return last + _FURTHER * max(0.0, last - first)

    def stop(self) -> bool:
        """End it.

        Returns:
            Whether there was one.
        """
        before, self._point = self._point, None
        return before is not None
