# SPDX-License-Identifier: Apache-2.0
"""What comes with the project."""

import os
from pathlib import Path


def shipped(name: str) -> Path | None:
    """Return a file or folder of this project, from its source tree or where it is installed."""
    prefixes = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    places = [Path(__file__).resolve().parents[2], *(path / 'share/mtl_split' for path in prefixes)]
    return next((place / name for place in places if (place / name).exists()), None)


def shipped_bag(name: str) -> Path | None:
    """Return the recording of this name that comes with the project, None where there is none."""
    return shipped(f'samples/{name}/bag')


def bag_path(text: str) -> Path:
    """Return the recording that somebody names: a path, else the name of a shipped one.

    Args:
        text: As given on the command line; a path that is there comes first.
    """
    path = Path(text)
    return path if path.exists() else shipped_bag(text) or path
