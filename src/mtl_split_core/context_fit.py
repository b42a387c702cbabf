# SPDX-License-Identifier: Apache-2.0
"""The tables of contexts, counted on the symbols of the training frames."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.context import BUSY, CONTEXTS, PASSES, Surroundings, places
from mtl_split_core.context_tables import MAX_ALPHABET, ContextTables
from mtl_split_core.frequencies import to_total
from mtl_split_core.tables import CodecTables

TABLES = 64
"""Tables of a rate; more of them save little and cost time in each frame."""

_PRIOR = 16.0
"""Weight of the channel's own distribution in a context that was seldom seen, in symbols."""

_ROUNDS = 20


def with_contexts(tables: CodecTables, symbols: Iterable[NDArray[np.integer[Any]]]) -> CodecTables:
    """Add tables of contexts; the others stay as they are.

    A context that was seldom seen leans on its channel: counts are shrunk towards the channel's
    distribution with a Dirichlet prior (MacKay and Peto, A hierarchical Dirichlet language model,
    1995). Channels and contexts that look alike then share a table, as contexts do in Brotli
    (RFC 7932, section 7): k-means under the code length in place of the square.

    Args:
        tables: Tables of the bundle.
        symbols: Per rate, integers [F, C, h, w]; what is outside the tables is clipped.

    Returns:
        The tables with those of contexts; without, where at one of the rates nothing varies or a
        channel has more than MAX_ALPHABET symbols.
    """
    used = tables.length > 1
    if not used.any(axis=1).all():
        return replace(tables, contexts=None)
    low = int(tables.low[used].min())
    length = int((tables.low[used].astype(np.int64) + tables.length[used]).max()) - low
    if length > MAX_ALPHABET:
        return replace(tables, contexts=None)
    bounds = np.zeros((tables.rates, PASSES - 1, BUSY - 1), np.int32)
    choice = np.zeros((tables.rates, tables.channels, CONTEXTS), np.uint8)
    frequency = []
    for rate, counted in enumerate(symbols):
        channels = np.flatnonzero(used[rate])
        first = tables.low[rate][:, None, None]
        last = first + tables.length[rate][:, None, None] - 1
        frames = [np.clip(f, first, last).astype(np.int32)[channels] for f in counted]
        bounds[rate] = _bounds(frames)
        counts = _counts(frames, bounds[rate], low, length)
        found, chosen = _share(counts)
        choice[rate, channels] = chosen
        frequency.append([to_total(table) for table in found])
    contexts = ContextTables(
        np.array([low], np.int32), bounds, choice, np.array(frequency, np.uint32)
    )
    return replace(tables, contexts=contexts)


def _bounds(frames: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Return the activities that part the places of each pass into equal levels."""
    shares = np.arange(1, BUSY) / BUSY
    seen: list[list[NDArray[np.int32]]] = [[] for _ in range(PASSES - 1)]
    for frame in frames:
        size = (frame.shape[1], frame.shape[2])
        around = Surroundings(len(frame), size)
        for number in range(PASSES - 1):
            values = frame.reshape(len(frame), -1)[:, places(number, size)]
            around.learn(values, number)
            seen[number].append(around.activity(number + 1))
    found = np.zeros((PASSES - 1, BUSY - 1), np.int32)
    for number, activities in enumerate(seen):
        together = np.concatenate(activities)
        if together.size:
            found[number] = np.ceil(np.quantile(together, shares)).astype(np.int32)
    return found


def _counts(
    frames: list[NDArray[np.int32]], bounds: NDArray[np.int32], low: int, length: int
) -> NDArray[np.int64]:
    """Return how often each symbol came, [C, CONTEXTS, length]."""
    channels = len(frames[0])
    counts = np.zeros(channels * CONTEXTS * length, np.int64)
    offsets = (np.arange(channels) * CONTEXTS)[:, None]
    for frame in frames:
        size = (frame.shape[1], frame.shape[2])
        around = Surroundings(channels, size)
        for number in range(PASSES):
            values = frame.reshape(channels, -1)[:, places(number, size)]
            keys = (offsets + around.contexts(number, bounds)) * length + (values - low)
            around.learn(values, number)
            counts += np.bincount(keys.ravel(), minlength=counts.size)
    return counts.reshape(channels, CONTEXTS, length)


def _share(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return TABLES positive tables of counts, [TABLES, L], and who uses which, [C, CONTEXTS]."""
    channels, contexts, length = counts.shape
    if not channels:
        return np.ones((TABLES, length), np.int64), np.zeros((0, contexts), np.uint8)
    own = counts.sum(1, keepdims=True) + 1 / length
    weights = (counts + _PRIOR * own / own.sum(2, keepdims=True)).reshape(-1, length)
    # Alike from the start: in the order of the mean, equal numbers of symbols to each table.
    order = np.argsort(weights @ np.arange(length) / weights.sum(1), kind='stable')
    before = np.cumsum(weights[order].sum(1))
    chosen = np.zeros(len(weights), np.int64)
    chosen[order] = np.minimum(before / before[-1] * TABLES, TABLES - 1).astype(np.int64)
    tables = np.ones((TABLES, length))
    for _ in range(_ROUNDS):
        tables = np.ones((TABLES, length))
        np.add.at(tables, chosen, weights)
        bits = -weights @ np.log2(tables / tables.sum(1, keepdims=True)).T
        chosen = bits.argmin(1)
    tables = np.ones((TABLES, length))
    np.add.at(tables, chosen, weights)
    return np.ceil(tables).astype(np.int64), chosen.reshape(channels, contexts).astype(np.uint8)
