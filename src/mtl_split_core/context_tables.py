# SPDX-License-Identifier: Apache-2.0
"""Integer tables of the contexts: few tables, and which of them each channel and context uses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.context import BUSY, CONTEXTS, PASSES
from mtl_split_core.errors import BundleError
from mtl_split_core.frequencies import TOTAL

MAX_ALPHABET = 256
"""Most symbols of a table."""

MAX_TABLES = 256
"""Most tables of a rate."""


@dataclass(frozen=True, slots=True, eq=False)
class ContextTables:
    """Tables of all rates; channels and contexts that look alike share one.

    Args:
        low: int32 [1], smallest symbol of every table.
        bounds: int32 [R, PASSES - 1, BUSY - 1], activities from which a level starts, rising.
        choice: uint8 [R, C, CONTEXTS], table of each channel and context.
        frequency: uint32 [R, M, L], each entry at least 1, each table with the sum TOTAL.
    """

    low: NDArray[np.int32]
    bounds: NDArray[np.int32]
    choice: NDArray[np.uint8]
    frequency: NDArray[np.uint32]

    def __post_init__(self) -> None:
        for name, dtype, rank in (
            ('low', np.int32, 1),
            ('bounds', np.int32, 3),
            ('choice', np.uint8, 3),
            ('frequency', np.uint32, 3),
        ):
            array = getattr(self, name)
            if array.dtype != dtype or array.ndim != rank or not array.size:
                msg = (
                    f'tables: context_{name} is {array.dtype} {list(array.shape)}, expected '
                    f'{np.dtype(dtype)} with {rank} dimensions'
                )
                raise BundleError(msg)
        rates, tables, length = self.frequency.shape
        expected = {
            'low': (1,),
            'bounds': (rates, PASSES - 1, BUSY - 1),
            'choice': (rates, self.choice.shape[1], CONTEXTS),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                msg = (
                    f'tables: context_{name} has shape {list(getattr(self, name).shape)}, '
                    f'expected {list(shape)}'
                )
                raise BundleError(msg)
        if tables > MAX_TABLES or not 2 <= length <= MAX_ALPHABET:
            msg = (
                f'tables: {tables} context tables of {length} symbols, expected at most '
                f'{MAX_TABLES} of 2 to {MAX_ALPHABET}'
            )
            raise BundleError(msg)
        if (np.diff(self.bounds.astype(np.int64), axis=2) < 0).any():
            msg = 'tables: context_bounds must not fall'
            raise BundleError(msg)
        if self.choice.max() >= tables:
            msg = f'tables: context_choice names table {self.choice.max()} of {tables}'
            raise BundleError(msg)
        sums = self.frequency.sum(2, dtype=np.int64)
        if self.frequency.min() < 1 or (sums != TOTAL).any():
            msg = f'tables: every context frequency must be at least 1, their sums {TOTAL}'
            raise BundleError(msg)

    @property
    def shape(self) -> tuple[int, int]:
        """Rates and channels."""
        return self.choice.shape[0], self.choice.shape[1]
