# SPDX-License-Identifier: Apache-2.0
"""What experiments have in common: cells that are kept, a results file, a table, plots."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mtl_split_core.errors import DataError
from mtl_split_core.profile import machine_name
from mtl_split_tools.experiments.claims import COLUMNS, Judges, rows
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.marked import markdown

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

    def measure(self, cell: Cell, folder: Path) -> Result:
        """Measure a cell.

        Args:
            cell: One of `cells()`.
            folder: For what takes so long that it has to survive a stop, such as a training run;
                shared by all cells, and there only if the cell makes it.
        """

    def table(self, results: Mapping[str, Result]) -> Table:
        """Return the table of all cells, by key."""

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:
        """Return PNGs by name."""


@runtime_checkable
class TakesBundles(Protocol):
    """What an experiment offers beside that which measures bundles of the user."""

    def take_bundles(self, names: Sequence[str]) -> None:
        """Measure these bundles, too; names or directories."""


@runtime_checkable
class Partial(Protocol):
    """What an experiment has whose table and plots can do without some of the cells."""

    partial: bool


@runtime_checkable
class Concludes(Protocol):
    """What an experiment offers beside that which says what its figures mean for a claim."""

    def findings(self, results: Mapping[str, Result]) -> Sequence[str]:
        """Return sentences with figures; they stand behind the notes."""


def all_notes(experiment: Experiment, results: Mapping[str, Result]) -> list[str]:
    """Return the notes of an experiment, what is not measured, and its findings if it has such."""
    missing = [cell.key for cell in experiment.cells() if cell.key not in results]
    if missing:
        return [*experiment.notes, f'Not measured yet: {", ".join(missing)}.']
    found = experiment.findings(results) if isinstance(experiment, Concludes) else ()
    return [*experiment.notes, *found]


def run_cells(
    experiment: Experiment, out: Path, done: Callable[[Cell, bool], None]
) -> dict[str, Result]:
    """Measure what is not kept from before.

    Args:
        experiment: The experiment.
        out: Its folder; cells are kept in `cells/`, what they work on in `runs/`.
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
            found[cell.key] = experiment.measure(cell, out / 'runs')
            document = {'settings': dict(cell.settings), 'load': os.getloadavg()[0]}
            write_json(path, {**document, 'result': found[cell.key]})
        done(cell, kept)
    return found


def read_cells(experiment: Experiment, out: Path) -> dict[str, Result]:
    """Return what is kept from before, by key; measure nothing.

    Args:
        experiment: The experiment.
        out: Its folder; a run may be working there.

    Raises:
        DataError: Nothing is kept, or not enough for a table.
    """
    paths = {cell.key: (out / 'cells' / f'{cell.key}.json', cell) for cell in experiment.cells()}
    found = {key: _kept(*place) for key, place in paths.items()}
    known = {key: result for key, result in found.items() if result is not None}
    if not known:
        msg = f'{out}/cells holds nothing of this size, seed and data yet: leave --so-far out'
        raise DataError(msg)
    if len(known) < len(found) and not isinstance(experiment, Partial):
        missing = ', '.join(sorted(found.keys() - known))
        msg = f'{out}/cells lacks {missing}, and this experiment shows all or nothing: wait for it'
        raise DataError(msg)
    return known


def write_results(
    name: str, size: Size, experiment: Experiment, results: Mapping[str, Result], out: Path
) -> None:
    """Write results.json, table.md and the plots.

    Args:
        name: Name of the experiment.
        size: How much was measured.
        experiment: The experiment.
        results: Of the cells, or of those that are measured.
        out: Folder.
    """
    cells = {
        cell.key: {'settings': dict(cell.settings), 'result': results[cell.key]}
        for cell in experiment.cells()
        if cell.key in results
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
        'claims': (
            [claim.document() for claim in experiment.claims(results)]
            if isinstance(experiment, Judges)
            else []
        ),
        'notes': all_notes(experiment, results),
        'cells': cells,
    }
    for plot, data in experiment.plots(results).items():
        write_bytes(out / 'plots' / f'{plot}.png', data)
    title = f'# {name}, size {size}'
    write_bytes(out / 'table.md', f'{title}\n\n{show(experiment, results)}\n'.encode())
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


def show(experiment: Experiment, results: Mapping[str, Result]) -> str:
    """Return claims, notes and table in Markdown, as documents have them."""
    claims = experiment.claims(results) if isinstance(experiment, Judges) else ()
    table = experiment.table(results)
    return '\n'.join(
        [
            *([markdown(COLUMNS, rows(claims)), ''] if claims else []),
            *(f'- {note}' for note in all_notes(experiment, results)),
            '',
            markdown(table.columns, table.rows),
        ]
    )
