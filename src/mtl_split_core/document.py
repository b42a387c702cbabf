# SPDX-License-Identifier: Apache-2.0
"""Reading of untyped documents, with errors that name file, dotted field, value and remedy."""

import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mtl_split_core.errors import BundleError

_MAX_BYTES = 2**18
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200


def read_document(file: Path, remedy: str) -> object:
    """Read a YAML file.

    Args:
        file: The file, at most 256 KiB.
        remedy: What to do where it is no good.

    Returns:
        What the parser gives; aliases in it may make it endless or far larger than the file.

    Raises:
        BundleError: Missing, too large, or not readable.
    """
    try:
        if (size := file.stat().st_size) > _MAX_BYTES:
            msg = f'{file}: has {size} bytes, allowed are {_MAX_BYTES}: {remedy}'
            raise BundleError(msg)
        return yaml.safe_load(file.read_text('utf-8'))
    except BundleError:
        raise
    # The parser lets through what int(), float(), datetime() and others say to a bad value.
    except Exception as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        msg = f'{file}: not readable ({reason[:400]}): {remedy}'
        raise BundleError(msg) from error


class Field:
    """A value of the document that knows its dotted name; every check raises BundleError.

    Args:
        where: Name of the file.
        name: Dotted name, empty for the whole document.
        value: What the parser gave.
    """

    def __init__(self, where: str, name: str, value: object) -> None:
        self._where = where
        self._name = name
        self._value = value

    def fail(self, allowed: str) -> None:
        """Raise the error of this field."""
        value = _in_short(self._value)
        msg = f'{self._where}: {self._name or "document"} is {value}, allowed is {allowed}'
        raise BundleError(msg)

    def __contains__(self, key: str) -> bool:
        return isinstance(self._value, Mapping) and key in self._value

    def __getitem__(self, key: str) -> 'Field':
        value = self._value.get(key) if isinstance(self._value, Mapping) else None
        return Field(self._where, f'{self._name}.{key}'.lstrip('.'), value)

    def keys_of(self, key: str) -> 'Field':
        """Return a field that must be there, before the others are known."""
        if key not in self:
            self.fail(f'a mapping with {key}')
        return self[key]

    def keys(self, *required: str, optional: Sequence[str] = ()) -> 'Field':
        """Check that a mapping has these fields and no others."""
        if not isinstance(self._value, Mapping):
            self.fail(f'a mapping with {", ".join(required)}')
            return self
        for key in required:
            if key not in self._value:
                msg = f'{self._where}: {self[key]._name} is missing'
                raise BundleError(msg)
        allowed = (*required, *optional)
        for key in self._value:
            if key not in allowed:
                name = key[:80] if isinstance(key, str) else _in_short(key)
                msg = (
                    f'{self._where}: {self[name]._name} is not a known field, '
                    f'allowed are {", ".join(allowed)}'
                )
                raise BundleError(msg)
        return self

    def mapping(self) -> Mapping[str, Any]:
        """Return a mapping of any content."""
        if not isinstance(self._value, Mapping):
            self.fail('a mapping')
            return {}
        return self._value

    def items(self, least: int, most: int) -> list['Field']:
        """Return the entries of a list of limited length."""
        entries = self._value if isinstance(self._value, list | tuple) else ()
        if not least <= len(entries) <= most:
            count = str(least) if least == most else f'{least} to {most}'
            self.fail(f'a list of {count} entries')
        return [
            Field(self._where, f'{self._name}[{index}]', entry)
            for index, entry in enumerate(entries)
        ]

    def text(self, pattern: str = r'\S(.|\n)*') -> str:
        """Return a text that matches as a whole."""
        if not isinstance(self._value, str):
            self.fail('a text (in quotes)')
        if len(str(self._value)) > 4096 or not re.fullmatch(pattern, str(self._value)):
            self.fail(f'a text of the form {pattern}, at most 4096 characters')
        return str(self._value)

    def number(self, least: float, most: float) -> float:
        """Return a finite number in a range."""
        value = self._value
        if isinstance(value, bool) or not isinstance(value, int | float):
            value = math.nan
        if not least <= value <= most:
            self.fail(f'a number from {least:g} to {most:g}')
        return float(value)

    def number_or_none(self, least: float, most: float) -> float | None:
        """Return a finite number in a range, or None for null."""
        return None if self._value is None else self.number(least, most)

    def integer(self, least: int, most: int) -> int:
        """Return a whole number in a range."""
        value = self._value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.fail(f'{least}' if least == most else f'a whole number from {least} to {most}')
            return least
        return value


def _in_short(value: object) -> str:
    """Describe a value; its whole text may be of any length, and be made of few bytes."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # more digits than Python writes
        return 'a giant number'
    return text if len(text) <= 80 else f'{text[:77]}...'
