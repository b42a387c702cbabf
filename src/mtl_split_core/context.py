# SPDX-License-Identifier: Apache-2.0
"""Contexts of the symbols of Z_b: which symbols are known when, and what they say of the next.

Three passes over the grid, so that whole arrays are decoded at once: a quarter of the places
without context, a quarter by its four corners, half by its four sides (the two-pass checkerboard of
He et al., arXiv 2103.15306, with one step more). The context of a symbol is made of two things that
are known by then: the sum of the four neighbours in its own channel, and how much there is in all
channels at these four places. All of it is integer arithmetic on int8 and int32, so every machine
finds the same contexts.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUMS = 5
"""Levels of the sum of the neighbours, -2 to 2 after clipping."""

BUSY = 3
"""Levels of the activity of the neighbours."""

PASSES = 3
"""Passes over the grid."""

CONTEXTS = 1 + (PASSES - 1) * SUMS * BUSY
"""Contexts of a channel: one in the first pass, and those of the two others."""

_CLIP = 2
_NEIGHBOURS = (
    (),
    ((-1, -1), (-1, 1), (1, -1), (1, 1)),
    ((-1, 0), (0, -1), (0, 1), (1, 0)),
)


@lru_cache(maxsize=8)
def places(number: int, size: tuple[int, int]) -> NDArray[np.intp]:
    """Return the flat places of a pass in raster order; none where the grid has none.

    Args:
        number: The pass, 0 to PASSES - 1.
        size: h, w of Z_b.
    """
    rows, columns = np.indices(size)
    odd = (rows + columns) % 2 == 1
    inside = odd if number == PASSES - 1 else ~odd & (rows % 2 == number)
    found = np.flatnonzero(inside)
    found.setflags(write=False)
    return found


@lru_cache(maxsize=8)
def _bordered(number: int, size: tuple[int, int]) -> NDArray[np.intp]:
    """Return the flat places of a pass in a grid with a border."""
    rows, columns = np.divmod(places(number, size), size[1])
    return (rows + 1) * (size[1] + 2) + columns + 1


@lru_cache(maxsize=16)
def _bordered_all(number: int, size: tuple[int, int], channels: int) -> NDArray[np.intp]:
    """Return the flat places of a pass in all channels, one grid with a border after another."""
    first = np.arange(channels)[:, None] * ((size[0] + 2) * (size[1] + 2))
    return (first + _bordered(number, size)).ravel()


class Surroundings:
    """What is known of one frame so far, with a border of zeros.

    Args:
        channels: Channels of Z_b.
        size: h, w of Z_b.
    """

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        self.size = size
        self._channels = channels
        # One line of all grids: a neighbour is the same step away everywhere, which adds up whole
        # lines in place of thousands of short rows.
        self._known = np.zeros(channels * (size[0] + 2) * (size[1] + 2), np.int8)
        self._activity = np.zeros((size[0] + 2) * (size[1] + 2), np.int32)

    def learn(self, symbols: NDArray[np.int32], number: int) -> None:
        """Take in the symbols of a pass.

        Args:
            symbols: int32 [C, places of the pass].
            number: The pass.
        """
        clipped = np.clip(symbols, -_CLIP, _CLIP).astype(np.int8)
        self._known[_bordered_all(number, self.size, self._channels)] = clipped.ravel()
        self._activity[_bordered(number, self.size)] = np.abs(clipped).sum(0, dtype=np.int32)

    def contexts(self, number: int, bounds: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return the context of every symbol of a pass.

        Args:
            number: The pass; all before it must be learnt.
            bounds: int32 [PASSES - 1, BUSY - 1], activities from which a level starts, rising.

        Returns:
            uint8 [C, places of the pass], 0 to CONTEXTS - 1.
        """
        if not number:
            return np.zeros((self._channels, len(places(number, self.size))), np.uint8)
        where = _bordered_all(number, self.size, self._channels)
        total = self._around(self._known, number).take(where)
        level = np.clip(total, -_CLIP, _CLIP).reshape(self._channels, -1)
        busy = np.searchsorted(bounds[number - 1], self.activity(number), side='right')
        first = 1 + (number - 1) * SUMS * BUSY + _CLIP
        found: NDArray[np.int8] = level + (first + SUMS * busy).astype(np.int8)
        return found.view(np.uint8)

    def activity(self, number: int) -> NDArray[np.int32]:
        """Return how much there is around each place of a pass after the first.

        Args:
            number: The pass; all before it must be learnt.

        Returns:
            int32 [places of the pass], sum of the clipped magnitudes of all channels.
        """
        return self._around(self._activity, number).take(_bordered(number, self.size))

    def _around(self, line: NDArray[Any], number: int) -> NDArray[Any]:
        """Return the sum of the neighbours of every place but those of the border."""
        width = self.size[1] + 2
        steps = [down * width + right for down, right in _NEIGHBOURS[number]]
        reach = width + 1
        total = np.zeros_like(line)
        inner = total[reach:-reach]
        for step in steps:
            inner += line[reach + step : len(line) - reach + step]
        return total
