# SPDX-License-Identifier: Apache-2.0
"""How much an experiment measures at each size: files of experiments/, read without torch."""

from pathlib import Path

from mtl_split_core.document import Field, read_document
from mtl_split_tools.experiments.frame import Size
from mtl_split_tools.shipped import shipped

_MOST = 1_000_000


def config_path(name: str) -> Path:
    """Return a file of experiments/: of the working folder, or as it ships."""
    path = Path('experiments') / name
    return path if path.is_file() else shipped(str(path)) or path


def read_extent(name: str, size: Size, *keys: str) -> Field:
    """Return what is written for a size.

    Args:
        name: Name of the file in experiments/.
        size: The size.
        keys: Of each size.

    Raises:
        BundleError: The file is missing or wrong; names the dotted key.
    """
    path = config_path(name)
    document = Field(str(path), '', read_document(path, 'restore it from the repository'))
    sizes = document.keys(*map(str, Size))
    return sizes[size].keys(*keys)


def count(extent: Field, key: str) -> int:
    """Return a number of things, at least one.

    Raises:
        BundleError: It is something else.
    """
    return extent[key].integer(1, _MOST)
