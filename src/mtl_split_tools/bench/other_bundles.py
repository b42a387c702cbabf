# SPDX-License-Identifier: Apache-2.0
"""Other bundles as rivals, of any family: `NAME:RATE` goes through the same two nodes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.bundle_schema import TaskType
from mtl_split_core.errors import DataError
from mtl_split_edge.modes import AUTO
from mtl_split_tools.bench.rivals import is_rival
from mtl_split_tools.link_bench.judge import Judge
from mtl_split_tools.link_bench.plan import LOCAL, Cell

_OWN = ('split', 'jpeg', 'webp', LOCAL, AUTO)

Others = Mapping[str, Judge]
"""Bundles by name, each with what knows its truth."""


def load_others(names: Sequence[str], folder: Path) -> dict[str, Judge]:
    """Load what --rival-bundle names.

    Args:
        names: Directories or names.
        folder: Keeps the answers from run to run.

    Raises:
        DataError: Two have one name, a name is that of another transport, or a bundle lacks the
            tasks whose results the bench waits for.
        BundleError: One cannot be loaded.
    """
    found: dict[str, Bundle] = {}
    for path in names:
        bundle = load_bundle(path)
        name = bundle.name
        if name in _OWN or is_rival(name) or name in found:
            msg = f'--rival-bundle {path} is named {name}, as another transport of the bench is'
            raise DataError(msg)
        if not (bundle.task(TaskType.DETECTION) and bundle.classifications):
            msg = (
                f'--rival-bundle {path} has no detection or no classification: the bench waits '
                'for the results of both'
            )
            raise DataError(msg)
        found[name] = bundle
    return {name: Judge(bundle, folder) for name, bundle in found.items()}


def ways_of(others: Others) -> list[str]:
    """Return the ways of all other bundles, rate by rate."""
    return [
        f'{name}:{rate}'
        for name, judge in others.items()
        for rate in range(len(judge.bundle.rates))
    ]


def name_of(way: str, others: Others) -> str:
    """Return the name of the bundle of a way; '' where it is not of another one."""
    name = way.partition(':')[0]
    return name if name in others else ''


def as_split(cell: Cell) -> Cell:
    """Return the cell as the nodes know it that run the other bundle."""
    return Cell(cell.condition, f'split:{cell.way.partition(":")[2]}')


def named(row: dict[str, Any], way: str, others: Others) -> dict[str, Any]:
    """Return the row of a measurement under the name by which the bench knows its way.

    Args:
        row: Of the nodes that run the other bundle.
        way: The name.
        others: All bundles.
    """
    fingerprint = others[name_of(way, others)].bundle.fingerprint
    return {**row, 'transport': way, 'fingerprint': f'{fingerprint:016x}'}


def is_of(row: dict[str, Any], others: Others) -> bool:
    """Tell whether a row that was kept is of the bundles that are there now."""
    name = name_of(row['transport'], others)
    if not name:
        return True
    return bool(row.get('fingerprint') == f'{others[name].bundle.fingerprint:016x}')


def describe(others: Others) -> dict[str, Any]:
    """Return what a summary says of them, and what each answers without a link."""
    return {
        name: {
            'version': str(judge.bundle.version),
            'family': judge.bundle.family,
            'fingerprint': f'{judge.bundle.fingerprint:016x}',
            **judge.metrics([(index, LOCAL) for index in range(judge.pictures)]),
        }
        for name, judge in others.items()
    }
