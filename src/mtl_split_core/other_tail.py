# SPDX-License-Identifier: Apache-2.0
"""Features of one bundle, answered by the tail of another that shares its encoder and tables."""

import filecmp
from dataclasses import replace

from mtl_split_core.bundle import Bundle
from mtl_split_core.bundle_schema import FILES
from mtl_split_core.errors import BundleError


def for_features_of(bundle: Bundle, maker: Bundle) -> Bundle:
    """Return a bundle that answers what another one has encoded.

    The fingerprint covers the tail, too, because two ends that run together should be one release.
    What the features mean depends on the encoder, the tables and the network input alone: where
    these are equal, byte by byte, the other tail may have them.

    Args:
        bundle: Its tail is to answer.
        maker: Made the features, as in a recording.

    Returns:
        `bundle` with the fingerprint of `maker`, and `features_of` naming it.

    Raises:
        BundleError: The features of `maker` mean something else to `bundle`; says what differs.
    """
    encoder, _, tables = FILES
    same = {
        'input': bundle.input == maker.input,
        'feature': bundle.feature_shape == maker.feature_shape,
        **{
            name: filecmp.cmp(bundle.path / name, maker.path / name, shallow=False)
            for name in (encoder, tables)
        },
    }
    different = [name for name, equal in same.items() if not equal]
    if different:
        msg = (
            f'features of {maker.name} {maker.version} ({maker.path}) cannot be answered by '
            f'{bundle.name} {bundle.version} ({bundle.path}): they differ in '
            f'{", ".join(different)}; take a bundle that was exported from the same encoder'
        )
        raise BundleError(msg)
    name = f'{maker.name} {maker.version}'
    return replace(bundle, fingerprint=maker.fingerprint, features_of=name)
