# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the core tests."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.tiny_bundle import street_image

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.encode import EncodeStage
from mtl_split_core.tables import CodecTables
from mtl_split_core.tail import TailStage


@pytest.fixture(scope='session')
def golden() -> Path:
    """Return the folder of the golden bitstreams."""
    return Path(__file__).parent / 'golden'


@pytest.fixture
def encode_stage(tiny_bundle: Bundle) -> EncodeStage:
    return EncodeStage(tiny_bundle, load_network(tiny_bundle.encoder_path))


@pytest.fixture
def tail_stage(tiny_bundle: Bundle) -> TailStage:
    return TailStage(
        tiny_bundle,
        load_network(tiny_bundle.tail_path),
        encoder=load_network(tiny_bundle.encoder_path),
    )


@pytest.fixture(scope='session')
def image() -> NDArray[np.uint8]:
    """Return a picture of another aspect than the input."""
    return street_image(150, 80)


@pytest.fixture(scope='session')
def tables() -> CodecTables:
    """Return tables of 2 rates and 5 channels, made of integers alone; channel 3 is constant."""
    gain = np.array([[1, 2, 0.5, 1, 4], [4, 8, 2, 4, 16]], np.float32)
    random = np.random.default_rng(7)
    spread = np.array([1, 2, 3, 0, 9])[:, None, None]
    symbols = [
        random.integers(-spread * k, spread * k + 1, (20, 5, 6, 10)) // (1 + np.arange(10) % 3)
        for k in (1, 4)
    ]
    return CodecTables.from_symbols(gain, (1 / gain).astype(np.float32), symbols)


@pytest.fixture(scope='session')
def z(tables: CodecTables) -> NDArray[np.float32]:
    """Return features [5, 6, 10], some outside the tables."""
    random = np.random.default_rng(8)
    return (random.integers(-3000, 3000, (5, 6, 10)) / 1024).astype(np.float32)
