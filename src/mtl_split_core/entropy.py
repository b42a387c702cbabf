# SPDX-License-Identifier: Apache-2.0
"""Entropy coder of the symbols of Z_b: constriction's ANS coder driven by the integer tables.

Payload: 32-bit words, little endian, the ANS stack with its top at the end. The stack starts with
the word SEAL, so a decoder that does not end on exactly that word has read something else than
what was written. Channels come one after another, each in raster order; a channel with one symbol
is left out.
"""

from functools import cache

import constriction
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.errors import PacketError, RefusalReason
from mtl_split_core.tables import CodecTables

SEAL = 0x4D544C53

_WORD = np.dtype('<u4')


class EntropyCoder:
    """Codes the symbols of one frame on its own.

    Args:
        tables: Integer tables of the bundle.
    """

    def __init__(self, tables: CodecTables) -> None:
        self._tables = tables
        self._models = cache(self._build_models)

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
        index = indices(symbols, self._tables, rate)
        coder = sealed_coder()
        # A stack: what is pushed last comes out first.
        for channel, model in reversed(self._models(rate)):
            coder.encode_reverse(index[channel], model)
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
        values = size[0] * size[1]
        symbols = np.repeat(self._tables.low[rate], values).reshape(-1, values)
        coder = opened(payload)
        for channel, model in self._models(rate):
            symbols[channel] += coder.decode(model, values)
        check_end(coder, payload)
        return symbols.reshape(-1, *size)

    def _build_models(self, rate: int) -> list[tuple[int, constriction.stream.model.Categorical]]:
        return [
            (channel, exact_model(self._tables.frequencies(rate, channel)))
            for channel in range(self._tables.channels)
            if self._tables.length[rate, channel] > 1
        ]


def exact_model(frequency: NDArray[np.uint32]) -> constriction.stream.model.Categorical:
    """Build a model whose integer table equals ours.

    With perfect=False constriction gives each of n symbols one of its 2**24 units and shares
    out the other 2**24 - n in proportion. Weights of frequency - 1 have exactly that sum, the
    factor is exactly 1, and integers below 2**24 are exact in floating point: nothing rounds.

    Args:
        frequency: A table of at least two symbols.
    """
    return constriction.stream.model.Categorical(frequency.astype(np.float64) - 1, perfect=False)


def indices(symbols: NDArray[np.int32], tables: CodecTables, rate: int) -> NDArray[np.int32]:
    """Return the place of each symbol in the table of its channel, int32 [C, h * w].

    Raises:
        ValueError: A symbol is outside its table.
    """
    index: NDArray[np.int32] = symbols.reshape(len(symbols), -1) - tables.low[rate][:, None]
    if (index < 0).any() or (index >= tables.length[rate][:, None]).any():
        msg = f'symbols outside the tables of rate {rate}: quantise() clips to them'
        raise ValueError(msg)
    return index


def sealed_coder() -> constriction.stream.stack.AnsCoder:
    """Return a coder whose stack holds the seal alone."""
    return constriction.stream.stack.AnsCoder(np.array([SEAL], np.uint32))


def written(coder: constriction.stream.stack.AnsCoder) -> bytes:
    """Return what a coder holds, as payload."""
    payload: bytes = coder.get_compressed().astype(_WORD, copy=False).tobytes()
    return payload


def opened(payload: bytes | memoryview) -> constriction.stream.stack.AnsCoder:
    """Return a coder that reads a payload.

    Raises:
        PacketError: PAYLOAD, when no encoder writes bytes of this form.
    """
    if len(payload) % _WORD.itemsize:
        msg = f'entropy payload has {len(payload)} bytes, expected a multiple of 4'
        raise PacketError(RefusalReason.PAYLOAD, msg)
    # A copy, because the bytes may lie at any address and the coder reads whole words.
    words = np.array(np.frombuffer(payload, _WORD), np.uint32)
    if not len(words) or not words[-1]:
        msg = f'entropy payload of {len(words)} words does not end in a word above 0'
        raise PacketError(RefusalReason.PAYLOAD, msg)
    return constriction.stream.stack.AnsCoder(words)


def check_end(coder: constriction.stream.stack.AnsCoder, payload: bytes | memoryview) -> None:
    """Refuse a payload of which more or less than the seal is left.

    Raises:
        PacketError: PAYLOAD.
    """
    rest = coder.get_compressed()
    if len(rest) != 1 or rest[0] != SEAL:
        words = len(payload) // _WORD.itemsize
        msg = f'entropy payload of {words} words does not end with its last symbol'
        raise PacketError(RefusalReason.PAYLOAD, msg)
