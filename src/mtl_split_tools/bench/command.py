# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench`: the split beside raw images, JPEG, WebP, video and floats, over five links."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import DataError
from mtl_split_edge.modes import AUTO
from mtl_split_tools.bench.buffers import large_buffers
from mtl_split_tools.bench.other_bundles import (
    Others,
    as_split,
    describe,
    is_of,
    load_others,
    named,
    ways_of,
)
from mtl_split_tools.bench.plan import (
    LINKS,
    UNLIMITED,
    Turn,
    by_session,
    check_ways,
    make_condition,
    make_turns,
    make_ways,
)
from mtl_split_tools.bench.record import (
    Cells,
    describe_machine,
    describe_settings,
    frame_line,
    middle,
)
from mtl_split_tools.bench.rivals import is_rival
from mtl_split_tools.bench.session import RivalSession, estimate_s
from mtl_split_tools.bench_report.command import add_document, check_document, write_report
from mtl_split_tools.bench_report.reading import make_run
from mtl_split_tools.console import console, progress_bar
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.lab import why_not
from mtl_split_tools.link_bench.command import profile_of_this_machine
from mtl_split_tools.link_bench.frames import Measured
from mtl_split_tools.link_bench.judge import Judge
from mtl_split_tools.link_bench.plan import LOCAL
from mtl_split_tools.link_bench.rows import make_row
from mtl_split_tools.link_bench.session import Session
from mtl_split_tools.link_bench.tables import comma_separated, markdown, row_table

DESCRIPTION = """Measure the split at each rate and mode auto beside what people use instead: raw
images, JPEG, WebP, H.264, H.265, Z_b as floats, and everything on the edge. All of them run through
the same weights, the same DDS and the same deadline, between two network namespaces with a link of
unlimited, 20, 5, 1 and 0.3 Mbit/s; on the loopback device where there are no rights to namespaces.
What was measured before a run was stopped is not measured again. Stop what else runs here first."""
EPILOG = """examples:
  mtl-split bench
  mtl-split bench --repeats 3 --doc docs/performance.md
  mtl-split bench --ways jpeg:50,h264:33,split:3,auto --links 5,1 --fresh
  mtl-split bench --rival-bundle models/other --ways split:3,other:3

A whole run takes about 20 minutes for each repeat; of several, all are measured once before any is
measured again, and medians stand with the least and the most. A rival bundle's ways are NAME:RATE,
by its name in bundle.yaml. A time is from the publishing of an image to the arrival of boxes and
class at a consumer on the camera's side. Streaming accuracy judges at the deadline of each image
what the consumer has then, be it an older answer. All processes ask for socket buffers of 4 MB, or
raw images and floats are sent twice; a profile of your own for Fast DDS
(FASTRTPS_DEFAULT_PROFILES_FILE) is used instead.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument(
        '--rival-bundle',
        action='append',
        default=[],
        metavar='DIR',
        help='another bundle, of any family, through the same two nodes; may be repeated',
    )
    parser.add_argument('--ways', type=_words, metavar='A,B', help='only these (default: all)')
    parser.add_argument(
        '--links', type=_words, metavar='A,B', help=f'Mbit/s (default: {",".join(LINKS)})'
    )
    parser.add_argument('--repeats', type=int, default=1, help='rounds (default: %(default)d)')
    parser.add_argument(
        '--laps', type=int, default=1, help='rounds of the clip a measurement (default: 1)'
    )
    parser.add_argument(
        '--deadline', type=float, default=150.0, metavar='MS', help='default: %(default)g'
    )
    parser.add_argument(
        '--fresh', action='store_true', help='measure again what was measured before'
    )
    parser.add_argument('--out', type=Path, default=Path('out/bench'), help='default: %(default)s')
    add_document(parser)


def run(options: argparse.Namespace) -> int:
    """Measure and report."""
    for name in ('repeats', 'laps'):
        if not 1 <= (value := getattr(options, name)) <= 100:
            msg = f'--{name} {value} is not from 1 to 100'
            raise DataError(msg)
    if not 1 <= options.deadline <= 10_000:
        msg = f'--deadline {options.deadline:g} is not from 1 to 10000'
        raise DataError(msg)
    check_document(options.doc)
    bundle = load_bundle(options.bundle)
    others = load_others(options.rival_bundle, options.out / 'answers')
    ways = options.ways or [*make_ways(bundle), *ways_of(others)]
    check_ways(ways, bundle, others)
    names = options.links or LINKS
    links = list(dict.fromkeys(make_condition(name).name for name in names))
    if reason := why_not():
        if options.links and links != [UNLIMITED]:
            msg = f'no link of {",".join(options.links)} Mbit/s here: {reason}'
            raise DataError(msg)
        links = [UNLIMITED]
        console.print(f'on the loopback device only: {reason}', highlight=False)
    turns = make_turns(ways, links, options.repeats)
    if AUTO in ways:
        profile_of_this_machine(bundle)
    judge = Judge(bundle, options.out / 'answers')
    images = judge.pictures * options.laps
    settings = describe_settings(bundle, options.deadline, images, loopback=bool(reason))
    cells = Cells(options.out / 'cells', settings)
    known = {turn: cells.read(turn) for turn in ([] if options.fresh else turns)}
    rows = {t: row for t, row in known.items() if row and is_of(row, others)}

    def finished(turn: Turn, row: dict[str, Any]) -> None:
        rows[turn] = row
        cells.write(turn, row)

    left = [turn for turn in turns if turn not in rows]
    minutes = max(1, round(estimate_s(left, images, others) / 60)) if left else 0
    text = f'{len(left)} of {len(turns)} measurements to make, about {minutes} min'
    console.print(text, highlight=False)
    measure(
        left,
        bundle,
        judge,
        options.out / 'nodes',
        options.deadline / 1e3,
        images,
        finished,
        loopback=bool(reason),
        environment=large_buffers(options.out / 'nodes'),
        others=others,
    )
    ordered = [rows[turn] for turn in turns]
    summary = summarise(ordered, ways, links, settings)
    summary['uncompressed'] = judge.metrics([(index, LOCAL) for index in range(judge.pictures)])
    if others:
        summary['rival_bundles'] = describe(others)
    write_bytes(options.out / 'rows.csv', comma_separated(summary['rows']).encode())
    write_bytes(options.out / 'table.md', markdown(summary['rows']).encode())
    write_json(options.out / 'summary.json', summary)
    console.print(row_table(f'{settings["bundle"]}, {options.deadline:g} ms', summary['rows']))
    text = f'{options.out}: summary.json, rows.csv and table.md are written'
    console.print(text, highlight=False)
    write_report(options.out, make_run(summary, ordered), bundle, options.doc)
    return 0


def measure(
    turns: Sequence[Turn],
    bundle: Bundle,
    judge: Judge,
    folder: Path,
    deadline_s: float,
    images: int,
    finished: Callable[[Turn, dict[str, Any]], object],
    *,
    loopback: bool,
    environment: Mapping[str, str] | None = None,
    others: Others | None = None,
) -> None:
    """Measure one after another, and judge each before the next.

    Args:
        turns: What to measure.
        bundle: What the nodes run.
        judge: Knows the truth.
        folder: Gets logs and reports.
        deadline_s: Time of an image, seconds.
        images: How many count in each.
        finished: Called with each row.
        loopback: Without namespaces.
        environment: Added to that of the processes.
        others: Other bundles, for the ways that bear their names.
    """
    others = others or {}
    with progress_bar() as progress:
        task = progress.add_task('measuring', total=len(turns))
        for rival, group in by_session(turns, others):
            knows = others.get(rival, judge)
            where = bundle if knows is judge else knows.bundle, folder, deadline_s
            session = (
                RivalSession(rival, *where, loopback=loopback, environment=environment)
                if is_rival(rival)
                else Session(*where, loopback=loopback, environment=environment)
            )
            with session:
                for turn in group:
                    text = f'{turn.cell.way} over {turn.cell.condition.name}'
                    progress.update(task, description=text)
                    cell = turn.cell if knows is judge else as_split(turn.cell)
                    one = session.measure(cell, images)
                    if isinstance(session, RivalSession):
                        _learn(session, one, judge)
                    row = bench_row(turn, one, knows, deadline_s)
                    finished(turn, row if knows is judge else named(row, turn.cell.way, others))
                    progress.advance(task)


def bench_row(turn: Turn, one: Measured, judge: Judge, deadline_s: float) -> dict[str, Any]:
    """Return the figures of a measurement, and its images, see the module `record`."""
    sent = [frame.bytes for frame in one.frames if frame.bytes]
    return {
        **make_row(one, judge, deadline_s),
        # the loopback device is not counted
        'bytes_wire': one.bytes_up / len(one.frames) or None,
        'bytes_wire_back': one.bytes_down / len(one.frames) or None,
        'bytes_sent': {
            'mean': float(np.mean(sent)) if sent else None,
            'p95': float(np.percentile(sent, 95)) if sent else None,
        },
        'edge_cpu_s': one.edge_cpu_s,
        'server_cpu_s': one.server_cpu_s,
        'repeat': turn.repeat,
        'images': [frame_line(frame) for frame in one.frames],
    }


def summarise(
    rows: Sequence[dict[str, Any]],
    ways: Sequence[str],
    links: Sequence[str],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Return medians by link and way."""
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault((row['link'], row['transport']), []).append(row)
    names = list(dict.fromkeys(row['link'] for row in rows))
    ordered = [grouped[link, way] for link in names for way in ways if (link, way) in grouped]
    return {
        'machine': describe_machine(),
        'settings': settings,
        'links': list(links),
        'rows': [middle(group) for group in ordered],
    }


def _learn(session: RivalSession, one: Measured, judge: Judge) -> None:
    answered = {f.way: f.index for f in (*one.before, *one.frames) if '@' in f.way}
    judge.results.forget()
    for way, picture in session.pictures():
        if way in answered:
            judge.results.learn((answered[way], way), judge.results.see(picture))


def _words(text: str) -> list[str]:
    if not (words := list(dict.fromkeys(word for word in text.split(',') if word))):
        msg = f'{text!r} names nothing'
        raise argparse.ArgumentTypeError(msg)
    return words
