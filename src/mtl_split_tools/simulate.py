# SPDX-License-Identifier: Apache-2.0
"""`mtl-split simulate`: the policy on bandwidth traces, beside fixed rates and an oracle."""

import argparse
import math
from pathlib import Path
from typing import Any

from mtl_split_core.bundle import load_bundle
from mtl_split_core.errors import DataError
from mtl_split_core.profile import load_profile
from mtl_split_edge.decision import PolicySettings
from mtl_split_tools.console import console, figure, progress_bar, table
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.simulation.plot import draw
from mtl_split_tools.simulation.runs import AUTO, ORACLE, Run, compare, drive_all, pool
from mtl_split_tools.simulation.trace import read_trace, shipped_traces
from mtl_split_tools.simulation.world import World

DESCRIPTION = """Play bandwidth traces through the policy that the edge runs in mode auto, with the
times, sizes and accuracies of a profile (see `mtl-split profile`), and set it beside each fixed
rate, each picture quality, and an oracle that knows the trace. Writes summary.json and one PNG per
trace. A trace has lines of seconds and Mbit/s, or is one of Mahimahi's."""
EPILOG = """examples:
  mtl-split simulate
  mtl-split simulate --trace tunnel --deadline 100
  mtl-split simulate --trace my_drive.up --bundle models/camvid --loss 0.01

score is the accuracy per camera frame, missed ones as 0; accuracy that of the answers in time.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        '--trace',
        action='append',
        metavar='FILE',
        help='file or shipped name, may be repeated (default: all shipped)',
    )
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument(
        '--profile', type=Path, metavar='FILE', help="default: this machine's, beside the bundle"
    )
    for name, default, text in (
        ('deadline', 150.0, 'from image to answer, ms'),
        ('fps', 15.0, 'images per second'),
        ('delay', 10.0, 'one way without load, ms'),
        ('jitter', 2.0, 'standard deviation of the way there, ms'),
        ('loss', 0.0, 'share of lost packets, 0 to 1'),
        ('report-rate', 10.0, 'link reports per second'),
    ):
        parser.add_argument(
            f'--{name}', type=float, default=default, help=f'{text} (default: %(default)s)'
        )
    parser.add_argument(
        '--out', type=Path, default=Path('out/simulate'), help='default: %(default)s'
    )


def run(options: argparse.Namespace) -> int:
    """Simulate and report."""
    _check(options)
    bundle = load_bundle(options.bundle)
    profile = load_profile(bundle, options.profile)
    settings = PolicySettings(deadline_s=options.deadline / 1e3, period_s=1 / options.fps)
    names = options.trace or [str(path) for path in shipped_traces()]
    traces = [read_trace(name) for name in names]
    done: dict[str, list[Run]] = {}
    with progress_bar() as progress:
        task = progress.add_task('driving', total=len(traces))
        for trace in traces:
            world = World(
                trace,
                bundle.fingerprint,
                deadline_s=settings.deadline_s,
                fps=options.fps,
                delay_s=options.delay / 1e3,
                jitter_s=options.jitter / 1e3,
                loss=options.loss,
                report_hz=options.report_rate,
            )
            if not world.frames:
                msg = f'trace {trace.name} is too short for an image at {options.fps:g} Hz'
                raise DataError(msg)
            runs = done[trace.name] = drive_all(world, profile, settings)
            title = (
                f'{trace.name}: {bundle.name} on {profile.machine}, {options.fps:g} Hz, '
                f'deadline {options.deadline:g} ms'
            )
            write_bytes(options.out / f'{trace.name}.png', draw(trace, runs, title))
            progress.advance(task)
    together = [pool(same) for same in zip(*done.values(), strict=True)]
    found = {name: _document(runs) for name, runs in {**done, 'all': together}.items()}
    summary: dict[str, Any] = {
        'bundle': bundle.name,
        'fingerprint': f'{bundle.fingerprint:016x}',
        'machine': profile.machine,
        'deadline_ms': options.deadline,
        'fps': options.fps,
        'delay_ms': options.delay,
        'loss': options.loss,
        'report_hz': options.report_rate,
        'all': found.pop('all'),
        'traces': found,
    }
    write_json(options.out / 'summary.json', summary)
    for name, document in {**found, 'all traces': summary['all']}.items():
        _print(name, document)
    console.print(f'{options.out}/summary.json and a PNG per trace are written', highlight=False)
    return 0


def _check(options: argparse.Namespace) -> None:
    for name, least, most in (
        *(('deadline', 1, 60_000), ('fps', 0.1, 1000), ('delay', 0, 10_000)),
        *(('jitter', 0, 1000), ('loss', 0, 0.99), ('report_rate', 0.1, 1000)),
    ):
        value = getattr(options, name)
        if not (math.isfinite(value) and least <= value <= most):
            msg = f'--{name.replace("_", "-")} {value:g} is not from {least:g} to {most:g}'
            raise DataError(msg)


def _document(runs: list[Run]) -> dict[str, Any]:
    return {'compared': compare(runs), 'runs': {run.name: run.document() for run in runs}}


def _print(name: str, document: dict[str, Any]) -> None:
    runs, compared = document['runs'], document['compared']
    others = [key for key in runs if key not in (AUTO, ORACLE)]
    shown = [AUTO, ORACLE, *sorted(others, key=lambda key: -runs[key]['score'])]
    rows = (
        (
            key,
            f'{runs[key]["misses"]:.1%}',
            figure(runs[key]['accuracy']),
            figure(runs[key]['score']),
            figure(runs[key]['delay_ms']['p50'], 0),
            figure(runs[key]['delay_ms']['p95'], 0),
            f'{runs[key]["bytes_per_frame"] / 1e3:.1f} kB',
        )
        for key in shown
    )
    columns = ('way', 'missed', 'accuracy', 'score', 'p50 ms', 'p95 ms', 'sent')
    console.print(table(name, columns, rows))
    lines = [f'{compared["behind_oracle"]:.1%} behind the oracle']
    for key, text in (
        ('best_fixed_rate', 'the best fixed rate'),
        ('best_picture', 'the best fixed picture'),
        ('equal_accuracy', 'the best fixed way of equal accuracy'),
    ):
        if (other := compared[key]) and other['fewer_misses'] is not None:
            lines.append(f'{other["fewer_misses"]:.0%} fewer misses than {text} ({other["name"]})')
    console.print('auto: ' + ', '.join(lines), highlight=False)
