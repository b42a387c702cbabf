# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench-profile`: what both nodes spend their processor time on, by py-spy."""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_split_core.bundle import load_bundle
from mtl_split_core.errors import DataError
from mtl_split_tools.bench.buffers import large_buffers
from mtl_split_tools.bench.record import describe_machine, describe_settings
from mtl_split_tools.bench_report.flame_plot import draw_flame
from mtl_split_tools.bench_report.stacks import (
    NATIVE,
    NETWORK,
    PARTS,
    Share,
    make_tree,
    read_stacks,
    shares_of,
)
from mtl_split_tools.console import console, table
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.lab import Lab, Process
from mtl_split_tools.link_bench.session import RATE_HZ
from mtl_split_tools.marked import fill, markdown

COMMAND = 'bench-profile'
DESCRIPTION = """Run both nodes on the loopback device at the camera's 15 Hz, look into them with
py-spy, and tell what they spend their processor time on: a table and a flame graph of each node.
Stop what else runs first; py-spy needs the right to look into other processes (root, or
kernel.yama.ptrace_scope 0)."""
EPILOG = """examples:
  mtl-split bench-profile
  mtl-split bench-profile --doc docs/performance.md
"""
NODES = ('edge', 'server')
BLOCKS = ('measured', 'parts')
COLUMNS = ('part', 'edge ms', 'edge', 'server ms', 'server')
_HZ = 200
_WARM = 20


@dataclass(frozen=True, slots=True)
class Clocks:
    """The threads of a process at one moment.

    Args:
        at: Monotonic seconds.
        cpu_s: Processor time so far by number of the thread, seconds.
        names: As the kernel has them.
    """

    at: float
    cpu_s: Mapping[int, float]
    names: Mapping[int, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument(
        '--seconds', type=float, default=20.0, help='of each node (default: %(default)g)'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('out/bench-profile'), help='default: %(default)s'
    )
    parser.add_argument('--doc', type=Path, metavar='FILE', help='fill this document, too')


def run(options: argparse.Namespace) -> int:
    """Measure, draw and report.

    Raises:
        DataError: There is no py-spy, it may not look, or an option is no good.
    """
    if not 1 <= options.seconds <= 600:
        msg = f'--seconds {options.seconds:g} is not from 1 to 600'
        raise DataError(msg)
    text = options.doc.read_text(encoding='utf-8') if options.doc else ''
    if options.doc:
        fill(text, COMMAND, dict.fromkeys(BLOCKS, ''))  # fails now, not after the work
    spy, bundle = find_spy(), load_bundle(options.bundle)
    folder: Path = options.out
    found: dict[str, list[Share]] = {}
    with Lab(folder / 'nodes', large_buffers(folder / 'nodes'), loopback=True) as lab:
        server = lab.server(bundle=bundle.path)
        edge = lab.edge(bundle=bundle.path)
        consumer, _ = lab.consumer(), lab.camera(rate=RATE_HZ)
        consumer.wait_for_answers(_WARM)
        for name, process in zip(NODES, (edge, server), strict=True):
            console.print(f'{name}, {options.seconds:g} s', highlight=False)
            raw, before, after = look(spy, process, folder / f'{name}.stacks', options.seconds)
            answered = [a for a in consumer.answers(since=before.at) if a.at <= after.at]
            cpu_ms = spent_ms(before, after, max(1, len(answered)))
            found[name] = list(shares_of(read_stacks(raw), cpu_ms, after.names))
    summary: dict[str, Any] = {
        'machine': describe_machine(),
        'settings': describe_settings(bundle, 0.0, 0, loopback=True),
        'parts_ms': {name: sums(shares) for name, shares in found.items()},
    }
    write_json(folder / 'summary.json', summary)
    console.print(table('CPU by image', COLUMNS, rows(summary)))
    for name, shares in found.items():
        picture = draw_flame(name, make_tree(shares), summary['parts_ms'][name])
        for path in [folder, *([options.doc.with_suffix('')] if options.doc else [])]:
            write_bytes(path / f'flame_{name}.png', picture)
    if options.doc:
        write_bytes(options.doc, fill(text, COMMAND, blocks(summary)).encode())
    console.print(f'{folder}: summary.json and flame graphs are written', highlight=False)
    return 0


def find_spy() -> str:
    """Return the program py-spy.

    Raises:
        DataError: It is not installed.
    """
    beside = Path(sys.executable).with_name('py-spy')
    if found := shutil.which('py-spy') or (str(beside) if beside.exists() else None):
        return found
    msg = 'py-spy is not installed: run scripts/setup dev, or pip install py-spy'
    raise DataError(msg)


def look(spy: str, process: Process, path: Path, seconds: float) -> tuple[str, Clocks, Clocks]:
    """Return the stacks of a process as py-spy writes them, and its clocks before and after.

    Args:
        spy: The program.
        process: To look into.
        path: Where the stacks go.
        seconds: For how long.

    Raises:
        DataError: py-spy may not, or fails.
    """
    words = ['--pid', str(process.pid), '--rate', str(_HZ), '--duration', str(round(seconds))]
    form = ['--threads', '--nonblocking', '--format', 'raw', '--output', str(path)]
    before = clocks(process.pid)
    done = subprocess.run(
        [spy, 'record', *words, *form], capture_output=True, text=True, check=False
    )
    after = clocks(process.pid)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ['nothing'])[-1]
        msg = f'py-spy cannot look into {process.name}: {said}: run as root'
        raise DataError(msg)
    return path.read_text(encoding='utf-8'), before, after


def clocks(pid: int) -> Clocks:
    """Return the clocks of all threads of a process."""
    cpu_s, names = {}, {}
    for task in Path(f'/proc/{pid}/task').iterdir():
        thread = int(task.name)
        # nanoseconds on a processor, see the kernel's sched-stats.rst
        cpu_s[thread] = int((task / 'schedstat').read_text().split()[0]) / 1e9
        names[thread] = (task / 'comm').read_text().strip()
    return Clocks(time.monotonic(), cpu_s, names)


def spent_ms(before: Clocks, after: Clocks, images: int) -> dict[int, float]:
    """Return the processor time of each thread by image."""
    return {
        thread: 1e3 * (cpu_s - before.cpu_s.get(thread, 0.0)) / images
        for thread, cpu_s in after.cpu_s.items()
    }


def sums(shares: list[Share]) -> dict[str, float]:
    """Return the milliseconds of each part."""
    return {part: sum(share.ms for share in shares if share.part == part) for part in PARTS}


def rows(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the table: milliseconds by image and shares, of both nodes."""
    parts: list[dict[str, float]] = [summary['parts_ms'][name] for name in NODES]
    wholes = [max(sum(of.values()), 1e-9) for of in parts]
    outside = [whole - of[NETWORK] - of[NATIVE] for of, whole in zip(parts, wholes, strict=True)]
    lines = [(part, [of[part] for of in parts]) for part in PARTS]
    lines += [('**all**', wholes), ('**all but the network**', outside)]
    return [
        (name, *(text for ms, whole in zip(values, wholes, strict=True)
                 for text in (f'{ms:.2f}', f'{ms / whole:.1%}')))
        for name, values in lines
    ]  # fmt: skip


def blocks(summary: dict[str, Any]) -> dict[str, str]:
    """Return the parts of the document by name."""
    machine, settings = summary['machine'], summary['settings']
    measured = (
        f'Bundle `{settings["bundle"]}` (fingerprint `{settings["fingerprint"]}`), '
        f'{machine["processor"]}, {machine["cores"]} cores, both nodes on the loopback device.'
    )
    return dict(zip(BLOCKS, (measured, markdown(COLUMNS, rows(summary))), strict=True))
