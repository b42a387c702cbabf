# SPDX-License-Identifier: Apache-2.0
"""A made-up profile, nothing in it was measured: figures as a small computer in a car has them."""

from mtl_split_core.codec_ids import CodecId
from mtl_split_core.profile import Mode, Profile, ProfilePoint

SPLIT = ((1200, 0.60), (2200, 0.655), (4000, 0.69), (8000, 0.71), (16000, 0.72))
JPEG = ((7300, 0.58), (13800, 0.66), (18800, 0.69), (32000, 0.71), (68000, 0.72))
WEBP = ((6500, 0.60), (10800, 0.675), (14500, 0.70), (25000, 0.715), (55000, 0.72))
FINGERPRINT = 0x0123456789ABCDEF


def made_profile(
    fingerprint: int = FINGERPRINT, local_ms: float = 110.0, rates: int = len(SPLIT)
) -> Profile:
    """Return a profile with all three modes.

    Args:
        fingerprint: Of the bundle that it is for.
        local_ms: What the edge takes to answer alone.
        rates: Rates of the bundle.
    """
    points = [point(Mode.LOCAL, None, 0, local_ms, 0.0, 0, 0.722)]
    points += [
        point(Mode.SPLIT, CodecId.ENTROPY, rate, 20.0, 25.0, size, quality)
        for rate, (size, quality) in enumerate(SPLIT[:rates])
    ]
    for codec, edge_ms, table in ((CodecId.JPEG, 3.0, JPEG), (CodecId.WEBP, 15.0, WEBP)):
        points += [
            point(Mode.REMOTE, codec, rate, edge_ms, 45.0, size, quality)
            for rate, (size, quality) in enumerate(table)
        ]
    return Profile('made', fingerprint, 'made-up', 100, tuple(points))


def point(
    mode: Mode,
    codec: CodecId | None,
    rate: int,
    edge_ms: float,
    server_ms: float,
    size: float,
    quality: float,
) -> ProfilePoint:
    """Return a point whose three metrics have this mean."""
    metrics = (quality - 0.1, quality - 0.1, quality + 0.2)
    sizes = (size, size * 1.15, size * 1.3)
    return ProfilePoint(mode, codec, rate, edge_ms, server_ms, *sizes, *metrics)
