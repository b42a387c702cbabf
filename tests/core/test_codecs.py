# SPDX-License-Identifier: Apache-2.0
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.codecs import (
    Codec,
    EntropyCodec,
    Float16Codec,
    LosslessCodec,
    dequantise,
    make_codecs,
    payload_limits,
    quantise,
)
from mtl_split_core.errors import PacketError, RefusalReason
from mtl_split_core.tables import CodecTables


def test_make_codecs(tiny_bundle: Bundle) -> None:
    codecs = make_codecs(tiny_bundle)
    assert list(codecs) == [CodecId.ENTROPY, CodecId.FLOAT16, CodecId.LOSSLESS]
    assert all(codec.id is key and codec.version == 1 for key, codec in codecs.items())


def test_quantise_rounds_half_to_even_and_clips(tables: CodecTables) -> None:
    z = np.zeros((5, 1, 4), np.float32)
    z[0, 0] = [0.5, 1.5, 1e30, -1e30]
    symbols = quantise(z, tables, 0)
    low, length = tables.low[0, 0], tables.length[0, 0]
    assert symbols.dtype == np.int32
    assert symbols[0, 0].tolist() == [0, min(2, low + length - 1), low + length - 1, low]


def test_quantise_and_back_is_within_half_a_step(
    tables: CodecTables, z: NDArray[np.float32]
) -> None:
    symbols = quantise(z, tables, 1)
    last = (tables.low + tables.length - 1)[1][:, None, None]
    inside = (symbols > tables.low[1][:, None, None]) & (symbols < last)
    error = np.abs(dequantise(symbols, tables, 1) - z)
    limit = np.broadcast_to(tables.step[1][:, None, None] / 2, z.shape)
    assert inside.any()
    assert (error[inside] <= limit[inside] + 1e-6).all()


@given(st.integers(0, 2**32 - 1))
def test_lossless_is_bit_exact(seed: int) -> None:
    random = np.random.default_rng(seed)
    z = random.integers(0, 2**32, (3, 4, 5), np.uint32).view(np.float32)
    z[~np.isfinite(z)] = -0.0
    codec = LosslessCodec()
    back = codec.decode(codec.encode(z, 0), 0, (3, 4, 5))
    np.testing.assert_array_equal(back.view(np.uint32), z.view(np.uint32))


def test_float16_is_half_precision_and_saturates() -> None:
    z = np.array([0.1, -2.5, 1e9, -1e9], np.float32).reshape(1, 1, 4)
    codec = Float16Codec()
    back = codec.decode(codec.encode(z, 0), 0, (1, 1, 4))
    assert back.dtype == np.float32
    assert back.ravel().tolist() == [np.float16(0.1), -2.5, 65504, -65504]


def test_no_codec_writes_outside_its_limits(tiny_bundle: Bundle) -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 2**32, tiny_bundle.feature_shape, np.uint32).view(np.float32)
    noise[~np.isfinite(noise)] = 0
    for z in (noise, np.zeros_like(noise)):
        for codec in make_codecs(tiny_bundle).values():
            least, most = payload_limits(codec.id, tiny_bundle)
            assert least <= len(codec.encode(z, 1)) <= most


BOMB = zlib.compress(bytes(2**24))
NOT_A_NUMBER = np.full(300, np.nan, np.float32)


@pytest.mark.parametrize(
    ('codec', 'data'),
    [
        (Float16Codec(), b''),
        (Float16Codec(), bytes(599)),
        (Float16Codec(), bytes(602)),
        (Float16Codec(), b'\xff\xff' * 300),
        (LosslessCodec(), b''),
        (LosslessCodec(), b'nonsense'),
        (LosslessCodec(), zlib.compress(bytes(1199))),
        (LosslessCodec(), zlib.compress(bytes(1200))[:-1]),
        (LosslessCodec(), zlib.compress(bytes(1200)) + b'x'),
        (LosslessCodec(), BOMB),
        (LosslessCodec(), LosslessCodec().encode(NOT_A_NUMBER.reshape(5, 6, 10), 0)),
    ],
)
def test_damaged_payloads_are_refused(codec: Codec, data: bytes) -> None:
    with pytest.raises(PacketError) as info:
        codec.decode(data, 0, (5, 6, 10))
    assert info.value.reason is RefusalReason.PAYLOAD


@given(st.binary(max_size=400))
def test_garbage_is_refused_or_decodes_to_finite_values(data: bytes) -> None:
    for codec in (Float16Codec(), LosslessCodec()):
        with suppress(PacketError):
            assert np.isfinite(codec.decode(data, 0, (2, 3, 4))).all()


def test_entropy_codec_gives_what_was_quantised(
    tables: CodecTables, z: NDArray[np.float32]
) -> None:
    codec = EntropyCodec(tables)
    back = codec.decode(codec.encode(z, 1), 1, (5, 6, 10))
    np.testing.assert_array_equal(back, dequantise(quantise(z, tables, 1), tables, 1))
