# SPDX-License-Identifier: Apache-2.0
"""`mtl-split experiment`: what the papers claim, measured by our own code."""

import argparse
from pathlib import Path

from mtl_split_core.errors import DataError
from mtl_split_tools.console import console, table
from mtl_split_tools.experiments.claims import Judges
from mtl_split_tools.experiments.frame import (
    Cell,
    Size,
    all_notes,
    read_cells,
    run_cells,
    show,
    write_results,
)
from mtl_split_tools.experiments.registry import EXPERIMENTS, make_experiment
from mtl_split_tools.files import write_bytes
from mtl_split_tools.marked import fill

DESCRIPTION = """Run an experiment and write results.json, table.md and plots/. Stopped and started
again, it goes on where it was: what a cell gave is kept in cells/ and taken where its settings are
the same; remove the folder to measure anew."""
EPILOG = """examples:
  mtl-split experiment where-to-split
  mtl-split experiment where-to-split --size smoke --data data/camvid/val
  mtl-split experiment rate-accuracy --bundle out/mine --data data/camvid/val
  mtl-split experiment comparisons --data data/camvid

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
        '--data',
        metavar='DIR',
        help='folder with the frames (default: the shipped clip); where NAME trains, the one above '
        'train/ and val/ (default: data/camvid)',
    )
    parser.add_argument(
        '--bundle',
        action='append',
        default=[],
        metavar='B',
        help='measure this bundle, too, where NAME measures bundles; may be given again',
    )
    parser.add_argument('--out', type=Path, metavar='DIR', help='default: out/experiments/NAME')
    parser.add_argument(
        '--so-far',
        action='store_true',
        help='measure nothing, report what is kept of a run that was stopped or is still going',
    )
    parser.add_argument(
        '--doc',
        type=Path,
        metavar='FILE',
        help='fill the part `experiment NAME: results` of this document and put the pictures into '
        'the folder of its name beside it',
    )


def run(options: argparse.Namespace) -> int:
    """Run one experiment."""
    if not 0 <= options.seed <= _MOST_SEED:
        msg = f'--seed {options.seed} is not from 0 to {_MOST_SEED}'
        raise DataError(msg)
    size = Size(options.size)
    experiment = make_experiment(options.name, size, options.seed, options.data, options.bundle)
    if options.doc:
        _filled(options.doc, options.name, '')  # fails now, not after the work
    out = options.out or Path('out/experiments') / options.name

    def say(cell: Cell, kept: bool) -> None:
        console.print(f'{cell.key}: {"kept from before" if kept else "measured"}', highlight=False)

    results = read_cells(experiment, out) if options.so_far else run_cells(experiment, out, say)
    write_results(options.name, size, experiment, results, out)
    shown = experiment.table(results)
    console.print(table(f'{options.name}, size {size}', shown.columns, shown.rows))
    for claim in experiment.claims(results) if isinstance(experiment, Judges) else ():
        console.print(
            f'{claim.paper}, {claim.claim}: {claim.verdict} ({claim.ours})', highlight=False
        )
    for note in all_notes(experiment, results):
        console.print(f'note: {note}', highlight=False)
    console.print(f'{out}/results.json, table.md and plots/ are written', highlight=False)
    if options.doc:
        text = _filled(options.doc, options.name, show(experiment, results))
        write_bytes(options.doc, text.encode())
        for name, data in experiment.plots(results).items():
            write_bytes(options.doc.with_suffix('') / f'{name}.png', data)
        console.print(f'{options.doc} and its pictures are filled', highlight=False)
    return 0


def _filled(document: Path, name: str, part: str) -> str:
    if not document.is_file():
        msg = f'--doc {document} does not exist; give a document with `experiment {name}: results`'
        raise DataError(msg)
    return fill(document.read_text(), f'experiment {name}', {'results': part})
