# SPDX-License-Identifier: Apache-2.0
"""`mtl-split experiment`: what the papers claim, measured by our own code."""

import argparse
from pathlib import Path

from mtl_split_core.errors import DataError
from mtl_split_tools.console import console, table
from mtl_split_tools.experiments.frame import Cell, Size, run_cells, write_results
from mtl_split_tools.experiments.registry import EXPERIMENTS, make_experiment

DESCRIPTION = """Run an experiment and write results.json, table.md and plots/. Stopped and started
again, it goes on where it was: what a cell gave is kept in cells/ and taken where its settings are
the same; remove the folder to measure anew."""
EPILOG = """examples:
  mtl-split experiment where-to-split
  mtl-split experiment where-to-split --size smoke --data data/camvid/val

experiments:
""" + ''.join(f'  {name:<18}{text}\n' for name, (_, text) in EXPERIMENTS.items())

_MOST_SEED = 2**32 - 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('name', metavar='NAME', help='one of those below')
    parser.add_argument(
        '--size',
        choices=[str(size) for size in Size],
        default=str(Size.SMALL),
        help='how much is measured (default: %(default)s)',
    )
    parser.add_argument('--seed', type=int, default=0, help='default: %(default)s')
    parser.add_argument(
        '--data', metavar='DIR', help='data folder with the frames (default: the shipped clip)'
    )
    parser.add_argument('--out', type=Path, metavar='DIR', help='default: out/experiments/NAME')


def run(options: argparse.Namespace) -> int:
    """Run one experiment."""
    if not 0 <= options.seed <= _MOST_SEED:
        msg = f'--seed {options.seed} is not from 0 to {_MOST_SEED}'
        raise DataError(msg)
    size = Size(options.size)
    experiment = make_experiment(options.name, size, options.seed, options.data)
    out = options.out or Path('out/experiments') / options.name

    def say(cell: Cell, kept: bool) -> None:
        console.print(f'{cell.key}: {"kept from before" if kept else "measured"}', highlight=False)

    results = run_cells(experiment, out, say)
    write_results(options.name, size, experiment, results, out)
    shown = experiment.table(results)
    console.print(table(f'{options.name}, size {size}', shown.columns, shown.rows))
    for note in experiment.notes:
        console.print(f'note: {note}', highlight=False)
    console.print(f'{out}/results.json, table.md and plots/ are written', highlight=False)
    return 0
