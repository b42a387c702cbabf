# SPDX-License-Identifier: Apache-2.0
"""The command: options, progress, report, and one kept input again."""

import argparse
import time
from pathlib import Path
from typing import Any

from mtl_split_core.bundle import load_bundle
from mtl_split_core.errors import DataError, MtlSplitError
from mtl_split_tools.console import console, figure, progress_bar, table
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.fuzz.watch import Found, fuzz
from mtl_split_tools.fuzz.worker import (
    FILE_MS,
    IMAGE_MS,
    KINDS,
    NETWORKS_SHARE,
    WIRE_MS,
    Job,
)

DESCRIPTION = f"""Feed damaged input of every kind to the code that reads it in the nodes and
commands, without a graph: feature messages, contracts, link reports, images, profiles, bundles,
recordings. Bit flips, cuts, giant sizes, NaN transforms, wrong shapes, right checksums over
nonsense. A crash is any error but a refusal, also of native code; a hang is a message that takes
more than {WIRE_MS:.0f} ms of CPU time three times in a row (images {IMAGE_MS:.0f} ms, files
{FILE_MS:.0f} ms), or anything that is not through after 30 s. Of the feature messages that pass
every check, the networks run for {NETWORKS_SHARE:.1%} of all messages, as that takes longest.
Writes summary.json, and each input that failed into failures/."""
EPILOG = """examples:
  mtl-split fuzz
  mtl-split fuzz --messages 20000 --seed 7
  mtl-split fuzz --replay out/fuzz/failures/features-7-1234.bin

In summary.json, messages, slowest_ms and rss_growth_mb speak of the feature messages, crashes and
hangs of all input; targets has the figures of each kind. slowest_ms is CPU time. rss_growth_mb is
the peak of the memory in use less what was in use after the first tenth of the messages; what the
allocator holds without use is given back before each measurement. rss_mb has all measurements.
"""
LEAST_INPUTS = 20
"""Of each kind, however few messages there are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument(
        '--messages',
        type=int,
        default=1_000_000,
        help='feature messages; the other kinds in proportion (default: %(default)s)',
    )
    parser.add_argument('--seed', type=int, default=1, help='of all input (default: 1)')
    parser.add_argument(
        '--replay', type=Path, metavar='FILE', help='feed one kept input, here, and say more'
    )
    parser.add_argument('--out', type=Path, default=Path('out/fuzz'), help='default: %(default)s')


def run(options: argparse.Namespace) -> int:
    """Fuzz and report.

    Returns:
        0, or 1 where an input crashed or hung.
    """
    for name, least in (('messages', 1), ('seed', 0)):
        if (value := getattr(options, name)) < least:
            msg = f'--{name} {value} is not at least {least}'
            raise DataError(msg)
    if options.replay:
        return _replay(options)
    bundle = load_bundle(options.bundle)
    plan = tuple(
        (name, max(LEAST_INPUTS, round(kind.share * options.messages)))
        if name != 'features'
        else (name, options.messages)
        for name, kind in KINDS.items()
    )
    job = Job(bundle.path, options.seed, plan)
    began = time.monotonic()
    with progress_bar() as progress:
        task = progress.add_task('fuzzing', total=sum(count for _, count in plan))
        found = fuzz(
            job,
            lambda done, kind: progress.update(
                task, completed=done, description=f'fuzzing {kind}'.strip()
            ),
        )
    summary = found.document(job, time.monotonic() - began)
    _write(options.out, found, summary, options.seed)
    _show(found, summary, options.out)
    return 1 if found.failures else 0


def _write(out: Path, found: Found, summary: dict[str, Any], seed: int) -> None:
    entries = []
    for failure in found.failures:
        name = f'{failure.kind}-{seed}-{failure.number}.bin'
        write_bytes(out / 'failures' / name, failure.data)
        entries.append({'problem': failure.problem, 'file': name, 'text': failure.text})
    write_json(out / 'failures.json', {'seed': seed, 'failures': entries})
    write_json(out / 'summary.json', summary)


def _show(found: Found, summary: dict[str, Any], out: Path) -> None:
    columns = ('inputs', 'crashes', 'hangs', 'slowest_ms', 'rss_growth_mb')
    rows = [
        (name, *(_cell(target[column]) for column in columns))
        for name, target in summary['targets'].items()
    ]
    title = f'{summary["messages"]} feature messages, {summary["networks_ran"]} into the networks'
    console.print(table(title, ('', *columns), rows))
    outcomes = [
        (name, ended, count)
        for name, target in summary['targets'].items()
        for ended, count in target['outcomes'].items()
    ]
    console.print(table('how they ended', ('', '', 'inputs'), outcomes))
    for failure in found.failures[:10]:
        name = out / 'failures' / f'{failure.kind}-{summary["seed"]}-{failure.number}.bin'
        again = f'mtl-split fuzz --replay {name}'
        console.print(f'{failure.problem}: {failure.text}; again: {again}', markup=False)


def _cell(value: float) -> object:
    return figure(value, 1) if isinstance(value, float) else value


def _replay(options: argparse.Namespace) -> int:
    name = options.replay.name.partition('-')[0]
    if name not in KINDS:
        msg = f'{options.replay}: its name has to begin with one of {", ".join(KINDS)}'
        raise DataError(msg)
    data = options.replay.read_bytes()
    target = KINDS[name].build(load_bundle(options.bundle))
    wall, cpu = time.perf_counter(), time.thread_time()
    try:
        ended = target.feed(data)
    except MtlSplitError as error:
        ended = f'refused: {error}'
    cpu, wall = (time.thread_time() - cpu) * 1e3, (time.perf_counter() - wall) * 1e3
    console.print(f'{ended[:2000]} ({cpu:.1f} ms of CPU time, {wall:.1f} ms)', markup=False)
    return 0
