# SPDX-License-Identifier: Apache-2.0
"""The plainest coding of features: so many bits a value, each channel between its extremes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

ENOUGH = 10
"""Values of a channel for each level from which on its histogram says what it takes."""


class ChannelCoding:
    """Codes features batch by batch, so that no more than one batch is in memory.

    All batches go through `range_over` first, then all of them through `code` with each number of
    bits.

    Args:
        bits: Of a value, each 1 to 16.
    """

    def __init__(self, bits: Sequence[int]) -> None:
        self._low: Tensor | None = None
        self._high: Tensor | None = None
        self._counts: dict[int, Tensor | None] = dict.fromkeys(bits)
        self._frames = dict.fromkeys(bits, 0)

    def range_over(self, z: Tensor) -> None:
        """Widen the range of each channel.

        Args:
            z: Features, float32 [N, C, h, w].
        """
        low, high = z.amin((0, 2, 3)), z.amax((0, 2, 3))
        self._low = low if self._low is None else torch.minimum(self._low, low)
        self._high = high if self._high is None else torch.maximum(self._high, high)

    def code(self, z: Tensor, bits: int) -> Tensor:
        """Count the levels of a batch, and return it as it comes out at the other side.

        Level 0 is the least value of the channel, the last one its largest.

        Args:
            z: Features, float32 [N, C, h, w], of a batch that `range_over` had.
            bits: One of those given first.
        """
        assert self._low is not None
        assert self._high is not None
        last = 2**bits - 1
        low = self._low[:, None, None]
        step = ((self._high - self._low) / last)[:, None, None]
        # A channel that never changes has level 0 alone.
        levels = ((z - low) / torch.where(step > 0, step, 1)).round().clamp(0, last)
        first = torch.arange(len(self._low), device=z.device)[:, None, None] * (last + 1)
        places = (levels.long() + first).flatten()
        found = torch.bincount(places, minlength=len(self._low) * (last + 1))
        so_far = self._counts[bits]
        self._counts[bits] = found if so_far is None else so_far + found
        self._frames[bits] += len(z)
        return low + levels * step

    def bytes_per_frame(self, bits: int) -> float:
        """Return the mean of what a frame takes.

        Args:
            bits: Of a value.

        Returns:
            Bytes: over all channels, their values times the entropy (Shannon, 1948) of their own
            histogram over all frames. The tables of an entropy coder come on top.
        """
        counts = self._histograms(bits)
        shares = counts / counts.sum(1, keepdim=True)
        all_bits = -torch.xlogy(counts, shares).sum() / math.log(2)
        return float(all_bits) / 8 / self._frames[bits]

    def enough(self, bits: int) -> bool:
        """Return whether each channel had values enough for its histogram."""
        return bool((self._histograms(bits).sum(1) >= ENOUGH * 2**bits).all())

    def _histograms(self, bits: int) -> Tensor:
        counts = self._counts[bits]
        assert counts is not None
        return counts.double().reshape(-1, 2**bits)
