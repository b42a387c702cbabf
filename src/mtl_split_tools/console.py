# SPDX-License-Identifier: Apache-2.0
"""How the commands show long work and figures on a terminal."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

# Rich takes 80 columns where there is no terminal, which breaks topic names in logs.
console = Console(width=None if sys.stdout.isatty() else 132)
error_console = Console(stderr=True)

MISSING = '-'  # in place of a figure that there is not


def progress_bar() -> Progress:
    """Return a bar with counts and times, on stderr so that stdout can be piped."""
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=error_console,
    )


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table; columns of figures are right-aligned."""
    cells = [[str(cell) for cell in row] for row in rows]
    made = Table(title=title, title_justify='left', show_header=any(columns))
    for number, column in enumerate(columns):
        figures = all(row[number][:1].isdigit() or row[number] in (MISSING, '') for row in cells)
        made.add_column(
            column, justify='right' if figures else 'left', overflow='fold', no_wrap=not number
        )
    for row in cells:
        made.add_row(*row)
    return made


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number for a table; a dash where there is none."""
    return MISSING if value is None or value != value else f'{value:.{digits}f}'


def kilobytes(value: float | None) -> str:
    """Return bytes as kB (1000 bytes); a dash where there is no figure."""
    return MISSING if value is None else f'{value / 1000:.1f} kB'
