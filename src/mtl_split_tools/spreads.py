# SPDX-License-Identifier: Apache-2.0
"""Least and most of a figure over the repeats of a bench, for tables and pictures."""

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
Limits = tuple[float, float]


def limits(row: Row, key: str, name: str = '') -> Limits | None:
    """Return least and most of a figure.

    Args:
        row: Figures; of a bench with repeats it has `repeats` and `spread`.
        key: Of the figure.
        name: Of the figure in the mapping `key`; '' where it is none.

    Returns:
        Least and most; None where it was measured once, or never.
    """
    if row.get('repeats', 1) < 2:
        return None
    found = row['spread'].get(key)
    if name:
        found = (found or {}).get(name)
    return (float(found[0]), float(found[1])) if found else None


def with_limits(text: str, row: Row, key: str, say: Callable[[float], str], name: str = '') -> str:
    """Return a median in words with least and most behind it where they differ from it.

    Args:
        text: The median in words.
        row: As of limits(), as are `key` and `name`.
        key: Of the figure.
        say: A figure in words.
        name: Of the figure in its mapping.
    """
    found = limits(row, key, name)
    if found is None:
        return text
    least, most = map(say, found)
    return text if least == most == text else f'{text} ({least}..{most})'


def whisker(row: Row, key: str, name: str = '') -> list[list[float]] | None:
    """Return how far below and above its median a figure goes, as Matplotlib's errorbar takes it.

    Args:
        row: As of limits(), as are `key` and `name`.
        key: Of the figure.
        name: Of the figure in its mapping.
    """
    found, middle = limits(row, key, name), row[key][name] if name else row[key]
    if found is None or middle is None:
        return None
    return [[max(0.0, middle - found[0])], [max(0.0, found[1] - middle)]]
