# SPDX-License-Identifier: Apache-2.0
"""What the symbols of Z_b cost by their tables, and what the frame before would save.

The frame before is counted, not coded: a table per channel and context is learned on one half of
the frames and charged on the other, both ways round, and set beside a table per channel without
contexts that is learned alike. Coding is lossless, so accuracy is the same in all rows.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.context_entropy import ContextCoder
from mtl_split_core.tables import TOTAL, CodecTables

_PRIOR = 16.0
"""Weight of the channel's own distribution in a context that was seldom seen, in symbols."""

Part = tuple[NDArray[np.bool_], NDArray[np.int32]]
"""Places, bool [h, w], and the context of every symbol, int32 [F, C, h, w]."""


def sent_bits(symbols: NDArray[np.int32], tables: CodecTables, rate: int) -> NDArray[np.float64]:
    """Return the information of symbols as the entropy codec of the bundle sees it.

    Args:
        symbols: int32 [F, C, h, w], within the tables.
        tables: The tables; with or without contexts.
        rate: Rate of the symbols.

    Returns:
        Bits, [F, C].
    """
    if tables.contexts is None:
        return channel_bits(symbols, tables, rate)
    coder = ContextCoder(tables)
    return np.array([coder.information(frame, rate) for frame in symbols])


def channel_bits(symbols: NDArray[np.int32], tables: CodecTables, rate: int) -> NDArray[np.float64]:
    """Return the information of symbols under one table a channel.

    Args:
        symbols: int32 [F, C, h, w], within the tables.
        tables: The tables.
        rate: Rate of the symbols.

    Returns:
        Bits, [F, C].
    """
    bits = np.zeros(symbols.shape[:2])
    for channel in range(symbols.shape[1]):
        costs = -np.log2(tables.frequencies(rate, channel) / TOTAL)
        values = symbols[:, channel].reshape(len(symbols), -1) - tables.low[rate, channel]
        bits[:, channel] = costs[values].sum(1)
    return bits


def temporal_contexts(symbols: NDArray[np.int32], step: int) -> dict[str, float]:
    """Return mean bytes a frame with the symbols of a frame before as context.

    Args:
        symbols: int32 [F, C, h, w], frames in a row, more than step + 1.
        step: How many frames before.

    Returns:
        `intra`: no contexts; `passes`: contexts inside the frame alone; `previous`: the symbol at
        the same place; `both`: that and the passes.
    """
    now, before = symbols[step:], symbols[:-step]
    everywhere = np.ones(symbols.shape[2:], bool)
    inside = list(_passes(now))
    old = _level(before)
    return {
        'intra': _cost(now, 1, [(everywhere, np.zeros_like(now))]),
        'passes': _cost(now, 5, inside),
        'previous': _cost(now, 5, [(everywhere, old)]),
        'both': _cost(now, 25, [(where, 5 * old + new) for where, new in inside]),
    }


def _passes(
    symbols: NDArray[np.int32],
) -> Iterator[Part]:
    """Yield places and contexts: a quarter without, one from its corners, half from its sides."""
    rows, columns = np.indices(symbols.shape[2:])
    yield (rows % 2 == 0) & (columns % 2 == 0), np.full_like(symbols, 2)
    corners = sum(_at(symbols, y, x) for y in (-1, 1) for x in (-1, 1))
    yield (rows % 2 == 1) & (columns % 2 == 1), _level(np.asarray(corners))
    sides = sum(_at(symbols, y, x) for y, x in ((-1, 0), (0, -1), (0, 1), (1, 0)))
    yield (rows + columns) % 2 == 1, _level(np.asarray(sides))


def _at(symbols: NDArray[np.int32], down: int, right: int) -> NDArray[np.int32]:
    """Return the neighbour of each symbol, 0 outside."""
    padded = np.pad(symbols, ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = symbols.shape[2:]
    return padded[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width]


def _level(values: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.clip(values, -2, 2) + 2


def _cost(
    symbols: NDArray[np.int32],
    contexts: int,
    parts: Iterable[Part],
) -> float:
    """Return bytes a frame; each part is a set of places with the context of each symbol there."""
    low = int(symbols.min())
    length = int(symbols.max()) - low + 1
    frames, channels = len(symbols), symbols.shape[1]
    offsets = np.arange(channels)[None, :, None] * contexts
    bits = 0.0
    for where, context in parts:
        keys = (offsets + context[:, :, where]) * length + (symbols[:, :, where] - low)
        halves = (keys[: frames // 2], keys[frames // 2 :])
        for learned, charged in (halves, halves[::-1]):
            counts = np.bincount(learned.ravel(), minlength=channels * contexts * length)
            counts = counts.reshape(channels, contexts, length)
            own = counts.sum(1, keepdims=True) + 0.5
            weights = counts + _PRIOR * own / own.sum(-1, keepdims=True)
            shares = weights / weights.sum(-1, keepdims=True)
            bits -= float(np.log2(shares.ravel()[charged]).sum())
    return bits / 8 / frames
