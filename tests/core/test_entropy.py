# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mtl_split_core.codecs import quantise
from mtl_split_core.entropy import SEAL, EntropyCoder
from mtl_split_core.errors import PacketError, RefusalReason
from mtl_split_core.tables import TOTAL, CodecTables


def reference_decode(
    payload: bytes, tables: CodecTables, rate: int, size: tuple[int, int]
) -> NDArray[np.int32]:
    """Decode with integers alone, straight from the definition of the rANS coder."""
    words = np.frombuffer(payload, '<u4').tolist()
    state = 0
    while words and state < 2**32:
        state = state << 32 | words.pop()
    symbols = np.zeros((tables.channels, size[0] * size[1]), np.int32)
    for channel in range(tables.channels):
        frequency = tables.frequencies(rate, channel).tolist()
        starts = np.concatenate([[0], np.cumsum(frequency)]).tolist()
        for position in range(symbols.shape[1]):
            if len(frequency) > 1:
                quantile = state % TOTAL
                index = int(np.searchsorted(starts, quantile, side='right')) - 1
                state = (state // TOTAL) * frequency[index] + quantile - starts[index]
                if state < 2**32 and words:
                    state = state << 32 | words.pop()
            else:
                index = 0
            symbols[channel, position] = tables.low[rate, channel] + index
    assert (state, words) == (SEAL, [])
    return symbols.reshape(-1, *size)


@pytest.mark.parametrize('rate', [0, 1])
def test_the_coder_uses_exactly_our_integer_tables(
    tables: CodecTables, z: NDArray[np.float32], rate: int
) -> None:
    symbols = quantise(z, tables, rate)
    payload = EntropyCoder(tables).encode(symbols, rate)
    np.testing.assert_array_equal(reference_decode(payload, tables, rate, (6, 10)), symbols)


def test_extreme_tables_are_exact_too() -> None:
    frequency = [1, TOTAL - 3, 1, 1] + [1, TOTAL - 1] + [TOTAL - 1, 1] + [2**20] * 16
    tables = CodecTables(
        *(np.ones((1, 4), np.float32),) * 2,
        np.array([[-1, 0, 5, -8]], np.int32),
        np.array([[4, 2, 2, 16]], np.int32),
        np.array(frequency, np.uint32),
    )
    random = np.random.default_rng(0)
    symbols = (tables.low[0] + random.integers(0, [4, 2, 2, 16], (9, 4))).T.astype(np.int32)
    coder = EntropyCoder(tables)
    payload = coder.encode(symbols.reshape(4, 3, 3), 0)
    np.testing.assert_array_equal(coder.decode(payload, 0, (3, 3)).reshape(4, 9), symbols)
    np.testing.assert_array_equal(
        reference_decode(payload, tables, 0, (3, 3)).reshape(4, 9), symbols
    )


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(1, 7),
    st.booleans(),
)
def test_round_trip(seed: int, channels: int, height: int, width: int, flat: bool) -> None:
    random = np.random.default_rng(seed)
    spread = random.integers(0, 2 if flat else 200, channels)[:, None, None]
    symbols = random.integers(-spread, spread + 1, (3, channels, height, width))
    gain = np.ones((1, channels), np.float32)
    coder = EntropyCoder(CodecTables.from_symbols(gain, gain, [symbols]))
    for frame in symbols.astype(np.int32):
        payload = coder.encode(frame, 0)
        np.testing.assert_array_equal(coder.decode(payload, 0, (height, width)), frame)


def test_size_is_the_entropy_plus_the_seal(tables: CodecTables, z: NDArray[np.float32]) -> None:
    symbols = quantise(z, tables, 1)
    bits = 0.0
    for channel in range(tables.channels):
        frequency = tables.frequencies(1, channel)[symbols[channel] - tables.low[1, channel]]
        bits -= np.log2(frequency / TOTAL).sum()
    size = len(EntropyCoder(tables).encode(symbols, 1))
    assert bits / 8 <= size <= bits / 8 + 12


def test_frames_without_information_cost_the_seal_alone(tables: CodecTables) -> None:
    constant = np.zeros((1, 1, 2, 2), np.int64)
    gain = np.ones((1, 1), np.float32)
    coder = EntropyCoder(CodecTables.from_symbols(gain, gain, [constant]))
    payload = coder.encode(np.zeros((1, 2, 2), np.int32), 0)
    assert payload == SEAL.to_bytes(4, 'little')
    assert (coder.decode(payload, 0, (2, 2)) == 0).all()


def test_symbols_outside_the_tables_are_a_mistake_of_the_caller(tables: CodecTables) -> None:
    with pytest.raises(ValueError, match='quantise'):
        EntropyCoder(tables).encode(np.full((5, 6, 10), 999, np.int32), 0)


def test_damaged_payloads_are_refused(tables: CodecTables, z: NDArray[np.float32]) -> None:
    coder = EntropyCoder(tables)
    payload = coder.encode(quantise(z, tables, 1), 1)
    random = np.random.default_rng(1)
    damaged = [payload[: 4 * k] for k in range(len(payload) // 4)]
    damaged += [payload[:-1], b'', bytes(8), payload + b'\x01\0\0\0', payload + payload]
    damaged += [b'\x01\0\0\0' + payload, payload[4:]]
    damaged += [random.bytes(4 * n) for n in (1, 2, 3, 50, 5000)]
    for data in damaged:
        with pytest.raises(PacketError) as info:
            coder.decode(data, 1, (6, 10))
        assert info.value.reason is RefusalReason.PAYLOAD


@given(st.binary(max_size=600))
def test_garbage_never_gets_past_the_seal(data: bytes) -> None:
    symbols = np.arange(-12, 12).reshape(1, 2, 3, 4)
    gain = np.ones((1, 2), np.float32)
    coder = EntropyCoder(CodecTables.from_symbols(gain, gain, [symbols]))
    with pytest.raises(PacketError):
        coder.decode(memoryview(data), 0, (3, 4))


def test_payload_at_an_odd_address(tables: CodecTables, z: NDArray[np.float32]) -> None:
    coder = EntropyCoder(tables)
    symbols = quantise(z, tables, 0)
    shifted = memoryview(b'x' + coder.encode(symbols, 0))[1:]
    np.testing.assert_array_equal(coder.decode(shifted, 0, (6, 10)), symbols)
