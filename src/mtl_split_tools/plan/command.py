# SPDX-License-Identifier: Apache-2.0
"""`mtl-split plan`: where to run what, from measured profiles."""

import argparse
import math
from pathlib import Path

from mtl_split_core.errors import DataError
from mtl_split_tools.console import console
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.plan.demand import Demand, Objective
from mtl_split_tools.plan.plot import draw_plan
from mtl_split_tools.plan.profiles import load_profiles, warnings, ways_of
from mtl_split_tools.plan.search import search
from mtl_split_tools.plan.show import plan_document, plan_table, verdict
from mtl_split_tools.plan.units import parse_bandwidth, parse_memory

DESCRIPTION = """From what `mtl-split profile` measured, say where to run what on a given link: Z_b
at which rate, the picture at which quality, or the edge alone; with the Pareto front of accuracy,
latency and bytes, and for all others why they fell out. Several profiles are several bundles,
split points or machines. Exits with 1 where nothing fits."""
EPILOG = """examples:
  mtl-split plan --profile camvid --bandwidth 1M --deadline 100
  mtl-split plan --profile out/a --profile out/b --bandwidth 300k --deadline 150 --memory 200M
  mtl-split plan --profile models/camvid/profile-orin.yaml --bandwidth 10M --objective latency
  mtl-split plan --profile camvid --bandwidth 1M --deadline 150 --edge-factor 4

ms is from picture to answer with 95 of 100 payloads and nothing waiting; edge, link and server are
shares of the time that they are busy. docs/planning.md has the model.
"""

NOTHING_FITS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        '--profile',
        action='append',
        required=True,
        metavar='FILE|BUNDLE',
        help="profile file, or a bundle for this machine's profile of it; may be repeated",
    )
    parser.add_argument(
        '--bandwidth', required=True, metavar='B', help='of the link: 300k, 1M (bit/s)'
    )
    parser.add_argument(
        '--memory', metavar='M', help='most memory of the edge: 200M (bytes; default: any)'
    )
    for name, default, text in (
        ('deadline', math.inf, 'from picture to answer, ms (default: none)'),
        ('fps', 15.0, 'pictures per second (default: %(default)s)'),
        ('rtt', 20.0, 'round trip of an empty message, ms (default: %(default)s)'),
        ('loss', 0.0, 'share of lost packets, 0 to 1 (default: %(default)s)'),
        ('edge-factor', 1.0, 'how much longer the edge takes than profiled (default: %(default)s)'),
        ('server-factor', 1.0, 'the same of the server (default: %(default)s)'),
        ('edge-share', 1.0, 'share of the time that the edge may work (default: %(default)s)'),
        ('min-accuracy', 0.0, 'least mean of the metrics, 0 to 1 (default: %(default)s)'),
    ):
        parser.add_argument(f'--{name}', type=float, default=default, help=text)
    parser.add_argument(
        '--objective',
        choices=[str(objective) for objective in Objective],
        default=str(Objective.ACCURACY),
        help='what the choice is the best in, of all that fit (default: %(default)s)',
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the plan')
    parser.add_argument('--plot', type=Path, metavar='FILE', help='write the picture, a PNG')


def run(options: argparse.Namespace) -> int:
    """Plan and show."""
    demand = _demand(options)
    profiles = load_profiles(options.profile)
    plan, doubts = search(ways_of(profiles), demand), warnings(profiles)
    console.print(plan_table(plan))
    for doubt in doubts:
        console.print(f'warning: {doubt}', highlight=False)
    console.print(verdict(plan), highlight=False)
    if options.json:
        write_json(options.json, plan_document(plan, doubts))
    if options.plot:
        write_bytes(options.plot, draw_plan(plan))
    return 0 if plan.chosen else NOTHING_FITS


def _demand(options: argparse.Namespace) -> Demand:
    for name, least, most in (
        *(('deadline', 1, math.inf), ('fps', 0.1, 1000), ('rtt', 0, 10_000)),
        *(('loss', 0, 0.99), ('min_accuracy', 0, 1), ('edge_share', 0.01, 1)),
        *(('edge_factor', 0.01, 1000), ('server_factor', 0.01, 1000)),
    ):
        value = getattr(options, name)
        if not least <= value <= most:
            msg = f'--{name.replace("_", "-")} {value:g} is not from {least:g} to {most:g}'
            raise DataError(msg)
    return Demand(
        bandwidth_bit_s=parse_bandwidth(options.bandwidth, '--bandwidth'),
        deadline_ms=options.deadline,
        fps=options.fps,
        rtt_ms=options.rtt,
        loss=options.loss,
        edge_factor=options.edge_factor,
        server_factor=options.server_factor,
        edge_share=options.edge_share,
        memory_mb=parse_memory(options.memory, '--memory') if options.memory else None,
        min_accuracy=options.min_accuracy,
        objective=Objective(options.objective),
    )
