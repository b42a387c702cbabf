# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench-link`: what arrives in time over which link, transport by transport."""

import argparse
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import TaskID

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import BundleError, DataError
from mtl_split_core.profile import Profile, load_profile
from mtl_split_edge.modes import AUTO
from mtl_split_tools import profile as profile_command
from mtl_split_tools.console import console, progress_bar
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.link_bench.frames import Measured
from mtl_split_tools.link_bench.judge import Judge
from mtl_split_tools.link_bench.plan import LOCAL, Cell, make_plan
from mtl_split_tools.link_bench.plot import draw_delays, draw_links, draw_trace
from mtl_split_tools.link_bench.rows import (
    compare_traces,
    judge_goals,
    judge_trace,
    link_figures,
    make_row,
)
from mtl_split_tools.link_bench.session import Session
from mtl_split_tools.link_bench.tables import comma_separated, markdown, row_table
from mtl_split_tools.simulation.trace import Trace, read_trace

DESCRIPTION = """Run the real nodes in two network namespaces with a link of 10, 1 and 0.3 Mbit/s
between them, and cut it: camera and consumer on one side, the server on the other, the shipped clip
at 15 Hz. Each transport is measured over each link, and mode auto beside fixed ways over a trace. A
time is from the publishing of an image to the arrival of boxes and class at the consumer, there and
back. Needs root or user namespaces; stop what else runs here first."""
EPILOG = """examples:
  mtl-split bench-link
  mtl-split bench-link --quick
  mtl-split bench-link --laps 3 --trace steps --trace tunnel

The first images after each change of link or transport do not count. Accuracy is that of what was
answered in time, by the bytes that were sent: results depend on picture and transport alone.
"""
DEFAULT_TRACE = 'steps'
_THREADS = ('--edge-threads', '1', '--server-threads', '2')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument(
        '--quick', action='store_true', help='two minutes: mode auto, one rate and JPEG, no trace'
    )
    parser.add_argument(
        '--laps', type=int, default=1, help='rounds of the clip a measurement (default: 1)'
    )
    parser.add_argument(
        '--deadline', type=float, default=150.0, metavar='MS', help='default: %(default)g'
    )
    parser.add_argument(
        '--trace',
        action='append',
        metavar='FILE',
        help=f'file or shipped name, may be repeated (default: {DEFAULT_TRACE}, not with --quick)',
    )
    parser.add_argument(
        '--out', type=Path, default=Path('out/bench-link'), help='default: %(default)s'
    )


def run(options: argparse.Namespace) -> int:
    """Measure and report."""
    if not 1 <= options.laps <= 100:
        msg = f'--laps {options.laps} is not from 1 to 100'
        raise DataError(msg)
    if not 1 <= options.deadline <= 10_000:
        msg = f'--deadline {options.deadline:g} is not from 1 to 10000'
        raise DataError(msg)
    bundle = load_bundle(options.bundle)
    names = options.trace or ([] if options.quick else [DEFAULT_TRACE])
    traces = [read_trace(name) for name in names]
    profile = profile_of_this_machine(bundle)
    judge = Judge(bundle, options.out / 'answers')
    plan = make_plan(bundle, quick=options.quick)
    fixed = [f'split:{rate}' for rate in dict.fromkeys((bundle.default_rate, 0))]
    measured, played = _measure(
        bundle, plan, [(trace, [AUTO, *fixed]) for trace in traces], judge.pictures, options
    )
    _prepare(judge, [*measured, *(one for ones in played.values() for one in ones)])
    deadline_s = options.deadline / 1e3
    rows = [
        {**make_row(one, judge, deadline_s), **link_figures(cell.condition, one, deadline_s)}
        for cell, one in zip(plan, measured, strict=True)
    ]
    uncompressed = judge.metrics([(index, LOCAL) for index in range(judge.pictures)])
    summary: dict[str, Any] = {
        'machine': f'{platform.machine()}, {len(os.sched_getaffinity(0))} cores',
        'bundle': bundle.name,
        'fingerprint': f'{bundle.fingerprint:016x}',
        'profile': profile.machine,
        'deadline_ms': options.deadline,
        'images_per_row': judge.pictures * options.laps,
        'uncompressed': uncompressed,
        'goals': judge_goals(rows, uncompressed),
        'rows': rows,
        'traces': {},
    }
    for trace in traces:
        ones = played[trace.name]
        figures = [make_row(one, judge, deadline_s) for one in ones]
        compared = compare_traces(figures)
        summary['traces'][trace.name] = {'rows': figures, 'compared': compared}
        if compared:
            summary['goals'].append(judge_trace(trace.name, compared))
        by_way = {row['transport']: row for row in figures}
        picture = draw_trace(trace, ones, by_way, deadline_s)
        write_bytes(options.out / f'trace_{trace.name}.png', picture)
    title = f'{bundle.name} on {summary["machine"]}, 15 Hz, there and back'
    write_bytes(options.out / 'in_time.png', draw_links(rows, deadline_s, title))
    write_bytes(options.out / 'delays.png', draw_delays(measured, deadline_s, title))
    write_bytes(options.out / 'rows.csv', comma_separated(rows).encode())
    write_bytes(options.out / 'table.md', markdown(rows).encode())
    write_json(options.out / 'summary.json', summary)
    _print(summary, options.out)
    return 0


def profile_of_this_machine(bundle: Bundle) -> Profile:
    """Return what mode auto chooses by; measures it first if it is missing or of another bundle."""
    try:
        return load_profile(bundle)
    except BundleError as error:
        console.print(f'{error}\nmeasuring it now', highlight=False)
    parser = argparse.ArgumentParser()
    profile_command.add_arguments(parser)
    profile_command.run(parser.parse_args(['--bundle', str(bundle.path), *_THREADS]))
    return load_profile(bundle)


def _measure(
    bundle: Bundle,
    plan: Sequence[Cell],
    drives: Sequence[tuple[Trace, Sequence[str]]],
    pictures: int,
    options: argparse.Namespace,
) -> tuple[list[Measured], dict[str, list[Measured]]]:
    measured: list[Measured] = []
    played: dict[str, list[Measured]] = {}
    with (
        Session(bundle, options.out / 'nodes', options.deadline / 1e3) as session,
        progress_bar() as progress,
    ):
        task = progress.add_task('measuring', total=len(plan))
        for cell in plan:
            progress.update(task, description=f'{cell.way} over {cell.condition.name}')
            measured.append(session.measure(cell, pictures * options.laps))
            progress.advance(task)
        for trace, ways in drives:
            played[trace.name] = []
            for way in ways:
                task = progress.add_task(f'{way} over {trace.name}', total=round(trace.seconds))

                def on_second(at: float, task: TaskID = task) -> None:
                    progress.update(task, completed=round(at))

                played[trace.name].append(session.play(trace, way, on_second))
    return measured, played


def _prepare(judge: Judge, measured: Sequence[Measured]) -> None:
    frames = [frame for one in measured for frame in (*one.before, *one.frames)]
    ways = sorted({LOCAL, *(frame.way for frame in frames if frame.way)})
    with progress_bar() as progress:
        task = progress.add_task('accuracy', total=len(ways))
        judge.prepare(ways, lambda: progress.advance(task))


def _print(summary: dict[str, Any], out: Path) -> None:
    title = f'{summary["bundle"]}, deadline {summary["deadline_ms"]:g} ms'
    console.print(row_table(title, summary['rows']))
    for name, found in summary['traces'].items():
        console.print(row_table(f'trace {name}', found['rows']))
    for goal in summary['goals']:
        console.print(f'{"met" if goal["met"] else "MISSED"}: {goal["text"]}', highlight=False)
    console.print(f'{out}: summary.json, rows.csv, table.md and PNGs are written', highlight=False)
