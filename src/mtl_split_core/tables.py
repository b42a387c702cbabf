# SPDX-License-Identifier: Apache-2.0
"""Integer tables of the entropy coder, fixed at export so that every machine decodes alike."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.context_tables import ContextTables
from mtl_split_core.errors import BundleError
from mtl_split_core.frequencies import TOTAL, to_total

__all__ = ['MAX_TABLES_BYTES', 'TOTAL', 'CodecTables']

MAX_TABLES_BYTES = 64 * 2**20
"""Largest unpacked tables file, bytes."""

_MAX_SYMBOL = 2**24
_DTYPES = {
    'gain': np.float32,
    'step': np.float32,
    'low': np.int32,
    'length': np.int32,
    'frequency': np.uint32,
}
_CONTEXT = 'context_'
_CONTEXT_NAMES = tuple(field.name for field in fields(ContextTables))


@dataclass(frozen=True, slots=True, eq=False)
class CodecTables:
    """Quantiser and symbol frequencies of every rate and channel.

    Args:
        gain: float32 [R, C], symbols per unit of Z_b, above 0.
        step: float32 [R, C], reconstruction: units of Z_b per symbol, above 0.
        low: int32 [R, C], smallest symbol.
        length: int32 [R, C], number of symbols, at least 1; 1: the channel carries nothing.
        frequency: uint32, the tables one after another, rate by rate, channel by channel; each
            entry at least 1, each table with the sum TOTAL.
        contexts: Tables of the contexts; without them every symbol is coded by its channel's
            table alone.
    """

    gain: NDArray[np.float32]
    step: NDArray[np.float32]
    low: NDArray[np.int32]
    length: NDArray[np.int32]
    frequency: NDArray[np.uint32]
    contexts: ContextTables | None = None

    def __post_init__(self) -> None:
        shape = self.gain.shape
        for name, dtype in _DTYPES.items():
            array = getattr(self, name)
            expected = (array.size,) if name == 'frequency' else shape
            if array.dtype != dtype or array.shape != expected:
                msg = (
                    f'tables: {name} is {array.dtype} {list(array.shape)}, expected '
                    f'{np.dtype(dtype)} {list(expected)}'
                )
                raise BundleError(msg)
        if len(shape) != 2 or 0 in shape:
            msg = f'tables: gain has shape {list(shape)}, expected [rates, channels]'
            raise BundleError(msg)
        for name in ('gain', 'step'):
            array = getattr(self, name)
            if not (np.isfinite(array).all() and (array > 0).all()):
                msg = f'tables: every {name} must be finite and above 0'
                raise BundleError(msg)
        if self.length.min() < 1 or int(self.length.sum(dtype=np.int64)) != self.frequency.size:
            msg = (
                f'tables: lengths must be at least 1 and add up to the {self.frequency.size} '
                'frequencies'
            )
            raise BundleError(msg)
        low = self.low.astype(np.int64)
        if low.min() < -_MAX_SYMBOL or (low + self.length).max() > _MAX_SYMBOL:
            msg = f'tables: symbols must stay within -{_MAX_SYMBOL} to {_MAX_SYMBOL}'
            raise BundleError(msg)
        sums = np.add.reduceat(self.frequency.astype(np.int64), self._starts())
        if self.frequency.min() < 1 or (sums != TOTAL).any():
            msg = f'tables: every frequency must be at least 1 and every table must sum to {TOTAL}'
            raise BundleError(msg)
        if self.contexts is not None:
            self._check_contexts(self.contexts)

    @property
    def rates(self) -> int:
        """Number of rates R."""
        return len(self.gain)

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return len(self.gain[0])

    def frequencies(self, rate: int, channel: int) -> NDArray[np.uint32]:
        """Return the frequency table of one channel.

        Args:
            rate: 0 to R - 1.
            channel: 0 to C - 1.

        Returns:
            uint32 [length[rate, channel]], a view.
        """
        index = rate * self.channels + channel
        start = int(self._starts()[index])
        return self.frequency[start : start + int(self.length[rate, channel])]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read tables from an npz file.

        Args:
            path: File written by save().

        Returns:
            The checked tables.

        Raises:
            BundleError: The file is missing, damaged, too large or fails a check.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
            if size > MAX_TABLES_BYTES:
                msg = f'{path}: unpacks to {size} bytes, allowed are {MAX_TABLES_BYTES}'
                raise BundleError(msg)
            with np.load(path, allow_pickle=False) as archive:
                # A member that is no array comes as bytes.
                arrays: dict[str, Any] = {name: np.asarray(archive[name]) for name in _DTYPES}
                if any(name.startswith(_CONTEXT) for name in archive.files):
                    arrays['contexts'] = {
                        name: np.asarray(archive[_CONTEXT + name]) for name in _CONTEXT_NAMES
                    }
        except BundleError:
            raise
        # zipfile, zlib and numpy each raise their own, and some of builtins, on damaged bytes.
        except Exception as error:
            msg = f'{path}: not readable as codec tables ({error}): export the bundle again'
            raise BundleError(msg) from error
        if 'contexts' in arrays:
            arrays['contexts'] = ContextTables(**arrays['contexts'])
        return cls(**arrays)

    def save(self, path: Path) -> None:
        """Write the tables as an npz file, the same bytes for the same tables.

        Args:
            path: File to write.
        """
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _DTYPES}
        if self.contexts is not None:
            arrays |= {_CONTEXT + name: getattr(self.contexts, name) for name in _CONTEXT_NAMES}
        with path.open('wb') as stream:
            np.savez_compressed(stream, **arrays)

    @classmethod
    def from_symbols(
        cls,
        gain: NDArray[np.float32],
        step: NDArray[np.float32],
        symbols: Sequence[NDArray[np.integer[Any]]],
    ) -> Self:
        """Count symbols of the training frames and build the integer tables.

        A channel that is constant over all frames gets one symbol and costs nothing. The others
        get room for rarer values than those seen, a quarter of their range on either side.

        Args:
            gain: float32 [R, C].
            step: float32 [R, C].
            symbols: Per rate, integers [F, C, h, w], unclipped np.rint(z * gain).

        Returns:
            The tables.

        Raises:
            BundleError: The number of rates or channels does not fit the gains.
        """
        low = np.zeros(gain.shape, np.int32)
        length = np.ones(gain.shape, np.int32)
        tables = []
        if [s.shape[1] for s in symbols if s.ndim == 4] != [gain.shape[1]] * gain.shape[0]:
            msg = f'symbols must be {gain.shape[0]} arrays [frames, {gain.shape[1]}, h, w]'
            raise BundleError(msg)
        for rate, channel in np.ndindex(*gain.shape):
            values = symbols[rate][:, channel].ravel().astype(np.int64)
            first, last = int(values.min()), int(values.max())
            margin = -(-(last - first) // 4)
            low[rate, channel] = first - margin
            length[rate, channel] = last - first + 1 + 2 * margin
            counts = np.bincount(values - (first - margin), minlength=length[rate, channel])
            tables.append(to_total(counts + 1))
        return cls(gain, step, low, length, np.concatenate(tables))

    def _starts(self) -> NDArray[np.int64]:
        ends = np.cumsum(self.length.ravel(), dtype=np.int64)
        return ends - self.length.ravel()

    def _check_contexts(self, contexts: ContextTables) -> None:
        if contexts.shape != self.gain.shape:
            msg = (
                f'tables: contexts of {contexts.shape[0]} rates and {contexts.shape[1]} channels, '
                f'expected {self.rates} and {self.channels}'
            )
            raise BundleError(msg)
        used = self.length > 1
        first, size = int(contexts.low[0]), contexts.frequency.shape[2]
        low = self.low[used].astype(np.int64)
        if low.size and (low.min() < first or (low + self.length[used]).max() > first + size):
            msg = f'tables: context tables from {first} with {size} symbols lack some of a channel'
            raise BundleError(msg)
