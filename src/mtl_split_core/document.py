# SPDX-License-Identifier: Apache-2.0
"""Reading of untyped documents, with errors that name file, dotted field, value and remedy."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mtl_split_core.errors import BundleError


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
        value = repr(self._value)
        value = value if len(value) <= 80 else f'{value[:77]}...'
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
                msg = (
                    f'{self._where}: {self[str(key)]._name} is not a known field, '
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
