# SPDX-License-Identifier: Apache-2.0
"""Counts as integer frequencies of a fixed sum, which every machine reads alike."""

import numpy as np
from numpy.typing import NDArray

TOTAL = 2**24
"""Sum of each frequency table; the coder works with 24-bit probabilities."""


def to_total(counts: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Scale positive counts to integers of at least 1 with the sum TOTAL.

    Args:
        counts: Positive, at most TOTAL of them.

    Returns:
        uint32, as many.
    """
    frequency = 1 + counts * (TOTAL - counts.size) // int(counts.sum())
    # Rounding down leaves less than one per symbol over; the most frequent symbol feels it least.
    frequency[np.argmax(frequency)] += TOTAL - int(frequency.sum())
    return frequency.astype(np.uint32)
