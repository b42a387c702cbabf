# SPDX-License-Identifier: Apache-2.0
"""Documents with measured parts between marked lines, and tables in Markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence

from mtl_split_core.errors import DataError


def fill(text: str, command: str, parts: Mapping[str, str]) -> str:
    """Put measured parts into a document.

    Args:
        text: Markdown with a line `<!-- COMMAND: NAME -->` and a line `<!-- end -->` for each.
        command: What measures them.
        parts: Text by name.

    Returns:
        The document with everything between these lines replaced.

    Raises:
        DataError: The document lacks a part, or has one that is not measured.
    """
    found = re.findall(rf'^<!-- {command}: ([\w-]+) -->$', text, re.MULTILINE)
    if sorted(found) != sorted(parts):
        msg = f'the document has the parts {", ".join(found)}; it must have {", ".join(parts)}'
        raise DataError(msg)
    for name, part in parts.items():
        place = rf'(?s)(<!-- {command}: {name} -->\n).*?(<!-- end -->)'
        text = re.sub(place, lambda match: f'{match[1]}{part}\n{match[2]}', text)  # noqa: B023
    return text


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [columns, ['---'] * len(columns), *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)
