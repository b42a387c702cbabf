# SPDX-License-Identifier: Apache-2.0
"""Where model bundles lie: a directory that is named, or the known places for a name."""

import os
from pathlib import Path

from mtl_split_core.errors import BundleError

MANIFEST = 'bundle.yaml'
SEARCH_VARIABLE = 'MTL_SPLIT_BUNDLES'


def bundle_directories() -> list[Path]:
    """Return the directories in which bundles are found by name, first match wins."""
    places = [Path(p) for p in os.environ.get(SEARCH_VARIABLE, '').split(os.pathsep) if p]
    prefixes = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    places += [prefix / 'share' / 'mtl_split' / 'models' for prefix in prefixes]
    places.append(Path(__file__).resolve().parents[2] / 'models')
    return list(dict.fromkeys(places))


def find_bundle(path_or_name: Path | str) -> Path:
    """Find the directory of a bundle.

    Args:
        path_or_name: Directory of a bundle, or the name of one in bundle_directories().

    Returns:
        The directory, absolute.

    Raises:
        BundleError: Not found; says what was found where.
    """
    path = Path(path_or_name)
    if (path / MANIFEST).is_file():
        return path.resolve()
    if isinstance(path_or_name, Path) or os.sep in path_or_name:
        what = f'has no {MANIFEST}' if path.is_dir() else 'is no directory'
        msg = f'bundle {path}: {what}: give the directory of a bundle or the name of one'
        raise BundleError(msg)
    looked = []
    for place in bundle_directories():
        if (place / path / MANIFEST).is_file():
            return (place / path).resolve()
        names = sorted(entry.parent.name for entry in place.glob(f'*/{MANIFEST}'))
        found = f'holds {", ".join(names)}' if names else 'holds none'
        looked.append(f'{place} ({found if place.is_dir() else "does not exist"})')
    msg = (
        f"bundle '{path_or_name}' not found, looked in {', '.join(looked)}: give the directory "
        f'of a bundle or add the one above it to {SEARCH_VARIABLE}'
    )
    raise BundleError(msg)


def inside(directory: Path, text: str) -> Path:
    """Find the file that a parameter names, which has to lie in a bundle's directory.

    Args:
        directory: Directory of the bundle.
        text: File name, relative to that directory, or a whole path.

    Returns:
        The file, absolute and without symbolic links; it need not exist.

    Raises:
        BundleError: It leads out of the directory, by `..` and symbolic links, too.
    """
    root = directory.resolve()
    # as colcon installs it with --symlink-install: each file is a link into the source tree
    roots = {root, (root / MANIFEST).resolve().parent}
    try:
        path = (root / text).resolve()
        path.exists()  # shows a name that is too long
    except (OSError, RuntimeError, ValueError) as error:
        msg = f'file {text!r}: {error}: give the name of a file in {root}'
        raise BundleError(msg) from error
    if roots.isdisjoint(path.parents):
        msg = f'file {text!r} is {path}, outside of {root}: give the name of a file in there'
        raise BundleError(msg)
    return path
