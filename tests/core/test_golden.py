# SPDX-License-Identifier: Apache-2.0
"""Bitstreams written once must decode for ever, and on every machine.

`pytest tests/core/test_golden.py --regenerate-golden` writes them anew.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl_split_core.codecs import Codec, EntropyCodec, Float16Codec, LosslessCodec
from mtl_split_core.context_fit import with_contexts
from mtl_split_core.tables import CodecTables

RATES = (0, 1)


def codecs_of(tables: CodecTables) -> dict[str, Codec]:
    return {'entropy': EntropyCodec(tables), 'float16': Float16Codec(), 'lossless': LosslessCodec()}


def drawn(tables: CodecTables) -> list[NDArray[np.int64]]:
    """Return symbols [8, 5, 6, 10] by rate, for the contexts."""
    random = np.random.default_rng(9)
    low, length = (a[:, None, :, None, None] for a in (tables.low, tables.length))
    return [
        low[rate] + random.integers(0, length[rate], (8, tables.channels, 6, 10)) for rate in RATES
    ]


@pytest.fixture(scope='module', autouse=True)
def regenerate(
    request: pytest.FixtureRequest, golden: Path, tables: CodecTables, z: NDArray[np.float32]
) -> None:
    if not request.config.getoption('--regenerate-golden'):
        return
    tables.save(golden / 'tables.npz')
    np.save(golden / 'z.npy', z)
    for name, codec in codecs_of(tables).items():
        for rate in RATES:
            payload = codec.encode(z, rate)
            (golden / f'{name}_v{codec.version}_rate{rate}.bin').write_bytes(payload)
            np.save(golden / f'{name}_rate{rate}.npy', codec.decode(payload, rate, (5, 6, 10)))
    contexts = with_contexts(tables, drawn(tables))
    contexts.save(golden / 'context_tables.npz')
    for rate in RATES:
        payload = EntropyCodec(contexts).encode(z, rate)
        (golden / f'entropy_v2_rate{rate}.bin').write_bytes(payload)


@pytest.mark.parametrize('rate', RATES)
@pytest.mark.parametrize('name', ['entropy', 'float16', 'lossless'])
def test_golden(golden: Path, name: str, rate: int) -> None:
    codec = codecs_of(CodecTables.load(golden / 'tables.npz'))[name]
    payload = (golden / f'{name}_v{codec.version}_rate{rate}.bin').read_bytes()
    expected = np.load(golden / f'{name}_rate{rate}.npy')
    np.testing.assert_array_equal(codec.decode(payload, rate, (5, 6, 10)), expected)
    # What deflate writes depends on the zlib of the machine; what it reads does not.
    if name != 'lossless':
        assert codec.encode(np.load(golden / 'z.npy'), rate) == payload


@pytest.mark.parametrize('rate', RATES)
def test_golden_with_contexts(golden: Path, rate: int) -> None:
    codec = EntropyCodec(CodecTables.load(golden / 'context_tables.npz'))
    payload = (golden / f'entropy_v{codec.version}_rate{rate}.bin').read_bytes()
    expected = np.load(golden / f'entropy_rate{rate}.npy')
    np.testing.assert_array_equal(codec.decode(payload, rate, (5, 6, 10)), expected)
    assert codec.encode(np.load(golden / 'z.npy'), rate) == payload
