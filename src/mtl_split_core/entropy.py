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
        index = symbols.reshape(len(symbols), -1) - self._tables.low[rate][:, None]
        if (index < 0).any() or (index >= self._tables.length[rate][:, None]).any():
            msg = f'symbols outside the tables of rate {rate}: quantise() clips to them'
            raise ValueError(msg)
        coder = constriction.stream.stack.AnsCoder(np.array([SEAL], np.uint32))
        # A stack: what is pushed last comes out first.
        for channel, model in reversed(self._models(rate)):
            coder.encode_reverse(index[channel], model)
        payload: bytes = coder.get_compressed().astype(_WORD, copy=False).tobytes()
        return payload

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
        if len(payload) % _WORD.itemsize:
            msg = f'entropy payload has {len(payload)} bytes, expected a multiple of 4'
            raise PacketError(RefusalReason.PAYLOAD, msg)
        # A copy, because the bytes may lie at any address and the coder reads whole words.
        words = np.array(np.frombuffer(payload, _WORD), np.uint32)
        if not len(words) or not words[-1]:
            msg = f'entropy payload of {len(words)} words does not end in a word above 0'
            raise PacketError(RefusalReason.PAYLOAD, msg)
        coder = constriction.stream.stack.AnsCoder(words)
        for channel, model in self._models(rate):
            symbols[channel] += coder.decode(model, values)
        rest = coder.get_compressed()
        if len(rest) != 1 or rest[0] != SEAL:
            msg = f'entropy payload of {len(words)} words does not end with its last symbol'
            raise PacketError(RefusalReason.PAYLOAD, msg)
        return symbols.reshape(-1, *size)

    def _build_models(self, rate: int) -> list[tuple[int, constriction.stream.model.Categorical]]:
        """Build the models of one rate, so that their integer tables equal ours.

        With perfect=False constriction gives each of n symbols one of its 2**24 units and shares
        out the other 2**24 - n in proportion. Weights of frequency - 1 have exactly that sum, the
        factor is exactly 1, and integers below 2**24 are exact in floating point: nothing rounds.
        """
        return [
            (
                channel,
                constriction.stream.model.Categorical(
                    self._tables.frequencies(rate, channel).astype(np.float64) - 1, perfect=False
                ),
            )
            for channel in range(self._tables.channels)
            if self._tables.length[rate, channel] > 1
        ]
