# SPDX-License-Identifier: Apache-2.0
"""Loads what the server answers by, at the start and anew while it runs."""

from dataclasses import dataclass

from mtl_split_core.backend import BackendOptions, load_network, on_gpu
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.other_tail import for_features_of
from mtl_split_core.tail import TailStage
from mtl_split_ros.parameters import Parameters

GPU_BATCH = 4
"""Most frames of a run on a GPU, unless the parameter `batch` says otherwise."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A bundle and its networks, warm.

    Args:
        bundle: Checked.
        tail: With the encoder, for packets that carry a picture.
        batch: Most frames that go through the tail in one run, at least 1.
    """

    bundle: Bundle
    tail: TailStage
    batch: int


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
    batch = most_at_once(settings, tail)
    tail.warm_up(batch)
    return Loaded(bundle, tail, batch)


def most_at_once(settings: Parameters, tail: TailStage) -> int:
    """Return how many frames may go through the tail in one run.

    Args:
        settings: Of the node.
        tail: Loaded.
    """
    if not tail.batched:
        return 1
    chosen = settings.integer('batch')
    chosen = chosen or (GPU_BATCH if on_gpu(settings.texts('providers')) else 1)
    return min(chosen, len(settings.texts('cameras')) or 1)
