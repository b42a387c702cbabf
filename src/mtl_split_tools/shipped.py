# SPDX-License-Identifier: Apache-2.0
"""What comes with the project."""

import os
from pathlib import Path


def shipped(name: str) -> Path | None:
    """Return a file or folder of this project, from its source tree or where it is installed."""
    prefixes = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    places = [Path(__file__).resolve().parents[2], *(path / 'share/mtl_split' for path in prefixes)]
    return next((place / name for place in places if (place / name).exists()), None)
