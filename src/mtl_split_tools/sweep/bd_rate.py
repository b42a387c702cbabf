# SPDX-License-Identifier: Apache-2.0
"""Bytes of one way against another at equal accuracy: Bjontegaard's rate difference."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
"""Bytes a frame, and the accuracy that they buy."""

_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Comparison:
    """Bytes of a way against an anchor at equal accuracy.

    Args:
        rate: Mean difference of the bytes as a fraction, -0.8: a fifth of the bytes; None where
            the accuracies of the two do not overlap.
        low: Smallest accuracy that both reach, or the better of the two smallest without overlap.
        high: Largest accuracy that both reach.
        above: Whether already the fewest bytes of the way beat all of the anchor.
    """

    rate: float | None
    low: float
    high: float
    above: bool


def frontier(points: Iterable[Point]) -> list[Point]:
    """Return what one would choose: points that no smaller one equals, by bytes and accuracy.

    Accuracy has noise and need not grow with the bytes, but the difference of two curves needs the
    bytes as a function of it. MPEG's tests of coding for machines take the same way out.
    """
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point[0], -point[1])):
        if not kept or point[1] > kept[-1][1]:
            kept.append(point)
    return kept


def compare(anchor: Iterable[Point], way: Iterable[Point]) -> Comparison:
    """Compare two curves over the accuracies that both reach.

    Args:
        anchor: Points of the anchor, at least one.
        way: Points of the way, at least one.

    Returns:
        The mean difference of the logarithm of the bytes, as a fraction of the bytes.
    """
    curves = [frontier(points) for points in (anchor, way)]
    low = max(curve[0][1] for curve in curves)
    high = min(curve[-1][1] for curve in curves)
    above = curves[1][0][1] >= curves[0][-1][1]
    if low >= high:
        return Comparison(None, low, high, above)
    middles = low + (np.arange(_STEPS) + 0.5) / _STEPS * (high - low)
    ours, theirs = (_log_bytes(curve, middles) for curve in reversed(curves))
    return Comparison(float(np.expm1(np.mean(ours - theirs))), low, high, above)


def bytes_for(points: Iterable[Point], accuracy: float) -> float:
    """Return the bytes for which a way reaches an accuracy.

    Args:
        points: Points of the way, at least one.
        accuracy: The accuracy.

    Returns:
        Bytes a frame between its points; its fewest where those reach more; infinity if none do.
    """
    curve = frontier(points)
    if accuracy <= curve[0][1]:
        return curve[0][0]
    if accuracy > curve[-1][1]:
        return float('inf')
    return float(np.exp(_log_bytes(curve, np.array([accuracy])))[0])


def _log_bytes(curve: Sequence[Point], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate log(bytes) over accuracy by monotone cubics (Fritsch and Carlson, PCHIP)."""
    sizes, values = np.array(curve, np.float64).T
    logs = np.log(sizes)
    widths, slopes = np.diff(values), np.diff(logs) / np.diff(values)
    tangents = _tangents(widths, slopes)
    piece = np.clip(np.searchsorted(values, at, 'right') - 1, 0, len(widths) - 1)
    width, part = widths[piece], (at - values[piece]) / widths[piece]
    start, end = tangents[piece] * width, tangents[piece + 1] * width
    rise = logs[piece + 1] - logs[piece]
    found: NDArray[np.float64] = logs[piece] + part * (
        start + part * (3 * rise - 2 * start - end + part * (start + end - 2 * rise))
    )
    return found


def _tangents(widths: NDArray[np.float64], slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slope at each point. All slopes are above 0, because the curve is a frontier."""
    if len(slopes) == 1:
        return np.repeat(slopes, 2)
    left, right = 2 * widths[1:] + widths[:-1], widths[1:] + 2 * widths[:-1]
    inner = (left + right) / (left / slopes[:-1] + right / slopes[1:])
    ends = []
    for (near, far), (slope, next_slope) in (
        (widths[:2], slopes[:2]),
        (widths[:-3:-1], slopes[:-3:-1]),
    ):
        end = ((2 * near + far) * slope - near * next_slope) / (near + far)
        ends.append(max(end, 0.0))
    return np.array([ends[0], *inner, ends[1]])
