# SPDX-License-Identifier: Apache-2.0
"""Loads what the server answers by, at the start and anew while it runs."""

from dataclasses import dataclass

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.other_tail import for_features_of
from mtl_split_core.tail import TailStage
from mtl_split_ros.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Loaded:
    """A bundle and its networks, warm.

    Args:
        bundle: Checked.
        tail: With the encoder, for packets that carry a picture.
    """

    bundle: Bundle
    tail: TailStage


def load(settings: Parameters) -> Loaded:
    """Load the bundle of the parameter `bundle`, to answer the features of `features_of`.

    Args:
        settings: Of the node.

    Raises:
        MtlSplitError: It cannot be loaded as a whole, or not answer those features.
    """
    bundle = load_bundle(settings.text('bundle'))
    options = BackendOptions(settings.integer('threads'), settings.texts('providers'))
    backend = settings.text('backend')
    network = load_network(bundle.tail_path, backend, options)
    encoder = load_network(bundle.encoder_path, backend, options)
    bundle.check_unchanged()
    if maker := settings.text('features_of'):
        bundle = for_features_of(bundle, load_bundle(maker))
    tail = TailStage(bundle, network, encoder=encoder)
    tail.warm_up()
    return Loaded(bundle, tail)
