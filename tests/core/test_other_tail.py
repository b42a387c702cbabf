# SPDX-License-Identifier: Apache-2.0
"""Whose features a tail may answer."""

from pathlib import Path

import pytest
from tests.tiny_bundle import make_tiny_bundle, with_other_tail

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import BundleError
from mtl_split_core.other_tail import for_features_of


def test_another_tail_of_the_same_encoder(tiny_bundle: Bundle, tmp_path: Path) -> None:
    other = with_other_tail(tiny_bundle, tmp_path / 'other')
    assert other.fingerprint != tiny_bundle.fingerprint
    taken = for_features_of(other, tiny_bundle)
    assert taken.fingerprint == tiny_bundle.fingerprint
    assert taken.tail_path == other.tail_path
    assert taken.title == f'other 1.0.0 for features of tiny 1.0.0 ({tiny_bundle.fingerprint:016x})'


def test_features_of_itself(tiny_bundle: Bundle) -> None:
    assert for_features_of(tiny_bundle, tiny_bundle).fingerprint == tiny_bundle.fingerprint


def test_another_encoder(tiny_bundle: Bundle, tmp_path: Path) -> None:
    other = make_tiny_bundle(tmp_path / 'other', seed=1, name='other')
    with pytest.raises(
        BundleError, match=r'tiny 1\.0\.0 .* by other 1\.0\.0 .* differ in enc'
    ) as it:
        for_features_of(other, tiny_bundle)
    assert 'encoder.onnx, tables.npz; take a bundle that was exported' in str(it.value)


def test_another_normalisation(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """The same files, and yet other features."""
    other = with_other_tail(tiny_bundle, tmp_path / 'other', std=[0.2, 0.2, 0.2])
    with pytest.raises(BundleError, match='differ in input;'):
        for_features_of(other, tiny_bundle)
