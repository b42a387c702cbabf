# SPDX-License-Identifier: Apache-2.0
"""The entropy coder with contexts: exact, as small as its tables say, and unmoved by damage."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mtl_split_core.codecs import EntropyCodec, quantise
from mtl_split_core.context import CONTEXTS, PASSES, Surroundings, places
from mtl_split_core.context_entropy import ContextCoder
from mtl_split_core.context_fit import with_contexts
from mtl_split_core.context_tables import ContextTables
from mtl_split_core.entropy import SEAL, EntropyCoder
from mtl_split_core.errors import BundleError, PacketError, RefusalReason
from mtl_split_core.frequencies import TOTAL
from mtl_split_core.tables import CodecTables


def fitted(symbols: NDArray[np.integer[Any]]) -> CodecTables:
    gain = np.ones((1, symbols.shape[1]), np.float32)
    return with_contexts(CodecTables.from_symbols(gain, gain, [symbols]), [symbols])


@pytest.fixture(scope='module')
def smooth() -> NDArray[np.int32]:
    """Return symbols [12, 4, 16, 18] whose neighbours are alike."""
    noise = np.random.default_rng(3).normal(0, 1, (12, 4, 18, 20))
    total = sum(noise[:, :, y : y + 16, x : x + 18] for y in range(3) for x in range(3))
    return np.rint(np.asarray(total) / 2).astype(np.int32)


@pytest.mark.parametrize('size', [(1, 1), (1, 2), (2, 1), (5, 4), (23, 30)])
def test_the_passes_take_each_place_once(size: tuple[int, int]) -> None:
    found = np.concatenate([places(number, size) for number in range(PASSES)])
    assert sorted(found.tolist()) == list(range(size[0] * size[1]))


def test_contexts_know_only_what_is_decoded(smooth: NDArray[np.int32]) -> None:
    """Other symbols in this pass and in those after it change no context."""
    random, bounds = np.random.default_rng(0), np.array([[4, 9], [3, 8]], np.int32)
    flat = smooth[0].reshape(4, -1)
    for number in range(PASSES):
        around = Surroundings(4, (16, 18))
        for before in range(number):
            around.learn(flat[:, places(before, (16, 18))], before)
        found = around.contexts(number, bounds)
        assert 0 <= found.min() <= found.max() < CONTEXTS
        assert len(np.unique(found)) == 1 if number == 0 else len(np.unique(found)) > 9
        rest = np.concatenate([places(k, (16, 18)) for k in range(number, PASSES)])
        other = flat.copy()
        other[:, rest] = random.integers(-9, 9, (4, len(rest)))
        again = Surroundings(4, (16, 18))
        for before in range(number):
            again.learn(other[:, places(before, (16, 18))], before)
        np.testing.assert_array_equal(again.contexts(number, bounds), found)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(1, 7),
    st.booleans(),
)
def test_round_trip(seed: int, channels: int, height: int, width: int, flat: bool) -> None:
    random = np.random.default_rng(seed)
    spread = random.integers(0, 2 if flat else 60, channels)[:, None, None]
    tables = fitted(random.integers(-spread, spread + 1, (3, channels, height, width)))
    if tables.contexts is None:
        assert (tables.length == 1).all()
        return
    coder, length = ContextCoder(tables), tables.length[0][:, None, None]
    # Anything within the tables, not only what was counted.
    index = random.integers(0, length, (channels, height, width))
    symbols = (tables.low[0][:, None, None] + index).astype(np.int32)
    payload = coder.encode(symbols, 0)
    np.testing.assert_array_equal(coder.decode(payload, 0, (height, width)), symbols)
    np.testing.assert_array_equal(coder.decode(memoryview(payload), 0, (height, width)), symbols)


def reference_decode(payload: bytes, tables: CodecTables, size: tuple[int, int]) -> list[Any]:
    """Decode with Python's integers alone, place by place, straight from the definitions."""
    words, state = np.frombuffer(payload, '<u4').tolist(), 0
    while words and state < 2**32:
        state = state << 32 | words.pop()
    assert tables.contexts is not None
    given = tables.contexts
    height, width = size
    used = [c for c in range(tables.channels) if tables.length[0, c] > 1]
    known = {
        (c, y, x): 0 for c in used for y in range(-1, height + 1) for x in range(-1, width + 1)
    }

    def kept(c: int, y: int, x: int) -> int:
        return max(-2, min(2, known[c, y, x]))

    for number, around in enumerate(([], [(-1, -1), (-1, 1), (1, -1), (1, 1)],
                                     [(-1, 0), (0, -1), (0, 1), (1, 0)])):  # fmt: skip
        waiting: dict[int, list[tuple[int, int, int]]] = {}
        for c in used:
            for y in range(height):
                for x in range(width):
                    even = (y + x) % 2 == 0
                    if (2 if not even else y % 2) != number:
                        continue
                    context = 0
                    if number:
                        near = [(y + dy, x + dx) for dy, dx in around]
                        level = max(-2, min(2, sum(kept(c, *place) for place in near)))
                        active = sum(abs(kept(other, *place)) for other in used for place in near)
                        bounds = given.bounds[0, number - 1].tolist()
                        busy = sum(active >= bound for bound in bounds)
                        context = 1 + 15 * (number - 1) + 5 * busy + level + 2
                    waiting.setdefault(int(given.choice[0, c, context]), []).append((c, y, x))
        for table in sorted(waiting):
            frequency = given.frequency[0, table].tolist()
            for place in waiting[table]:
                quantile, index = state % TOTAL, 0
                while quantile >= frequency[index]:
                    quantile, index = quantile - frequency[index], index + 1
                state = (state // TOTAL) * frequency[index] + quantile
                if state < 2**32 and words:
                    state = state << 32 | words.pop()
                known[place] = int(given.low[0]) + index
    assert (state, words) == (SEAL, [])
    low = tables.low[0].tolist()
    return [
        [[known.get((c, y, x), low[c]) for x in range(width)] for y in range(height)]
        for c in range(tables.channels)
    ]


def test_the_coder_is_what_its_integers_say(smooth: NDArray[np.int32]) -> None:
    """As any other machine would decode it: no floating point, no arrays."""
    symbols = smooth.copy()
    symbols[:, 1] = 3  # a channel of one symbol is left out
    tables = fitted(symbols)
    for frame in symbols[:2]:
        payload = ContextCoder(tables).encode(frame, 0)
        assert reference_decode(payload, tables, (16, 18)) == frame.tolist()


def test_size_is_the_entropy_of_the_tables(smooth: NDArray[np.int32]) -> None:
    coder = ContextCoder(fitted(smooth))
    for frame in smooth:
        information = coder.information(frame, 0).sum() / 8
        assert information <= len(coder.encode(frame, 0)) <= 1.02 * information + 12


def test_contexts_save_where_neighbours_are_alike(smooth: NDArray[np.int32]) -> None:
    tables = fitted(smooth[:-2])
    frame = np.clip(smooth[-1], *(t[0][:, None, None] for t in (tables.low, _last(tables))))
    with_them = len(ContextCoder(tables).encode(frame, 0))
    assert with_them < 0.9 * len(EntropyCoder(tables).encode(frame, 0))


def test_damaged_payloads_are_refused(smooth: NDArray[np.int32]) -> None:
    coder = ContextCoder(fitted(smooth))
    payload = coder.encode(smooth[0], 0)
    random = np.random.default_rng(1)
    damaged = [payload[: 4 * k] for k in range(0, len(payload) // 4, 7)]
    damaged += [payload[:-1], b'', bytes(8), payload + b'\x01\0\0\0', payload + payload]
    damaged += [b'\x01\0\0\0' + payload, payload[4:], SEAL.to_bytes(4, 'little')]
    damaged += [random.bytes(4 * n) for n in (1, 2, 3, 50, 5000)]
    for data in damaged:
        with pytest.raises(PacketError) as info:
            coder.decode(data, 0, (16, 18))
        assert info.value.reason is RefusalReason.PAYLOAD


@given(st.binary(max_size=600))
def test_garbage_never_gets_past_the_seal(data: bytes) -> None:
    with pytest.raises(PacketError):
        _SMALL.decode(memoryview(data), 0, (3, 4))


def test_symbols_that_a_channel_lacks_are_refused() -> None:
    """Tables are shared; the second channel is narrower than they are."""
    symbols = np.zeros((2, 2, 4, 4), np.int32)
    symbols[:, 0, 0, :2] = [-9, 9]
    symbols[:, 1, 0, :2] = [-1, 1]
    tables = fitted(symbols)
    assert tables.contexts is not None
    wide = replace(
        tables,
        low=np.repeat(tables.low[:, :1], 2, axis=1),
        length=np.repeat(tables.length[:, :1], 2, axis=1),
        frequency=np.tile(tables.frequencies(0, 0), 2),
    )
    frame = np.full((2, 4, 4), 9, np.int32)
    payload = ContextCoder(wide).encode(frame, 0)
    with pytest.raises(PacketError, match='outside the tables'):
        ContextCoder(tables).decode(payload, 0, (4, 4))
    with pytest.raises(ValueError, match='quantise'):
        ContextCoder(tables).encode(frame, 0)


def test_alphabets_that_are_too_large_stay_without_contexts() -> None:
    assert fitted(np.array([0, 5000]).reshape(1, 1, 1, 2)).contexts is None


def test_a_rate_at_which_nothing_varies_leaves_all_without_contexts() -> None:
    symbols = [np.zeros((2, 3, 6, 6), np.int32), np.arange(216).reshape(2, 3, 6, 6) % 5]
    gain = np.ones((2, 3), np.float32)
    tables = with_contexts(CodecTables.from_symbols(gain, gain, symbols), symbols)
    assert tables.contexts is None
    codec = EntropyCodec(tables)
    for rate, frames in enumerate(symbols):
        z = frames[0].astype(np.float32)
        assert np.array_equal(codec.decode(codec.encode(z, rate), rate, z.shape), z)


def test_saved_tables_are_the_same(smooth: NDArray[np.int32], tmp_path: Path) -> None:
    tables = fitted(smooth)
    tables.save(tmp_path / 'a.npz')
    loaded = CodecTables.load(tmp_path / 'a.npz')
    assert loaded.contexts is not None
    for field in fields(ContextTables):
        np.testing.assert_array_equal(
            getattr(loaded.contexts, field.name), getattr(tables.contexts, field.name)
        )
    assert EntropyCodec(loaded).version == 2
    assert EntropyCodec(replace(loaded, contexts=None)).version == 1


def test_a_missing_array_is_named(smooth: NDArray[np.int32], tmp_path: Path) -> None:
    fitted(smooth).save(tmp_path / 'a.npz')
    with np.load(tmp_path / 'a.npz') as archive:
        arrays = {name: archive[name] for name in archive.files if name != 'context_bounds'}
    np.savez(tmp_path / 'a.npz', **arrays)
    with pytest.raises(BundleError, match='context_bounds'):
        CodecTables.load(tmp_path / 'a.npz')


@pytest.mark.parametrize(
    ('name', 'change', 'text'),
    [
        ('low', lambda a: a.astype(np.int64), 'context_low is int64'),
        ('low', lambda a: a + 2, 'lack some'),
        ('low', lambda a: np.repeat(a, 2), 'context_low has shape'),
        ('bounds', lambda a: a[:, :1], 'context_bounds has shape'),
        ('bounds', lambda a: a * 0 + np.array([2, 1], np.int32), 'must not fall'),
        ('choice', lambda a: a[:, :, 1:], 'context_choice has shape'),
        ('choice', lambda a: a[:, 1:], 'contexts of 1 rates and 3 channels'),
        ('choice', lambda a: a * 0 + np.uint8(200), 'names table 200'),
        ('frequency', lambda a: a + np.uint32(1), 'sums'),
        ('frequency', lambda a: a[:, :, :0], 'expected uint32'),
        ('frequency', lambda a: np.repeat(a, 5, axis=1), '320 context tables'),
        ('frequency', lambda a: a[:, :, :-1], 'sums'),
    ],
)
def test_invariants(smooth: NDArray[np.int32], name: str, change: Any, text: str) -> None:
    tables = fitted(smooth)
    assert tables.contexts is not None
    arrays = {f.name: getattr(tables.contexts, f.name) for f in fields(ContextTables)}
    arrays[name] = change(arrays[name])
    with pytest.raises(BundleError, match=text):
        replace(tables, contexts=ContextTables(**arrays))


def test_quantised_features_survive(tables: CodecTables, z: NDArray[np.float32]) -> None:
    symbols = [quantise(z, tables, rate)[None] for rate in range(2)]
    codec = EntropyCodec(with_contexts(tables, symbols))
    plain = EntropyCodec(tables)
    for rate in range(2):
        np.testing.assert_array_equal(
            codec.decode(codec.encode(z, rate), rate, z.shape),
            plain.decode(plain.encode(z, rate), rate, z.shape),
        )


def _last(tables: CodecTables) -> NDArray[np.int32]:
    return tables.low + tables.length - 1


_SMALL = ContextCoder(fitted(np.arange(-12, 12).reshape(1, 2, 3, 4)))
