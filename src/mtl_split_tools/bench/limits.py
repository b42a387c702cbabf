# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench-limits`: how soon, how often and how large, where nothing limits the link."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.encode import EncodeStage
from mtl_split_core.tail import TailStage
from mtl_split_tools.bench.bare import THREADS, beside_an_edge
from mtl_split_tools.bench.buffers import large_buffers
from mtl_split_tools.bench.messages import COLUMNS as MESSAGE_COLUMNS
from mtl_split_tools.bench.messages import measure_messages, message_rows
from mtl_split_tools.bench.plan import UNLIMITED, make_condition
from mtl_split_tools.bench.record import describe_machine, describe_settings
from mtl_split_tools.bench.threads import COLUMNS as THREAD_COLUMNS
from mtl_split_tools.bench.threads import measure_threads, thread_rows
from mtl_split_tools.console import console, figure, progress_bar, table
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.frames import labelled_frames
from mtl_split_tools.lab import Lab, Stream, why_not
from mtl_split_tools.lab.processes import Process
from mtl_split_tools.lab.stations import Camera, Consumer
from mtl_split_tools.link_bench.frames import Measured
from mtl_split_tools.link_bench.plan import LOCAL, Cell
from mtl_split_tools.link_bench.rows import percentiles
from mtl_split_tools.link_bench.session import Session
from mtl_split_tools.marked import fill, markdown

COMMAND = 'bench-limits'
DESCRIPTION = """Measure how long a start takes, how many images a second the nodes answer, what the
size of an image and of a message costs, what the processors spend beside the network itself, and
what threads and execution providers bring. Over a link without limits, or the loopback device where
there are no rights. Stop what else runs first."""
EPILOG = """examples:
  mtl-split bench-limits
  mtl-split bench-limits --doc docs/performance.md
"""
RATES_HZ = (15, 20, 30, 40, 60)
SIZES = ((426, 240), (480, 360), (640, 480), (1280, 720), (1920, 1080))
_STARTS = 3
_SETTLE_S = 2.0
_SECONDS = 8.0
_DRAIN_S = 1.0
_WARM = 10
_SIZE_HZ = 10.0
_PICTURES = 101

Figures = dict[str, Any]
Done = Callable[[str], object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument(
        '--out', type=Path, default=Path('out/bench-limits'), help='default: %(default)s'
    )
    parser.add_argument('--doc', type=Path, metavar='FILE', help='fill this document, too')


def run(options: argparse.Namespace) -> int:
    """Measure and report."""
    text = options.doc.read_text(encoding='utf-8') if options.doc else ''
    if options.doc:
        fill(text, COMMAND, dict.fromkeys(blocks({}), ''))  # fails now, not after the work
    bundle = load_bundle(options.bundle)
    loopback = bool(why_not())
    folder = options.out / 'nodes'
    with progress_bar() as progress:
        task = progress.add_task('threads', total=_STARTS + len(RATES_HZ) + len(SIZES) + 4)

        def done(what: str) -> None:
            progress.update(task, advance=1, description=what)

        done('threads')
        summary: Figures = {
            'machine': describe_machine(),
            'settings': describe_settings(bundle, 0.0, 0),
            'bare': bare_stages(bundle),
            'threads': measure_threads(bundle),
            'starts_s': measure_starts(bundle, folder, done, loopback=loopback),
            **measure_streams(bundle, folder, done, loopback=loopback),
            'work': measure_work(bundle, folder, done, loopback=loopback),
            'messages': measure_messages(
                folder, _SECONDS, large_buffers(folder), loopback=loopback
            ),
        }
        done('messages')
    write_json(options.out / 'summary.json', summary)
    _show(summary, progress)
    if options.doc:
        write_bytes(options.doc, fill(text, COMMAND, blocks(summary)).encode())
    console.print(f'{options.out}: summary.json is written', highlight=False)
    return 0


def bare_stages(bundle: Bundle) -> Figures:
    """Return what the two networks take by themselves, ms of wall clock and of processor time.

    Args:
        bundle: Has them.
    """
    _, pictures = labelled_frames(None, bundle)
    encoder = load_network(bundle.encoder_path, options=BackendOptions(1))
    encode = EncodeStage(bundle, encoder)
    tail = TailStage(bundle, load_network(bundle.tail_path, options=BackendOptions(THREADS)))
    times: dict[str, list[tuple[float, float]]] = {'encoder': [], 'tail': []}
    for picture in pictures:
        began = time.perf_counter(), time.process_time()
        z, letterbox = encode.features(picture)
        between = time.perf_counter(), time.process_time()
        tail.run_features(z, letterbox)
        end = time.perf_counter(), time.process_time()
        times['encoder'].append((between[0] - began[0], between[1] - began[1]))
        times['tail'].append((end[0] - between[0], end[1] - between[1]))
    means = {name: 1e3 * np.array(pairs[_WARM:]) for name, pairs in times.items()}
    return {
        name: {'ms': float(np.median(of[:, 0])), 'cpu_ms': float(of[:, 1].mean())}
        for name, of in means.items()
    }


def measure_starts(bundle: Bundle, folder: Path, done: Done, *, loopback: bool) -> list[float]:
    """Return seconds from the start of both nodes at once to the first answer."""
    found = []
    for number in range(_STARTS):
        with Lab(folder, loopback=loopback) as lab:
            consumer, _ = lab.consumer(), lab.camera(rate=15.0)
            began = time.monotonic()
            lab.server(wait=False, bundle=bundle.path)
            lab.edge(wait=False, bundle=bundle.path)
            consumer.wait_for_answers(1, since=began)
            found.append(consumer.answers(since=began)[0].at - began)
        done(f'start {number + 1}')
    return found


def measure_streams(bundle: Bundle, folder: Path, done: Done, *, loopback: bool) -> Figures:
    """Return figures by camera rate, and by size of the image."""
    # large images are lost between camera and edge otherwise
    with Lab(folder, large_buffers(folder), loopback=loopback) as lab:
        server = lab.server(bundle=bundle.path)
        edge = lab.edge(bundle=bundle.path)
        consumer, camera = lab.consumer(), lab.camera(rate=RATES_HZ[0])
        consumer.wait_for_answers(_WARM)
        rates = []
        for rate in RATES_HZ:
            camera.say(f'rate {rate}')
            rates.append({'rate_hz': rate, **_stream(camera, consumer, edge, server)})
            done(f'{rate} Hz')
        camera.say(f'rate {_SIZE_HZ:g}')
        sizes = []
        for width, height in SIZES:
            camera.say(f'size {width} {height}')
            sizes.append(
                {'width': width, 'height': height, **_stream(camera, consumer, edge, server)}
            )
            done(f'{width}x{height}')
        return {'rates': rates, 'sizes': sizes}


def _stream(camera: Camera, consumer: Consumer, edge: Process, server: Process) -> Figures:
    time.sleep(_SETTLE_S)
    began, cpu = time.monotonic(), (edge.cpu_s, server.cpu_s)
    time.sleep(_SECONDS)
    end, spent = time.monotonic(), (edge.cpu_s - cpu[0], server.cpu_s - cpu[1])
    time.sleep(_DRAIN_S)
    images = [image for image in camera.published(began) if image.at < end]
    stream = Stream(images, consumer.answers(since=began))
    delays = [1e3 * delay for delay in stream.delays_s()]
    answered = max(1, len(delays))
    return {
        'images': len(images),
        'answered_hz': len(delays) / (end - began),
        'answered': len(delays) / max(1, len(images)),
        'end_to_end_ms': percentiles(delays),
        'edge_cpu_ms': 1e3 * spent[0] / answered,
        'server_cpu_ms': 1e3 * spent[1] / answered,
        'edge_rss_mb': edge.rss_mb,
        'server_rss_mb': server.rss_mb,
    }


def measure_work(bundle: Bundle, folder: Path, done: Done, *, loopback: bool) -> Figures:
    """Return the processor time of each node per image, split and all on the edge.

    Under `tail_alone` is that of the tail without ROS, in the server's place.
    """
    found: Figures = {}
    ways = (f'split:{bundle.default_rate}', LOCAL)
    # before and behind, since a machine is not equally fast all the time
    bare = beside_an_edge(bundle, folder, _SECONDS / 2, loopback=loopback)
    with Session(bundle, folder, 1.0, loopback=loopback) as session:
        for way in ways:
            one: Measured = session.measure(Cell(make_condition(UNLIMITED), way), _PICTURES)
            found['local' if way == LOCAL else 'split'] = {
                'edge_cpu_ms': 1e3 * one.edge_cpu_s / len(one.frames),
                'server_cpu_ms': 1e3 * one.server_cpu_s / len(one.frames),
                'stages_ms': one.stages_ms,
                'end_to_end_ms': percentiles(
                    [1e3 * f.delay_s for f in one.frames if f.delay_s is not None]
                ),
            }
            done(way)
    bare += beside_an_edge(bundle, folder, _SECONDS / 2, loopback=loopback)
    found['tail_alone'] = {'cpu_ms': float(np.mean(bare))}
    return found


def blocks(summary: Figures) -> dict[str, str]:
    """Return the parts of the document by name; an empty summary gives their names."""
    if not summary:
        return dict.fromkeys(('measured', 'goals', 'rates', 'sizes', 'messages', 'threads'), '')
    machine, settings = summary['machine'], summary['settings']
    return {
        'measured': (
            f'Bundle `{settings["bundle"]}` (fingerprint `{settings["fingerprint"]}`), '
            f'{machine["processor"]}, {machine["cores"]} cores.'
        ),
        'goals': markdown(('what', 'goal', 'measured'), goals(summary)),
        'rates': markdown(('camera', *_COLUMNS), _rows(summary['rates'], _rate_name)),
        'sizes': markdown(('image', *_COLUMNS), _rows(summary['sizes'], _size_name)),
        'messages': markdown(MESSAGE_COLUMNS, message_rows(summary['messages'])),
        'threads': markdown(THREAD_COLUMNS, thread_rows(summary['threads'])),
    }


def goals(summary: Figures) -> list[tuple[str, str, str]]:
    """Return what is asked for, and what was measured."""
    work, bare = summary['work'], summary['bare']
    split, local = work['split'], work['local']
    stages, whole = split['stages_ms'], split['end_to_end_ms']['p50']
    outside = 1 - (stages['edge encode'] + stages['server tail']) / whole
    starts = summary['starts_s']
    kept = [row['rate_hz'] for row in summary['rates'] if row['answered'] >= 0.98]
    return [
        ('start of both nodes to the first answer', '3 s', f'{np.median(starts):.1f} s'),
        ('most images a second, 98 % of them answered', '30', f'{max(kept, default=0)}'),
        ('share of the delay outside encoder and tail', '25 %', f'{outside:.0%}'),
        (
            'server CPU over that of the bare tail',
            '1.15',
            f'{split["server_cpu_ms"] / work["tail_alone"]["cpu_ms"]:.2f}',
        ),
        (
            'edge CPU, split over all on the edge',
            '0.25',
            f'{split["edge_cpu_ms"] / local["edge_cpu_ms"]:.2f}',
        ),
        (
            'the same of the two networks alone, below which no edge gets',
            '-',
            f'{bare["encoder"]["cpu_ms"] / sum(of["cpu_ms"] for of in bare.values()):.2f}',
        ),
    ]


_COLUMNS = ('answered', 'p50 ms', 'p95 ms', 'edge CPU ms', 'server CPU ms', 'edge MB', 'server MB')


def _rows(found: list[Figures], name: Callable[[Figures], str]) -> list[tuple[str, ...]]:
    return [
        (
            name(row),
            f'{row["answered_hz"]:.1f} Hz, {row["answered"]:.0%}',
            *(figure(row['end_to_end_ms'][key], 0) for key in ('p50', 'p95')),
            *(figure(row[key], 1) for key in ('edge_cpu_ms', 'server_cpu_ms')),
            *(figure(row[key], 0) for key in ('edge_rss_mb', 'server_rss_mb')),
        )
        for row in found
    ]


def _rate_name(row: Figures) -> str:
    return f'{row["rate_hz"]} Hz'


def _size_name(row: Figures) -> str:
    return f'{row["width"]}x{row["height"]}, {_SIZE_HZ:g} Hz'


def _show(summary: Figures, progress: Progress) -> None:
    progress.stop()
    console.print(table('goals', ('what', 'goal', 'measured'), goals(summary)))
    console.print(table('by rate', ('camera', *_COLUMNS), _rows(summary['rates'], _rate_name)))
    console.print(table('threads', THREAD_COLUMNS, thread_rows(summary['threads'])))
    console.print(table('by size', ('image', *_COLUMNS), _rows(summary['sizes'], _size_name)))
    console.print(table('by message', MESSAGE_COLUMNS, message_rows(summary['messages'])))
