# SPDX-License-Identifier: Apache-2.0
"""What the features of a cut would take once coded: the entropy of their 8-bit form."""

import numpy as np
from numpy.typing import NDArray

_LEVELS = 256

ENOUGH = 10 * _LEVELS
"""Values of a channel from which on its histogram says what it takes."""


class ChannelEntropy:
    """Counts features frame by frame, so that no more than one frame is in memory.

    All frames go through `range_over` first, then all of them through `count`.

    Args:
        channels: Channels of the features.
    """

    def __init__(self, channels: int) -> None:
        self._low = np.full(channels, np.inf, np.float32)
        self._high = np.full(channels, -np.inf, np.float32)
        self._counts = np.zeros(channels * _LEVELS, np.int64)
        self._frames = 0

    def range_over(self, z: NDArray[np.float32]) -> None:
        """Widen the range of each channel.

        Args:
            z: Features, float32 [C, h, w].
        """
        np.minimum(self._low, z.min((1, 2)), out=self._low)
        np.maximum(self._high, z.max((1, 2)), out=self._high)

    def count(self, z: NDArray[np.float32]) -> None:
        """Count the levels of a frame: 0 at the least value of the channel, 255 at the largest.

        Args:
            z: Features, float32 [C, h, w].
        """
        width = self._high - self._low
        scale = np.divide(_LEVELS - 1, width, out=np.zeros_like(width), where=width > 0)
        levels = np.rint((z - self._low[:, None, None]) * scale[:, None, None])
        levels = np.clip(levels, 0, _LEVELS - 1).astype(np.int64)
        levels += np.arange(len(z))[:, None, None] * _LEVELS
        self._counts += np.bincount(levels.ravel(), minlength=self._counts.size)
        self._frames += 1

    def bytes_per_frame(self) -> float:
        """Return the mean of what a frame takes.

        Returns:
            Bytes: over all channels, their values times the entropy (Shannon, 1948) of their own
            histogram over all frames. The tables of an entropy coder come on top.
        """
        counts = self._counts.reshape(-1, _LEVELS)
        totals = counts.sum(1, keepdims=True)
        shares = counts / totals
        logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
        return float(-(counts * logs).sum()) / 8 / self._frames
