# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench-quick`: has the way of a frame got heavier since the baseline was made?"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.backend import BackendOptions, Network, load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_tools.bench.command import measure
from mtl_split_tools.bench.plan import UNLIMITED, Turn, make_turns
from mtl_split_tools.bench.record import describe_machine
from mtl_split_tools.bench_report.guard import (
    LOCAL,
    PICTURE,
    RAW,
    WORST,
    Bare,
    Comparison,
    compare,
    make_ratios,
    read_baseline,
    write_baseline,
)
from mtl_split_tools.console import console, figure, table
from mtl_split_tools.files import write_json
from mtl_split_tools.link_bench.judge import Judge

DESCRIPTION = f"""Measure four transports over loopback, set ratios between them beside the
baseline that ships, and exit with 1 where one got worse by more than {WORST - 1:.0%}. Needs no
rights and less than three minutes. No absolute time is compared, so a slow machine does not matter,
and a busy one hardly."""
EPILOG = """examples:
  mtl-split bench-quick
  mtl-split bench-quick --update      after a change that is meant to move a ratio
"""
BASELINE = Path('config/bench_baseline.json')
IMAGES = 75
_DEADLINE_S = 1.0  # nothing is to be dropped for being late
_RUNS = 40
_EDGE_THREADS, _SERVER_THREADS = 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument(
        '--baseline', type=Path, default=BASELINE, metavar='FILE', help='default: %(default)s'
    )
    parser.add_argument('--update', action='store_true', help='make this run the baseline')
    parser.add_argument(
        '--out', type=Path, default=Path('out/bench-quick'), help='default: %(default)s'
    )


def run(options: argparse.Namespace) -> int:
    """Measure and compare.

    Returns:
        1 where a ratio got worse by more than half.
    """
    baseline = None if options.update else read_baseline(options.baseline)
    bundle = load_bundle(options.bundle)
    ratios = _measure(bundle, options.out)
    write_json(options.out / 'ratios.json', {'machine': describe_machine(), 'ratios': ratios})
    if baseline is None:
        write_baseline(options.baseline, ratios, describe_machine())
        console.print(f'{options.baseline}: this run is the baseline', highlight=False)
        baseline = ratios
    return report(compare(ratios, baseline))


def report(comparisons: list[Comparison]) -> int:
    """Print ratios side by side and name those that got worse.

    Returns:
        The exit status: 1 if there are any.
    """
    rows = [
        (one.name, figure(one.now), figure(one.baseline), figure(one.change, 2),
         'WORSE' if one.worse else '')
        for one in comparisons
    ]  # fmt: skip
    columns = ('ratio', 'now', 'baseline', 'now/baseline', '')
    console.print(table('ratios within one run; less is better', columns, rows))
    worse = [one for one in comparisons if one.worse]
    for one in worse:
        console.print(f'bench-quick: WORSE {one}; at most {WORST:g} is allowed', highlight=False)
    return 1 if worse else 0


def _measure(bundle: Bundle, out: Path) -> dict[str, float]:
    judge = Judge(bundle, out / 'answers')
    split = f'split:{bundle.default_rate}'
    rows: dict[str, dict[str, Any]] = {}

    def finished(turn: Turn, row: dict[str, Any]) -> None:
        rows[turn.cell.way] = row

    measure(
        make_turns((split, PICTURE, LOCAL, RAW), (UNLIMITED,), 1),
        bundle,
        judge,
        out / 'nodes',
        _DEADLINE_S,
        IMAGES,
        finished,
        loopback=True,
    )
    return make_ratios(rows, split, measure_bare(bundle))


def measure_bare(bundle: Bundle) -> Bare:
    """Run both networks alone, with as many threads as the nodes give them."""
    encoder = load_network(bundle.encoder_path, options=BackendOptions(_EDGE_THREADS))
    tail = load_network(bundle.tail_path, options=BackendOptions(_SERVER_THREADS))
    image = np.zeros((1, 3, bundle.input.height, bundle.input.width), np.float32)
    (z,) = encoder.run({'image': image}).values()
    return Bare(_cpu_ms(encoder, {'image': image}), _cpu_ms(tail, {'z_b': z}))


def _cpu_ms(network: Network, inputs: dict[str, NDArray[np.float32]]) -> float:
    for _ in range(3):
        network.run(inputs)
    begin = time.process_time()
    for _ in range(_RUNS):
        network.run(inputs)
    return (time.process_time() - begin) / _RUNS * 1e3
