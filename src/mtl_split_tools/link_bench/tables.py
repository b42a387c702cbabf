# SPDX-License-Identifier: Apache-2.0
"""The rows as a table: on the terminal, as Markdown and as CSV."""

import csv
import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rich.table import Table

from mtl_split_tools.console import MISSING, figure, kilobytes, table
from mtl_split_tools.spreads import with_limits

COLUMNS = (
    *('link', 'transport', 'in time', 'by edge', 'p50 ms', 'p95 ms', 'p99 ms', 'payload', 'wire'),
    *('wire back', 'edge CPU ms', 'server CPU ms', 'mIoU', 'mAP50', 'streaming mIoU'),
)


def row_table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows for a terminal, without spread: it has no room for that."""
    return table(title, COLUMNS, (_cells({**row, 'repeats': 1}) for row in rows))


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown; behind medians stand least and most."""
    lines = [COLUMNS, ['---'] * len(COLUMNS), *map(_cells, rows)]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def comma_separated(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as CSV; what is in a mapping gets a column `mapping.key` of its own.

    Of repeats each figure has its least and most in `spread.figure.least` and `spread.figure.most`.
    """
    flat = [_flat(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in flat for key in row)))
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _cells(row: dict[str, Any]) -> list[str]:
    def cell(key: str, say: Callable[[float | None], str], name: str = '') -> str:
        value = row[key][name] if name else row[key]
        return with_limits(say(value), row, key, say, name)

    return [
        row['link'],
        row['transport'],
        *(cell(key, lambda value: f'{value:.1%}') for key in ('in_time', 'by_edge')),
        *(cell('end_to_end_ms', partial(figure, digits=0), key) for key in ('p50', 'p95', 'p99')),
        *(cell(key, kilobytes) for key in ('bytes_app', 'bytes_wire', 'bytes_wire_back')),
        *(cell(key, partial(figure, digits=1)) for key in ('edge_cpu_ms', 'server_cpu_ms')),
        *(cell(key, figure) for key in ('miou', 'map50', 'streaming_miou')),
    ]


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if key == 'spread':
            flat |= _flat_spread(key, value)
        elif key in ('ways', 'not_answered'):
            flat[key] = ' '.join(f'{name}={count}' for name, count in value.items()) or MISSING
        elif isinstance(value, dict):
            flat |= {f'{key}.{name}': inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat


def _flat_spread(name: str, value: dict[str, Any] | Sequence[float] | None) -> dict[str, Any]:
    if isinstance(value, dict):
        pairs = (_flat_spread(f'{name}.{key}', inner) for key, inner in value.items())
        return {key: limit for pair in pairs for key, limit in pair.items()}
    least, most = value or (None, None)
    return {f'{name}.least': least, f'{name}.most': most}
