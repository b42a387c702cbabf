# SPDX-License-Identifier: Apache-2.0
"""Loads what the edge encodes and answers by, at the start and anew while it runs."""

from dataclasses import dataclass

import cv2

from mtl_split_core.backend import BackendOptions, Network, load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.bundle_search import inside
from mtl_split_core.encode import EncodeStage
from mtl_split_core.profile import Profile, load_profile
from mtl_split_core.tail import TailStage
from mtl_split_ros.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Loaded:
    """A bundle and what is needed of it, warm.

    Args:
        bundle: Checked.
        stage: Image to packet.
        tail: For local answers, None where there are none.
        profile: For mode auto, None where it was not asked for.
    """

    bundle: Bundle
    stage: EncodeStage
    tail: TailStage | None = None
    profile: Profile | None = None


def load(settings: Parameters, *, tail: bool = False, profile: bool = False) -> Loaded:
    """Load the bundle of the parameter `bundle`.

    Args:
        settings: Of the node.
        tail: Whether to load what local answers need.
        profile: Whether to load what mode auto needs.

    Raises:
        MtlSplitError: It cannot be loaded as a whole.
    """
    # More take processor time from the camera's other work and bring a small image nothing.
    cv2.setNumThreads(settings.integer('threads'))
    bundle = load_bundle(settings.text('bundle'))
    stage = EncodeStage(bundle, _network(bundle, settings, tail=False))
    stage.warm_up()
    bundle.check_unchanged()
    return Loaded(
        bundle,
        stage,
        load_tail(settings, bundle) if tail else None,
        load_measured(settings, bundle) if profile else None,
    )


def load_tail(settings: Parameters, bundle: Bundle) -> TailStage:
    """Load the other half of a bundle that is in use.

    Args:
        settings: Of the node.
        bundle: Of the encoder.

    Raises:
        MtlSplitError: It cannot be loaded, or its directory holds another bundle by now.
    """
    stage = TailStage(bundle, _network(bundle, settings, tail=True))
    bundle.check_unchanged()
    stage.warm_up()
    return stage


def load_measured(settings: Parameters, bundle: Bundle) -> Profile:
    """Load the profile that mode auto chooses by.

    Args:
        settings: Of the node.
        bundle: In use.

    Raises:
        MtlSplitError: There is none for this bundle.
    """
    name = settings.text('profile')
    return load_profile(bundle, inside(bundle.path, name) if name else None)


def _network(bundle: Bundle, settings: Parameters, *, tail: bool) -> Network:
    return load_network(
        bundle.tail_path if tail else bundle.encoder_path,
        settings.text('backend'),
        BackendOptions(settings.integer('threads'), settings.texts('providers')),
    )
