# SPDX-License-Identifier: Apache-2.0
"""Entropy coder with contexts: version 2 of the payload of CodecId.ENTROPY.

Payload: 32-bit words, little endian, the ANS stack with its top at the end and SEAL at its
start, as in version 1. Pass by pass; in a pass table by table; of a table its symbols channel by
channel in raster order. A channel with one symbol is left out.
"""

from collections.abc import Iterator
from functools import cache, lru_cache

import constriction
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.context import CONTEXTS, PASSES, Surroundings, places
from mtl_split_core.entropy import (
    check_end,
    exact_model,
    indices,
    opened,
    sealed_coder,
    written,
)
from mtl_split_core.errors import PacketError, RefusalReason
from mtl_split_core.frequencies import TOTAL
from mtl_split_core.tables import CodecTables


class ContextCoder:
    """Codes the symbols of one frame on its own.

    Args:
        tables: Tables of the bundle, with those of contexts.

    Raises:
        ValueError: There are none of contexts.
    """

    def __init__(self, tables: CodecTables) -> None:
        if tables.contexts is None:
            msg = 'the tables have no contexts: use EntropyCoder'
            raise ValueError(msg)
        self._tables = tables
        self._contexts = tables.contexts
        self._models = cache(self._build_models)
        self._channels = cache(self._build_channels)
        self._choices = cache(self._build_choices)
        self._first_order = lru_cache(maxsize=16)(self._build_first_order)
        self._numbers = np.arange(tables.contexts.frequency.shape[1], dtype=np.uint8)

    def encode(self, symbols: NDArray[np.int32], rate: int) -> bytes:
        """Code symbols.

        Args:
            symbols: int32 [C, h, w], within the tables, as quantise() gives them.
            rate: Rate index.

        Returns:
            The payload.

        Raises:
            ValueError: A symbol is outside its table.
        """
        indices(symbols, self._tables, rate)
        flat, size = self._in_use(symbols, rate), (symbols.shape[1], symbols.shape[2])
        around = Surroundings(len(flat), size)
        runs: list[tuple[NDArray[np.int32], constriction.stream.model.Categorical]] = []
        for number in range(PASSES):
            values = flat.take(places(number, size), axis=1)
            order, ends = self._order(around, number, rate)
            if number < PASSES - 1:
                around.learn(values, number)
            ordered = values.ravel().take(order)
            ordered -= self._contexts.low[0]
            runs += [(ordered[begin:end], model) for begin, end, model in self._shares(ends, rate)]
        coder = sealed_coder()
        # A stack: what is pushed last comes out first.
        for run, model in reversed(runs):
            coder.encode_reverse(run, model)
        return written(coder)

    def decode(
        self, payload: bytes | memoryview, rate: int, size: tuple[int, int]
    ) -> NDArray[np.int32]:
        """Decode symbols; work and memory depend on the bundle's shape alone.

        Args:
            payload: What encode() gave.
            rate: Rate index.
            size: h, w of Z_b.

        Returns:
            int32 [C, h, w].

        Raises:
            PacketError: PAYLOAD, when these bytes are not what an encoder writes for this shape.
        """
        channels = self._channels(rate)
        flat = np.zeros((len(channels), size[0] * size[1]), np.int32)
        around = Surroundings(len(channels), size)
        coder = opened(payload)
        for number in range(PASSES):
            order, ends = self._order(around, number, rate)
            runs = [
                coder.decode(model, end - begin) for begin, end, model in self._shares(ends, rate)
            ]
            if not runs:
                continue
            values = np.empty(len(order), np.int32)
            values[order] = np.concatenate(runs)
            values += self._contexts.low[0]
            found = values.reshape(len(channels), -1)
            if number < PASSES - 1:
                around.learn(found, number)
            flat[:, places(number, size)] = found
        check_end(coder, payload)
        symbols = np.repeat(self._tables.low[rate], flat.shape[1]).reshape(-1, flat.shape[1])
        symbols[channels] = flat
        # The tables are shared, so they may hold symbols that this channel does not.
        try:
            indices(symbols, self._tables, rate)
        except ValueError as error:
            msg = f'entropy payload of {len(payload)} bytes holds {error}'
            raise PacketError(RefusalReason.PAYLOAD, msg) from error
        return symbols.reshape(-1, *size)

    def information(self, symbols: NDArray[np.int32], rate: int) -> NDArray[np.float64]:
        """Return the information of symbols under the tables.

        Args:
            symbols: int32 [C, h, w], within the tables.
            rate: Rate index.

        Returns:
            Bits by channel, [C].
        """
        size = (symbols.shape[1], symbols.shape[2])
        costs = -np.log2(self._contexts.frequency[rate] / TOTAL)
        flat = self._in_use(symbols, rate)
        around = Surroundings(len(flat), size)
        bits = np.zeros(len(symbols))
        for number in range(PASSES):
            values = flat.take(places(number, size), axis=1)
            used = self._used(around, number, rate)
            around.learn(values, number)
            bits[self._channels(rate)] += costs[used, values - self._contexts.low[0]].sum(1)
        return bits

    def _in_use(self, symbols: NDArray[np.int32], rate: int) -> NDArray[np.int32]:
        """Return the symbols of the channels that have more than one, [channels, places]."""
        flat, channels = symbols.reshape(len(symbols), -1), self._channels(rate)
        return flat if len(channels) == len(flat) else flat[channels]

    def _used(self, around: Surroundings, number: int, rate: int) -> NDArray[np.uint8]:
        """Return the table of every symbol of a pass, [channels in use, places]."""
        context = around.contexts(number, self._contexts.bounds[rate])
        choice, first = self._choices(rate)
        return choice.take(first + context)

    def _order(
        self, around: Surroundings, number: int, rate: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the symbols of a pass sorted by table, and where those of each table end."""
        if not number:
            # Nothing is known yet, so it is the same for every frame.
            return self._first_order(rate, around.size)
        return self._sorted(self._used(around, number, rate))

    def _build_first_order(
        self, rate: int, size: tuple[int, int]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        around = Surroundings(len(self._channels(rate)), size)
        return self._sorted(self._used(around, 0, rate))

    def _sorted(self, tables: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        used = tables.ravel()
        order = np.argsort(used, kind='stable')
        return order, np.searchsorted(used, self._numbers, side='right', sorter=order)

    def _shares(
        self, ends: NDArray[np.intp], rate: int
    ) -> Iterator[tuple[int, int, constriction.stream.model.Categorical]]:
        """Yield where the symbols of each table begin and end, and its model; none of 0 symbols."""
        begin = 0
        for end, model in zip(ends.tolist(), self._models(rate), strict=True):
            if end > begin:
                yield begin, end, model
            begin = end

    def _build_choices(self, rate: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
        """Return the tables of all contexts of all channels, and where each channel's begin."""
        choice = self._contexts.choice[rate, self._channels(rate)]
        return choice.ravel(), (np.arange(len(choice)) * CONTEXTS)[:, None]

    def _build_channels(self, rate: int) -> NDArray[np.intp]:
        return np.flatnonzero(self._tables.length[rate] > 1)

    def _build_models(self, rate: int) -> list[constriction.stream.model.Categorical]:
        return [exact_model(frequency) for frequency in self._contexts.frequency[rate]]
