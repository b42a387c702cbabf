# SPDX-License-Identifier: Apache-2.0
"""Entropy coder with contexts: version 2 of the payload of CodecId.ENTROPY.

Payload: 32-bit words, little endian, the ANS stack with its top at the end and SEAL at its
start, as in version 1. Pass by pass; in a pass table by table; of a table its symbols channel by
channel in raster order. A channel with one symbol is left out.
"""

from functools import cache

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
        channels, size = self._channels(rate), (symbols.shape[1], symbols.shape[2])
        flat = symbols.reshape(len(symbols), -1)[channels]
        around = Surroundings(len(channels), size)
        runs: list[tuple[NDArray[np.int32], constriction.stream.model.Categorical]] = []
        models = self._models(rate)
        for number in range(PASSES):
            values = flat[:, places(number, size)]
            order, counts = self._order(around, number, rate)
            around.learn(values, number)
            ordered = (values.ravel() - self._contexts.low[0])[order]
            ends = np.cumsum(counts).tolist()
            runs += [
                (ordered[end - count : end], model)
                for count, end, model in zip(counts.tolist(), ends, models, strict=True)
                if count
            ]
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
        models = self._models(rate)
        coder = opened(payload)
        for number in range(PASSES):
            order, counts = self._order(around, number, rate)
            runs = [
                coder.decode(model, count)
                for count, model in zip(counts.tolist(), models, strict=True)
                if count
            ]
            if not runs:
                continue
            values = np.empty(len(order), np.int32)
            values[order] = np.concatenate(runs)
            values += self._contexts.low[0]
            found = values.reshape(len(channels), -1)
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
        channels, size = self._channels(rate), (symbols.shape[1], symbols.shape[2])
        costs = -np.log2(self._contexts.frequency[rate] / TOTAL)
        flat = symbols.reshape(len(symbols), -1)[channels]
        around = Surroundings(len(channels), size)
        bits = np.zeros(len(symbols))
        for number in range(PASSES):
            values = flat[:, places(number, size)]
            used = self._used(around, number, rate)
            around.learn(values, number)
            bits[channels] += costs[used, values - self._contexts.low[0]].sum(1)
        return bits

    def _used(self, around: Surroundings, number: int, rate: int) -> NDArray[np.uint8]:
        """Return the table of every symbol of a pass, [channels in use, places]."""
        context = around.contexts(number, self._contexts.bounds[rate])
        choice = self._contexts.choice[rate, self._channels(rate)]
        context += (np.arange(len(choice), dtype=np.int32) * CONTEXTS)[:, None]
        used: NDArray[np.uint8] = choice.ravel()[context]
        return used

    def _order(
        self, around: Surroundings, number: int, rate: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the symbols of a pass sorted by table, and how many each table has."""
        used = self._used(around, number, rate).ravel()
        counts = np.bincount(used, minlength=self._contexts.frequency.shape[1])
        return np.argsort(used, kind='stable'), counts

    def _build_channels(self, rate: int) -> NDArray[np.intp]:
        return np.flatnonzero(self._tables.length[rate] > 1)

    def _build_models(self, rate: int) -> list[constriction.stream.model.Categorical]:
        return [exact_model(frequency) for frequency in self._contexts.frequency[rate]]
