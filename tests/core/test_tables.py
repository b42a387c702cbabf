# SPDX-License-Identifier: Apache-2.0
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl_split_core.errors import BundleError
from mtl_split_core.tables import TOTAL, CodecTables


def arrays_of(tables: CodecTables) -> dict[str, Any]:
    names = [f.name for f in fields(tables) if f.name != 'contexts']
    return {name: getattr(tables, name).copy() for name in names}


def test_from_symbols(tables: CodecTables) -> None:
    assert (tables.rates, tables.channels) == (2, 5)
    assert (tables.length[:, 3] == 1).all()
    for rate, channel in np.ndindex(2, 5):
        frequency = tables.frequencies(rate, channel)
        assert len(frequency) == tables.length[rate, channel]
        assert frequency.min() >= 1
        assert int(frequency.sum()) == TOTAL


def test_from_symbols_follows_the_histogram_and_leaves_room() -> None:
    symbols = np.array([0] * 90 + [4] * 10).reshape(1, 1, 10, 10)
    gain = np.ones((1, 1), np.float32)
    tables = CodecTables.from_symbols(gain, gain, [symbols])
    assert tables.low[0, 0] == -1
    assert tables.length[0, 0] == 7
    share = tables.frequencies(0, 0) / TOTAL
    np.testing.assert_allclose(share, np.array([1, 91, 1, 1, 1, 11, 1]) / 107, atol=1e-6)


def test_from_symbols_needs_the_rates_and_channels_of_the_gains() -> None:
    gain = np.ones((2, 3), np.float32)
    with pytest.raises(BundleError, match='2 arrays'):
        CodecTables.from_symbols(gain, gain, [np.zeros((1, 3, 2, 2), np.int64)])


def test_save_and_load(tables: CodecTables, tmp_path: Path) -> None:
    tables.save(tmp_path / 'a.npz')
    tables.save(tmp_path / 'b.npz')
    loaded = CodecTables.load(tmp_path / 'a.npz')
    for name, array in arrays_of(tables).items():
        np.testing.assert_array_equal(getattr(loaded, name), array)
    assert (tmp_path / 'a.npz').read_bytes() == (tmp_path / 'b.npz').read_bytes()


@pytest.mark.parametrize(
    ('name', 'change', 'text'),
    [
        ('gain', lambda a: a.astype(np.float64), 'gain is float64'),
        ('gain', lambda a: a * 0, 'above 0'),
        ('step', lambda a: a * np.nan, 'finite'),
        ('step', lambda a: a[:1], 'step is'),
        ('low', lambda a: a + 2**24, 'stay within'),
        ('length', lambda a: a + 1, 'add up'),
        ('length', lambda a: a * 0, 'at least 1'),
        ('frequency', lambda a: a[:-1], 'add up'),
        ('frequency', lambda a: a + np.uint32(1), 'sum to'),
        ('frequency', lambda a: a * np.uint32(0), 'at least 1'),
    ],
)
def test_invariants(tables: CodecTables, name: str, change: Any, text: str) -> None:
    arrays = arrays_of(tables)
    arrays[name] = change(arrays[name])
    with pytest.raises(BundleError, match=text):
        CodecTables(**arrays)


@pytest.mark.parametrize(
    'damage',
    [lambda d: d[:0], lambda d: b'no zip' + d[:50], lambda d: d[: len(d) // 2], lambda d: d[200:]],
)
def test_broken_files(tables: CodecTables, tmp_path: Path, damage: Any) -> None:
    path = tmp_path / 'tables.npz'
    tables.save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BundleError, match=r'tables\.npz: not readable'):
        CodecTables.load(path)


def test_members_that_are_no_arrays_or_are_locked(tables: CodecTables, tmp_path: Path) -> None:
    path = tmp_path / 'tables.npz'
    tables.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    for content in (b'', b'no array', members['gain.npy'][:60]):
        with zipfile.ZipFile(path, 'w') as archive:
            for name, data in {**members, 'gain.npy': content}.items():
                archive.writestr(name, data)
        with pytest.raises(BundleError):
            CodecTables.load(path)
    for place, value in ((6, 1), (8, 99)):  # encrypted; a compression that nobody knows
        tables.save(path)
        data = bytearray(path.read_bytes())
        for mark, shift in ((b'PK\3\4', 0), (b'PK\1\2', 2)):
            data[data.find(mark) + place + shift] = value
        path.write_bytes(data)
        with pytest.raises(BundleError, match=r'tables\.npz: not readable'):
            CodecTables.load(path)


def test_missing_array_pickle_and_bomb(tmp_path: Path) -> None:
    path = tmp_path / 'tables.npz'
    np.savez(path, gain=np.ones((1, 1), np.float32))
    with pytest.raises(BundleError, match='step'):
        CodecTables.load(path)
    np.savez(path, gain=np.array([{}], object))
    with pytest.raises(BundleError, match='pickle'):
        CodecTables.load(path)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('gain.npy', bytes(65 * 2**20))
    with pytest.raises(BundleError, match='unpacks to'):
        CodecTables.load(path)
