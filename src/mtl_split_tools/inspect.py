# SPDX-License-Identifier: Apache-2.0
"""`mtl-split inspect`: what is in a model bundle, a recording or a folder of labelled pictures."""

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import BundleError, DataError
from mtl_split_core.profile import load_profile, profile_paths
from mtl_split_tools.bags import FEATURE_TYPE, Bag, is_bag, open_bag
from mtl_split_tools.console import console, figure, kilobytes, progress_bar, table
from mtl_split_tools.inspect_data import print_data
from mtl_split_tools.profile_table import profile_table
from mtl_split_tools.shipped import bag_path

DESCRIPTION = """Describe a model bundle (a directory or a name), a recording (a rosbag2
directory, a .mcap or a .db3 file) or a folder of labelled pictures (with annotations.json). A
recording and all labels are read to their end, so damage shows."""
EPILOG = """examples:
  mtl-split inspect camvid
  mtl-split inspect models/camvid
  mtl-split inspect camvid_val
  mtl-split inspect out/demo/results.mcap
  mtl-split inspect my_data/train
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('path', metavar='PATH', help='bundle, recording or data folder')


def run(options: argparse.Namespace) -> int:
    """Print the description."""
    path = bag_path(options.path)
    if is_bag(path):
        with open_bag(path) as bag:
            _print_bag(bag)
    elif (path / 'annotations.json').is_file():
        print_data(path)
    elif path.exists() and not (path / 'bundle.yaml').is_file():
        msg = (
            f'{path} is neither a bundle (no bundle.yaml) nor a recording (no metadata.yaml, '
            'not .mcap, not .db3) nor a folder of labelled pictures (no annotations.json)'
        )
        raise DataError(msg)
    else:
        _print_bundle(load_bundle(options.path))
    return 0


def _print_bundle(bundle: Bundle) -> None:
    channels, height, width = bundle.feature_shape
    console.print(f'[bold]{bundle.name}[/] {bundle.version}, family {bundle.family}')
    if bundle.description:
        console.print(bundle.description, markup=False)
    console.print(f'path         {bundle.path}', highlight=False)
    console.print(f'fingerprint  {bundle.fingerprint:016x}', highlight=False)
    console.print(f'licence      {bundle.licence}', markup=False, highlight=False)
    console.print(f'input        {bundle.input.width}x{bundle.input.height} RGB', highlight=False)
    console.print(f'Z_b          {channels}x{height}x{width} (CxHxW)', highlight=False)
    for file in sorted(bundle.path.iterdir()):
        if file.is_file():
            size = file.stat().st_size
            console.print(f'file         {file.name}, {size / 1e6:.2f} MB', highlight=False)
    tasks = (
        (task.name, str(task.type), len(task.classes), ', '.join(c.name for c in task.classes))
        for task in bundle.tasks
    )
    console.print(table('tasks', ('task', 'type', 'classes', 'names'), tasks))
    rates = (
        (
            f'{rate.index} (default)' if rate.index == bundle.default_rate else rate.index,
            kilobytes(rate.bytes_mean),
            kilobytes(rate.bytes_p95),
            kilobytes(rate.bytes_max),
            figure(rate.miou),
            figure(rate.map50),
            figure(rate.accuracy),
        )
        for rate in bundle.rates
    )
    columns = ('rate', 'mean', 'p95', 'max', 'mIoU', 'mAP50', 'accuracy')
    console.print(table('rates: payload per frame and accuracy as measured', columns, rates))
    for path in profile_paths(bundle):
        try:
            console.print(profile_table(load_profile(bundle, path)))
        except BundleError as error:  # a stale profile says nothing about the bundle itself
            console.print(str(error), markup=False, highlight=False)


def _print_bag(bag: Bag) -> None:
    times: dict[int, list[int]] = {connection.id: [] for connection in bag.connections}
    features: dict[str, list[int]] = {}
    with progress_bar() as progress:
        task = progress.add_task('reading', total=bag.reader.message_count or None)
        for connection, moment, data in bag.messages(bag.connections):
            times[connection.id].append(moment)
            if connection.msgtype == FEATURE_TYPE:
                message = bag.deserialize(data, FEATURE_TYPE)
                features.setdefault(connection.topic, []).append(len(message.data))  # type: ignore[attr-defined]
            progress.advance(task)
    start, duration = bag.reader.start_time, bag.reader.duration
    console.print(f'[bold]{bag.path}[/]', highlight=False)
    if bag.reader.message_count:
        began = datetime.fromtimestamp(start / 1e9, UTC).isoformat(' ', 'milliseconds')
        console.print(f'start     {began}', highlight=False)
    console.print(f'duration  {duration / 1e9:.3f} s', highlight=False)
    console.print(f'messages  {bag.reader.message_count}', highlight=False)
    if mode := bag.reader.compression_mode:
        form = bag.reader.compression_format
        console.print(f'packed    {form}, each {mode}', highlight=False)
    rows = (
        (c.topic, c.msgtype, len(times[c.id]), figure(_rate(times[c.id]), 2))
        for c in bag.connections
    )
    console.print(table('topics', ('topic', 'type', 'messages', 'Hz'), rows))
    if features:
        columns = ('topic', 'frames', 'mean', 'p95', 'max')
        console.print(table('Z_b: payload per frame', columns, _payloads(features)))


def _rate(times: Sequence[int]) -> float | None:
    span = times[-1] - times[0] if times else 0
    return (len(times) - 1) * 1e9 / span if span else None


def _payloads(features: dict[str, list[int]]) -> Iterator[tuple[object, ...]]:
    for topic, sizes in features.items():
        p95 = float(np.percentile(sizes, 95))
        yield (
            topic,
            len(sizes),
            kilobytes(float(np.mean(sizes))),
            kilobytes(p95),
            kilobytes(max(sizes)),
        )
