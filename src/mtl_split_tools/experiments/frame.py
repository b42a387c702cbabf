# SPDX-License-Identifier: Apache-2.0
"""What experiments have in common: cells that are kept, a results file, a table, plots."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from mtl_split_core.profile import machine_name
from mtl_split_tools.files import write_bytes, write_json

Result = dict[str, Any]
"""What a cell gave, fit for JSON."""


class Size(StrEnum):
    """How much is measured."""

    SMOKE = 'smoke'
    """Whether it runs: seconds, figures mean nothing."""
    SMALL = 'small'
    """What two cores do in minutes."""
    FULL = 'full'
    """All frames."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One part of an experiment that is measured by itself.

    Args:
        key: Its name, also of its file.
        settings: All that its result depends on, the seed among it; fit for JSON.
    """

    key: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """The table of an experiment.

    Args:
        columns: Headings.
        rows: Cells of the rows, as they are to be shown.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Experiment(Protocol):
    """What a module of an experiment offers."""

    notes: Sequence[str]
    """What a reader of the figures has to know; stands above the table and in the results."""

    def cells(self) -> Sequence[Cell]:
        """Return what is to be measured."""

    def measure(self, cell: Cell) -> Result:
        """Measure a cell."""

    def table(self, results: Mapping[str, Result]) -> Table:
        """Return the table of all cells, by key."""

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:
        """Return PNGs by name."""


def run_cells(
    experiment: Experiment, out: Path, done: Callable[[Cell, bool], None]
) -> dict[str, Result]:
    """Measure what is not kept from before.

    Args:
        experiment: The experiment.
        out: Its folder; cells are kept in `cells/`.
        done: Told of each cell, and whether it was kept.

    Returns:
        Results by key, in the order of the cells.
    """
    found = {}
    for cell in experiment.cells():
        path = out / 'cells' / f'{cell.key}.json'
        result = _kept(path, cell)
        if kept := result is not None:
            found[cell.key] = result
        else:
            found[cell.key] = experiment.measure(cell)
            document = {'settings': dict(cell.settings), 'load': os.getloadavg()[0]}
            write_json(path, {**document, 'result': found[cell.key]})
        done(cell, kept)
    return found


def write_results(
    name: str, size: Size, experiment: Experiment, results: Mapping[str, Result], out: Path
) -> None:
    """Write results.json, table.md and the plots.

    Args:
        name: Name of the experiment.
        size: How much was measured.
        experiment: The experiment.
        results: Of all cells.
        out: Folder.
    """
    cells = {
        cell.key: {'settings': dict(cell.settings), 'result': results[cell.key]}
        for cell in experiment.cells()
    }
    document = {
        'experiment': name,
        'size': str(size),
        'seeds': sorted({cell['settings']['seed'] for cell in cells.values()}),
        'machine': {
            'name': machine_name(),
            'processor': platform.machine(),
            'cpus': os.cpu_count(),
        },
        'notes': list(experiment.notes),
        'cells': cells,
    }
    for plot, data in experiment.plots(results).items():
        write_bytes(out / 'plots' / f'{plot}.png', data)
    table = experiment.table(results)
    write_bytes(out / 'table.md', _markdown(name, size, experiment.notes, table).encode())
    write_json(out / 'results.json', document)


def _kept(path: Path, cell: Cell) -> Result | None:
    """Return what a cell gave under the same settings; None where there is nothing whole."""
    try:
        document = json.loads(path.read_text('utf-8'))
        if document['settings'] == dict(cell.settings):
            return dict(document['result'])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass  # measured anew
    return None


def _markdown(name: str, size: Size, notes: Sequence[str], table: Table) -> str:
    lines = [f'# {name}, size {size}', '', *(f'- {note}' for note in notes), '']
    rows = [table.columns, ['---'] * len(table.columns), *table.rows]
    return '\n'.join([*lines, *(f'| {" | ".join(row)} |' for row in rows), ''])
