# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench-cameras`: how many cameras one server answers, and how fairly."""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_ros.packets import packet_to_msg
from mtl_split_tools.bench.feeder import name_of
from mtl_split_tools.bench.record import describe_machine, describe_settings
from mtl_split_tools.bench_report.cameras_plot import draw_cameras
from mtl_split_tools.console import console, figure, progress_bar, table
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.frames import labelled_frames
from mtl_split_tools.lab import Answer, Lab, Published, Stream
from mtl_split_tools.lab.stations import Station
from mtl_split_tools.link_bench.rows import percentiles
from mtl_split_tools.marked import fill, markdown

COMMAND = 'bench-cameras'
DESCRIPTION = """Measure how many frames a second one server answers for 1, 2, 4 and 8 cameras over
the loopback device, how fairly, and what a frame costs it; then a camera at 10 Hz beside one at 60.
The features of the shipped clip are made beforehand and sent by one process, since the server is
what is measured. Stop what else runs first."""
EPILOG = """examples:
  mtl-split bench-cameras
  mtl-split bench-cameras --seconds 20 --doc docs/performance.md
"""
CAMERAS = (1, 2, 4, 8)
RATE_HZ = 15.0
GREEDY = (60.0, 10.0)
"""A camera that asks for more than its share, and one that asks for less."""
DEADLINE_MS = 150.0
PICTURE = 'cameras.png'
_SETTLE_S = 2.0
_DRAIN_S = 1.0
_COLUMNS = ('cameras', 'sent', 'answered', 'in time', 'least and most', 'Jain', 'p50 ms', 'p95 ms')
_COSTS = ('server CPU ms', 'server MB')

Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument(
        '--seconds', type=float, default=15.0, help='of each row (default: %(default)s)'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('out/bench-cameras'), help='default: %(default)s'
    )
    parser.add_argument('--doc', type=Path, metavar='FILE', help='fill this document, too')


def run(options: argparse.Namespace) -> int:
    """Measure and report."""
    text = options.doc.read_text(encoding='utf-8') if options.doc else ''
    if options.doc:
        fill(text, COMMAND, dict.fromkeys(blocks({}), ''))  # fails now, not after the work
    bundle = load_bundle(options.bundle)
    rates = [(RATE_HZ,) * count for count in CAMERAS] + [GREEDY]
    rows: list[Row] = []
    with TemporaryDirectory() as kept, progress_bar() as progress:
        task = progress.add_task('features', total=1 + len(rates))
        count = keep_features(bundle, Path(kept))
        for each in rates:
            progress.update(task, advance=1, description=_name(each))
            rows.append(measure(bundle, Path(kept), each, options.seconds, options.out / 'nodes'))
        progress.update(task, advance=1)
    summary: Row = {
        'machine': describe_machine(),
        'settings': describe_settings(bundle, DEADLINE_MS, count, loopback=True),
        'seconds': options.seconds,
        'rows': rows,
    }
    write_json(options.out / 'summary.json', summary)
    picture = draw_cameras(rows)
    write_bytes(options.out / PICTURE, picture)
    console.print(table('cameras at one server', (*_COLUMNS, *_COSTS), map(_cells, rows)))
    if options.doc:
        write_bytes(options.doc.with_suffix('') / PICTURE, picture)
        write_bytes(options.doc, fill(text, COMMAND, blocks(summary)).encode())
    console.print(f'{options.out}: summary.json and {PICTURE} are written', highlight=False)
    return 0


def keep_features(bundle: Bundle, folder: Path) -> int:
    """Encode the shipped clip at the default rate, as its edge would.

    Args:
        bundle: Has the encoder.
        folder: Gets a serialised FeatureMap for each picture.

    Returns:
        Their number.
    """
    _, pictures = labelled_frames(None, bundle)
    stage = EncodeStage(bundle, load_network(bundle.encoder_path))
    count = 0
    for count, picture in enumerate(pictures, 1):
        packet = stage.encode(picture, bundle.default_rate, CodecId.ENTROPY, count)
        data = serialize_message(packet_to_msg(packet, Header(frame_id='camera')))
        (folder / f'{count:05}.cdr').write_bytes(data)
    return count


def measure(
    bundle: Bundle, kept: Path, rates: Sequence[float], seconds: float, folder: Path
) -> Row:
    """Let one server answer some cameras for a while.

    Args:
        bundle: The server's.
        kept: Features, see keep_features().
        rates: Frames a second of each camera.
        seconds: For how long it is measured.
        folder: Gets logs.
    """
    names = ', '.join(name_of(camera) for camera in range(len(rates)))
    with Lab(folder, loopback=True) as lab:
        server = lab.server(bundle=bundle.path, cameras=f'[{names}]')
        words = ['--rates', *map(str, rates), '--deadline-ms', str(DEADLINE_MS)]
        feeder = lab.process(
            Station, 'feeder', lab.edge_host, 'bench.feeder', '--frames', str(kept), *words
        )
        time.sleep(_SETTLE_S)
        began, cpu = time.monotonic(), server.cpu_s
        time.sleep(seconds)
        end, spent = time.monotonic(), server.cpu_s - cpu
        time.sleep(_DRAIN_S)
        streams = [_stream(feeder, camera, began, end) for camera in range(len(rates))]
        return row_of(rates, streams, end - began, spent, server.rss_mb)


def _stream(feeder: Station, camera: int, began: float, end: float) -> Stream:
    images = [
        Published((line['stamp'][0], line['stamp'][1]), line['at'], 0, good=True)
        for line in feeder.lines('image')
        if line['camera'] == camera and began <= line['at'] < end
    ]
    answers = [
        Answer((line['stamp'][0], line['stamp'][1]), line['at'])
        for line in feeder.lines('answer')
        if line['camera'] == camera and line['at'] >= began
    ]
    return Stream(images, answers)


def row_of(
    rates: Sequence[float], streams: Sequence[Stream], seconds: float, cpu_s: float, rss_mb: float
) -> Row:
    """Return the figures of one run.

    Args:
        rates: Frames a second that each camera was to send.
        streams: What came of them.
        seconds: For how long.
        cpu_s: Processor time of the server, seconds.
        rss_mb: Its memory at the end.
    """
    delays = [1e3 * delay for stream in streams for delay in stream.delays_s()]
    shares = [stream.in_time(DEADLINE_MS / 1e3) for stream in streams]
    sent = [len(stream.pairs) for stream in streams]
    in_time = [share * count for share, count in zip(shares, sent, strict=True)]
    # of cameras that ask for different amounts, equal amounts would not be fair
    alike = len(set(rates)) == 1
    return {
        'rates_hz': list(rates),
        'sent_hz': sum(sent) / seconds,
        'answered_hz': len(delays) / seconds,
        'answered_hz_by_camera': [len(stream.delays_s()) / seconds for stream in streams],
        'in_time': sum(in_time) / max(1, sum(sent)),
        'in_time_by_camera': shares,
        'jain': jain(in_time) if alike else None,
        'end_to_end_ms': percentiles(delays),
        'server_cpu_ms': 1e3 * cpu_s / max(1, len(delays)),
        'server_rss_mb': rss_mb,
    }


def jain(amounts: Sequence[float]) -> float | None:
    """Return the fairness index of Jain, Chiu and Hawe (1984).

    Args:
        amounts: What each one got, from 0.

    Returns:
        (sum x)^2 / (n sum x^2): 1 where all got the same, 1/n where one got all; None if nobody
        got anything.
    """
    squares = sum(amount * amount for amount in amounts)
    return sum(amounts) ** 2 / (len(amounts) * squares) if squares else None


def blocks(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the parts of the document by name; an empty summary gives their names."""
    if not summary:
        return dict.fromkeys(('measured', 'rows'), '')
    machine, settings = summary['machine'], summary['settings']
    return {
        'measured': (
            f'Bundle `{settings["bundle"]}` (fingerprint `{settings["fingerprint"]}`), '
            f'{machine["processor"]}, {machine["cores"]} cores, {summary["seconds"]:g} s a row, '
            f'deadline {settings["deadline_ms"]:g} ms.'
        ),
        'rows': markdown((*_COLUMNS, *_COSTS), map(_cells, summary['rows'])),
    }


def _name(rates: Sequence[float]) -> str:
    if len(set(rates)) == 1:
        return f'{len(rates)} at {rates[0]:g} Hz'
    return ' and '.join(f'{rate:g}' for rate in rates) + ' Hz'


def _cells(row: Row) -> tuple[str, ...]:
    alike = len(set(row['rates_hz'])) == 1
    shares = sorted(row['in_time_by_camera']) if alike else row['in_time_by_camera']
    return (
        _name(row['rates_hz']),
        f'{row["sent_hz"]:.1f} Hz',
        f'{row["answered_hz"]:.1f} Hz',
        f'{row["in_time"]:.0%}',
        f'{shares[0]:.0%}, {shares[-1]:.0%}',
        figure(row['jain']),
        *(figure(row['end_to_end_ms'][key], 0) for key in ('p50', 'p95')),
        figure(row['server_cpu_ms'], 1),
        figure(row['server_rss_mb'], 0),
    )
