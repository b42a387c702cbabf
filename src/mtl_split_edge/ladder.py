# SPDX-License-Identifier: Apache-2.0
"""The points to send at that are worth their bytes."""

from collections.abc import Sequence

from mtl_split_core.profile import Mode, ProfilePoint
from mtl_split_edge.decision import PolicySettings

_SAME_WORK = 0.1  # share of the deadline; nobody sends more bytes for less to save less work


def make_ladder(
    points: Sequence[ProfilePoint], settings: PolicySettings
) -> tuple[ProfilePoint, ...]:
    """Return the points to send at, by the accuracy that they give an image of the camera.

    A point is left out where another one is as accurate with no more bytes and hardly more work.

    Args:
        points: Points of a profile.
        settings: What to aim at.
    """

    def good(point: ProfilePoint) -> float:
        slowest_s = max(point.edge_ms, point.server_ms) / 1e3
        return point.quality * min(1.0, settings.period_s / max(slowest_s, 1e-9))

    def costs(point: ProfilePoint) -> tuple[float, float]:
        return point.bytes_p95, point.edge_ms + point.server_ms

    most_ms = _SAME_WORK * settings.deadline_s * 1e3
    kept: list[ProfilePoint] = []
    sending = (point for point in points if point.mode is not Mode.LOCAL)
    # The best first: what comes later is no better, so it has to cost less than all before it.
    for point in sorted(sending, key=lambda point: (-good(point), costs(point))):
        mine = costs(point)
        beaten = any(
            other[0] <= mine[0] and other[1] <= mine[1] + most_ms for other in map(costs, kept)
        )
        if not beaten:
            kept.append(point)
    return tuple(reversed(kept))
