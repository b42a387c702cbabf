# SPDX-License-Identifier: Apache-2.0
"""`mtl-split soak`: mode auto for half an hour, with a fault every twenty seconds."""

import argparse
import os
import platform
from pathlib import Path
from typing import Any

from mtl_split_core.bundle import load_bundle
from mtl_split_core.errors import DataError
from mtl_split_tools.console import console, figure, progress_bar, table
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.link_bench.command import profile_of_this_machine
from mtl_split_tools.soak.drive import drive
from mtl_split_tools.soak.faults import schedule
from mtl_split_tools.soak.plot import draw
from mtl_split_tools.soak.summary import summarise

DESCRIPTION = """Run the real nodes in two network namespaces in mode auto, the shipped clip at
15 Hz over 10 Mbit/s, and let something fail every 20 seconds: the server is killed or stalled, the
link is cut, slow or loses packets, the camera stops or changes its size. Writes summary.json and
soak.png. Needs root or user namespaces; stop what else runs here first."""
EPILOG = """examples:
  mtl-split soak
  mtl-split soak --minutes 10 --seed 7
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument('--minutes', type=float, default=30.0, help='default: %(default)g')
    parser.add_argument('--seed', type=int, default=1, help='of the faults (default: 1)')
    parser.add_argument(
        '--deadline', type=float, default=150.0, metavar='MS', help='default: %(default)g'
    )
    parser.add_argument('--out', type=Path, default=Path('out/soak'), help='default: %(default)s')


def run(options: argparse.Namespace) -> int:
    """Drive and report.

    Returns:
        0, or 1 where the edge died or the stream had answers twice or in disorder.
    """
    if not 0.2 <= options.minutes <= 24 * 60:
        msg = f'--minutes {options.minutes:g} is not from 0.2 to 1440'
        raise DataError(msg)
    if not 1 <= options.deadline <= 10_000:
        msg = f'--deadline {options.deadline:g} is not from 1 to 10000'
        raise DataError(msg)
    bundle = load_bundle(options.bundle)
    profile_of_this_machine(bundle)
    seconds, deadline_s = options.minutes * 60, options.deadline / 1e3
    faults = schedule(options.seed, seconds)
    with progress_bar() as progress:
        task = progress.add_task('starting', total=round(seconds))

        def on_sample(at: float, doing: str) -> None:
            progress.update(task, completed=round(at), description=doing)

        driven = drive(bundle, options.out / 'nodes', seconds, faults, deadline_s, on_sample)
    machine = f'{platform.machine()}, {len(os.sched_getaffinity(0))} cores'
    summary = {
        'machine': machine,
        'bundle': bundle.name,
        'seed': options.seed,
        'deadline_ms': options.deadline,
        **summarise(driven, faults, seconds, deadline_s),
    }
    write_json(options.out / 'summary.json', summary)
    title = f'mode auto, 15 Hz, {bundle.name} on {machine}, seed {options.seed}'
    picture = draw(driven, faults, seconds, deadline_s, title)
    write_bytes(options.out / 'soak.png', picture)
    _print(summary)
    console.print(f'{options.out}: summary.json and soak.png are written', highlight=False)
    return 0 if driven.edge_alive and not (driven.duplicates or driven.out_of_order) else 1


def _print(summary: dict[str, Any]) -> None:
    rows = [
        (
            f'{fault["at"]:.0f}',
            fault['text'],
            f'{fault["seconds"]:.1f}',
            '-' if fault['in_time'] is None else f'{fault["in_time"]:.1%}',
            figure(fault['gap_ms'], 0),
            figure(fault['return_ms'], 0),
        )
        for fault in summary['faults']
    ]
    columns = ('at s', 'fault', 'for s', 'in time', 'longest gap ms', 'server back after ms')
    console.print(table('each with the 5 s behind it', columns, rows))
    delays = summary['end_to_end_ms']
    shown = [
        ('answered', f'{summary["answered"]} of {summary["frames"]} images'),
        *(
            (text, '-' if summary[key] is None else f'{summary[key]:.2%}')
            for text, key in (
                ('in time', 'in_time'),
                ('in time away from faults', 'in_time_without_fault'),
                ('answered by the edge', 'by_edge'),
            )
        ),
        ('p50, p95, p99', ', '.join(figure(value, 0) for value in delays.values()) + ' ms'),
        ('twice, in disorder', f'{summary["duplicates"]}, {summary["out_of_order"]}'),
        ('the edge', 'is alive' if summary['edge_alive'] else 'DIED'),
        ('its memory grew by', f'{figure(summary["edge_rss_growth_mb"], 1)} MB'),
    ]
    console.print(table(f'{summary["minutes"]:g} minutes', ('', ''), shown))
