# SPDX-License-Identifier: Apache-2.0
"""The rows as a table: on the terminal, as Markdown and as CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from mtl_split_tools.console import MISSING, figure, kilobytes, table

COLUMNS = (
    *('link', 'transport', 'in time', 'by edge', 'p50 ms', 'p95 ms', 'p99 ms', 'payload', 'wire'),
    *('wire back', 'edge CPU ms', 'server CPU ms', 'mIoU', 'mAP50', 'streaming mIoU'),
)


def row_table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows for a terminal."""
    return table(title, COLUMNS, map(_cells, rows))


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [COLUMNS, ['---'] * len(COLUMNS), *map(_cells, rows)]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def comma_separated(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as CSV; what is in a mapping gets a column `mapping.key` of its own."""
    flat = [_flat(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in flat for key in row)))
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row['link'],
        row['transport'],
        *(f'{row[key]:.1%}' for key in ('in_time', 'by_edge')),
        *(figure(row['end_to_end_ms'][key], 0) for key in ('p50', 'p95', 'p99')),
        *(kilobytes(row[key]) for key in ('bytes_app', 'bytes_wire', 'bytes_wire_back')),
        *(figure(row[key], 1) for key in ('edge_cpu_ms', 'server_cpu_ms')),
        *(figure(row[key]) for key in ('miou', 'map50', 'streaming_miou')),
    ]


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if key in ('ways', 'not_answered'):
            flat[key] = ' '.join(f'{name}={count}' for name, count in value.items()) or MISSING
        elif isinstance(value, dict):
            flat |= {f'{key}.{name}': inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat
