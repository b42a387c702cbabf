# SPDX-License-Identifier: Apache-2.0
"""Is the bundle whole, does it load with the providers that are asked for, is there a profile."""

from collections.abc import Iterator, Sequence

import onnxruntime

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import BackendError, BundleError
from mtl_split_core.profile import load_profile, machine_name, profile_path
from mtl_split_ros.status import Level
from mtl_split_tools.doctor.finding import Finding

BUNDLE, PROVIDERS = 'bundle', 'providers'


def check_bundle(name: str) -> tuple[Bundle | None, list[Finding]]:
    """Load a bundle, which verifies hashes and fingerprint, and look for its profile.

    Args:
        name: Directory or name.

    Returns:
        The bundle, None if it is no good; and the findings.
    """
    try:
        bundle = load_bundle(name)
    except BundleError as error:
        remedy = 'give the one that the nodes have by --bundle, or do as it says'
        return None, [Finding(Level.ERROR, BUNDLE, str(error), remedy)]
    what = f'{bundle.title}: files, hashes and fingerprint are in order'
    return bundle, [Finding(Level.OK, BUNDLE, what), _check_profile(bundle)]


def check_providers(bundle: Bundle, backend: str, providers: Sequence[str]) -> Iterator[Finding]:
    """Load both networks as the nodes would.

    Args:
        bundle: Gives the networks.
        backend: Name of the inference backend.
        providers: Execution providers that are asked for, best first; empty is the CPU.

    Yields:
        The findings.
    """
    asked = ', '.join(providers) or 'CPU'
    try:
        for path in (bundle.encoder_path, bundle.tail_path):
            load_network(path, backend, BackendOptions(1, tuple(providers)))
    except BackendError as error:
        remedy = (
            'leave the parameter providers empty for the CPU, or install the ONNX Runtime that has '
            'it, as onnxruntime-gpu'
        )
        yield Finding(Level.ERROR, PROVIDERS, str(error), remedy)
        return
    there = ', '.join(onnxruntime.get_available_providers())
    what = f'both networks load with {backend} on {asked}; there are: {there}'
    yield Finding(Level.OK, PROVIDERS, what)


def _check_profile(bundle: Bundle) -> Finding:
    remedy = f'mtl-split profile --bundle {bundle.path}'
    if not profile_path(bundle, machine_name()).is_file():
        # nobody else needs one
        what = f'no profile of this machine beside {bundle.name}: mode auto would not start here'
        return Finding(Level.OK, BUNDLE, what, remedy)
    try:
        profile = load_profile(bundle)
    except BundleError as error:
        return Finding(Level.WARN, BUNDLE, f'mode auto does not start here: {error}', remedy)
    what = f'profile of {profile.machine} fits, {len(profile.points)} ways to answer a frame'
    return Finding(Level.OK, BUNDLE, what)
