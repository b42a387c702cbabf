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


class Surroundings:
    """What is known of one frame so far, with a border of zeros.

    Args:
        channels: Channels of Z_b.
        size: h, w of Z_b.
    """

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        self._size = size
        self._known = np.zeros((channels, size[0] + 2, size[1] + 2), np.int8)

    def learn(self, symbols: NDArray[np.int32], number: int) -> None:
        """Take in the symbols of a pass.

        Args:
            symbols: int32 [C, places of the pass].
            number: The pass.
        """
        rows, columns = np.divmod(places(number, self._size), self._size[1])
        inside = (rows + 1) * (self._size[1] + 2) + columns + 1
        self._known.reshape(len(symbols), -1)[:, inside] = np.clip(symbols, -_CLIP, _CLIP)

    def contexts(self, number: int, bounds: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the context of every symbol of a pass.

        Args:
            number: The pass; all before it must be learnt.
            bounds: int32 [PASSES - 1, BUSY - 1], activities from which a level starts, rising.

        Returns:
            int32 [C, places of the pass], 0 to CONTEXTS - 1.
        """
        where = places(number, self._size)
        if not number:
            return np.zeros((len(self._known), len(where)), np.int32)
        height, width = self._size
        total = np.zeros((len(self._known), height, width), np.int8)
        for down, right in _NEIGHBOURS[number]:
            total += self._known[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
        level = np.clip(total.reshape(len(total), -1)[:, where], -_CLIP, _CLIP).astype(np.int32)
        busy = np.searchsorted(bounds[number - 1], self.activity(number), side='right')
        first = 1 + (number - 1) * SUMS * BUSY + _CLIP
        level += (first + SUMS * busy).astype(np.int32)
        return level

    def activity(self, number: int) -> NDArray[np.int32]:
        """Return how much there is around each place of a pass after the first.

        Args:
            number: The pass; all before it must be learnt.

        Returns:
            int32 [places of the pass], sum of the clipped magnitudes of all channels.
        """
        height, width = self._size
        each = np.abs(self._known).sum(0, dtype=np.int32)
        total = np.zeros((height, width), np.int32)
        for down, right in _NEIGHBOURS[number]:
            total += each[1 + down : 1 + down + height, 1 + right : 1 + right + width]
        return total.ravel()[places(number, self._size)]
