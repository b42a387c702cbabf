# SPDX-License-Identifier: Apache-2.0
"""The families of networks by name: what `mtl-split train` and `mtl-split export` ask.

A family is a module with the two functions of `Family`, and one line in `FAMILIES`. A configuration
names it by its top-level key `family`, a checkpoint by the key of the same name, which a family's
Lightning module writes in `on_save_checkpoint`:

    checkpoint[families.KEY] = 'mtl_split'

Where neither is there, the family is `DEFAULT`.
"""

import argparse
import pickle
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch

from mtl_split_core.errors import DataError

KEY = 'family'
"""Key of a configuration, and of a checkpoint, that names the family."""

DEFAULT = 'split'
"""This project's own network: detection, segmentation, classification; the bundle `camvid`."""

#: Imported when they are asked for: a family should not cost the others their start.
FAMILIES = {
    DEFAULT: 'mtl_split_train.split_family',
    'mtl_split': 'mtl_split_train.published.family',
    'ladon': 'mtl_split_train.ladon.family',
}


class Family(Protocol):
    """What the module of a family offers."""

    def train(self, content: Any, source: str, options: argparse.Namespace) -> int:
        """Run `mtl-split train`.

        Args:
            content: The configuration as it was read, without the key `family`.
            source: Name of its file, for errors.
            options: Those of `cli_train`; `run.open_run` and `run.make_trainer` know them.

        Returns:
            The exit code.

        Raises:
            DataError: Something does not fit: names it and the remedy.
        """

    def export(self, options: argparse.Namespace) -> int:
        """Run `mtl-split export`.

        Args:
            options: Those of `cli_export`; what the family does not know it refuses by `refuse`.

        Returns:
            The exit code.

        Raises:
            DataError: Something does not fit: names it and the remedy.
        """


def find_family(content: Any, source: str) -> tuple[Family, Any]:
    """Return the family that a configuration is for, and the configuration without its name.

    Args:
        content: What YAML gave.
        source: Name of the file.

    Raises:
        DataError: An unknown family; lists those that are known.
    """
    if not isinstance(content, Mapping) or KEY not in content:
        return load_family(DEFAULT, source), content
    rest = {key: value for key, value in content.items() if key != KEY}
    return load_family(content[KEY], source), rest


def load_family(name: Any, source: str) -> Family:
    """Return a family.

    Args:
        name: Its name, as a file has it.
        source: That file.

    Raises:
        DataError: An unknown family; lists those that are known.
    """
    if not isinstance(name, str) or name not in FAMILIES:
        msg = f'{source}: family is {name!r}; it must be one of {", ".join(FAMILIES)}'
        raise DataError(msg)
    found: Family = import_module(FAMILIES[name])  # type: ignore[assignment]
    return found


def checkpoint_family(path: Path) -> str:
    """Return the name of the family that a checkpoint is of.

    Args:
        path: A .ckpt. One that cannot be read counts as ``DEFAULT``: that family says what is
            wrong with it.
    """
    try:
        content = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
        return DEFAULT
    return str(content.get(KEY, DEFAULT)) if isinstance(content, Mapping) else DEFAULT


def check_family(path: Path, wanted: str) -> None:
    """Refuse a checkpoint of another family.

    Args:
        path: A .ckpt.
        wanted: Name of the family.

    Raises:
        DataError: It is of another one.
    """
    if (found := checkpoint_family(path)) != wanted:
        msg = (
            f'{path} is a checkpoint of family {found!r}, not of {wanted!r}: give one of this '
            f'family, or a configuration with `family: {found}`'
        )
        raise DataError(msg)


def refuse(options: argparse.Namespace, family: str, *names: str) -> None:
    """Refuse options that a family does not know.

    Args:
        options: Of a subcommand.
        family: Name of the family.
        names: Of the options, as attributes: ``with_torch``.

    Raises:
        DataError: One of them was given.
    """
    for name in names:
        if getattr(options, name):
            msg = f'--{name.replace("_", "-")} is not for family {family!r}: leave it out'
            raise DataError(msg)
