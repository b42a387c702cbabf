# SPDX-License-Identifier: Apache-2.0
"""Reads the profiles of a plan and sees that they can be compared."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mtl_split_core.bundle import load_bundle
from mtl_split_core.bundle_search import MANIFEST
from mtl_split_core.errors import DataError
from mtl_split_core.profile import Profile, load_profile, read_profile
from mtl_split_tools.plan.candidate import Way

_SUFFIXES = ('.yaml', '.yml')


def load_profiles(names: Sequence[str]) -> dict[str, Profile]:
    """Read profiles.

    Args:
        names: A file that `mtl-split profile` wrote, or a bundle (directory or name), whose
            profile of this machine is taken.

    Returns:
        The profiles by a short name: that of the bundle, with the machine where two have it, and
        what was given where two have that, too.

    Raises:
        BundleError: Missing, damaged, or of another bundle than that beside it.
        DataError: Given twice.
    """
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        msg = f'--profile {twice[0]} is given twice'
        raise DataError(msg)
    found = {name: _load(name) for name in names}
    short = _unless_shared({name: profile.bundle for name, profile in found.items()})
    longer = {
        name: short[name] or f'{profile.bundle}@{profile.machine}'
        for name, profile in found.items()
    }
    labels = {name: label or name for name, label in _unless_shared(longer).items()}
    return {labels[name]: profile for name, profile in found.items()}


def ways_of(profiles: dict[str, Profile]) -> list[Way]:
    """Return all ways of all profiles.

    Args:
        profiles: By short name.

    Raises:
        DataError: They did not measure the same metrics.
    """
    (first, reference), *others = profiles.items()
    expected = reference.points[0].metrics
    for name, profile in others:
        if (metrics := profile.points[0].metrics) != expected:
            msg = (
                f'profile {name} measured {", ".join(metrics)}, profile {first} '
                f'{", ".join(expected)}: accuracies of other tasks cannot be compared, plan for '
                'one set of tasks'
            )
            raise DataError(msg)
    return [Way(name, point) for name, profile in profiles.items() for point in profile.points]


def warnings(profiles: dict[str, Profile]) -> list[str]:
    """Return what makes a comparison of the profiles doubtful.

    Args:
        profiles: By short name.
    """
    found = []
    machines = sorted({profile.machine for profile in profiles.values()})
    if len(machines) > 1:
        found.append(f'times come from different machines: {", ".join(machines)}')
    frames = sorted({profile.frames for profile in profiles.values()})
    if len(frames) > 1:
        counts = ', '.join(map(str, frames))
        found.append(f'accuracies come from different numbers of frames: {counts}')
    return found


def _load(name: str) -> Profile:
    path = Path(name)
    if path.suffix not in _SUFFIXES:
        return load_profile(load_bundle(name))
    if (path.parent / MANIFEST).is_file():
        return load_profile(load_bundle(path.parent), path)
    return read_profile(path)


def _unless_shared(labels: dict[str, str]) -> dict[str, str]:
    """Leave out labels that several have."""
    counts = Counter(labels.values())
    return {name: label if counts[label] == 1 else '' for name, label in labels.items()}
