# SPDX-License-Identifier: Apache-2.0
"""`mtl-split eval`: accuracy and bytes of a bundle on labelled pictures."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mtl_split_core.bundle import Bundle, load_bundle, update_figures
from mtl_split_core.errors import DataError
from mtl_split_tools.confusion import confusion_table, draw_confusion
from mtl_split_tools.console import console, figure, kilobytes, progress_bar, table
from mtl_split_tools.evaluation import (
    Evaluation,
    PictureWay,
    SplitWay,
    Stages,
    Way,
    evaluate,
    parse_transport,
)
from mtl_split_tools.files import write_json, write_picture
from mtl_split_tools.sweep import command as sweeping
from mtl_split_tools.sweep.overlays import choose_frame
from mtl_split_tools.sweep.result import tables
from mtl_split_train.dataset import Dataset, read_dataset

DESCRIPTION = """Measure a bundle on a folder with images/, labels/ and annotations.json (COCO). The
real bytes of every picture are made and decoded. With --transport the picture itself travels and
the same network runs whole behind it: what sending pictures would give. Boxes are scored from 0.05
on, as average precision needs; mIoU leaves void out; boxes marked iscrowd are ignored. --sweep
sends every picture every way in one pass: all rates, uncompressed, JPEG and WebP of 1 to 70 kB."""
EPILOG = """examples:
  mtl-split eval --data data/camvid/val --bundle camvid
  mtl-split eval --data data/camvid/val --bundle camvid --rate 0 --json out/rate0.json
  mtl-split eval --data data/camvid/val --bundle camvid --transport jpeg:50 --confusion out/jpeg.png
  mtl-split eval --data data/camvid/val --bundle models/camvid --all-rates --update-bundle
  mtl-split eval --data data/camvid/val --bundle camvid --sweep --plot out/sweep
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--data', type=Path, required=True, metavar='DIR', help='data folder')
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        '--rate', type=int, metavar='K', help="Z_b at this rate (default: the bundle's)"
    )
    way.add_argument('--all-rates', action='store_true', help='Z_b at every rate')
    way.add_argument(
        '--transport', metavar='T', help='raw, jpeg:Q or webp:Q (or jpeg:Q/2: half size), not Z_b'
    )
    way.add_argument('--sweep', action='store_true', help='all rates and pictures of 1 to 70 kB')
    parser.add_argument(
        '--plot',
        type=Path,
        metavar='DIR',
        help='with --sweep: write sweep.json, sweep.csv, accuracy.png, overlays.jpg and z_b.png',
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures')
    parser.add_argument('--confusion', type=Path, metavar='PNG', help='draw the confusion matrix')
    parser.add_argument('--limit', type=int, metavar='N', help='only the first N pictures')
    parser.add_argument('--threads', type=int, default=1, help='of each network (default: 1)')
    parser.add_argument(
        '--update-bundle',
        action='store_true',
        help='with --all-rates: write the figures into bundle.yaml',
    )


def run(options: argparse.Namespace) -> int:
    """Measure and report."""
    if options.plot and not options.sweep:
        msg = '--plot goes with --sweep'
        raise DataError(msg)
    if options.sweep and options.confusion:
        msg = '--confusion goes with one way, not with --sweep'
        raise DataError(msg)
    if options.update_bundle and (not options.all_rates or options.limit):
        msg = '--update-bundle goes with --all-rates and without --limit'
        raise DataError(msg)
    for name in ('limit', 'threads'):
        if (value := getattr(options, name)) is not None and value < 1:
            msg = f'--{name} {value} is not at least 1'
            raise DataError(msg)
    if options.transport:
        parse_transport(options.transport)
    bundle = load_bundle(options.bundle)
    dataset = read_dataset(options.data)
    if options.limit:
        dataset = replace(dataset, images=dataset.images[: options.limit])
    stages = Stages(bundle, options.threads)
    if options.sweep:
        _sweep(options, bundle, dataset, stages)
        return 0
    ways = _ways(options, bundle, stages)
    pictures = (sample.image() for sample in dataset.images)
    with progress_bar() as progress:
        task = progress.add_task(', '.join(ways), total=len(ways) * len(dataset.images))
        done = evaluate(dataset, bundle, ways, pictures, lambda: progress.advance(task))
    shown = f'rate {bundle.default_rate}' if options.all_rates else next(iter(done))
    _print(bundle, dataset, done, shown)
    if options.json:
        write_json(options.json, _document(bundle, done, shown))
    if options.confusion:
        write_picture(
            options.confusion, draw_confusion(done[shown].confusion, dataset.classes.segmentation)
        )
    if options.update_bundle:
        rates = [found.rate_info(index) for index, found in enumerate(done.values())]
        update_figures(bundle, rates, bundle.default_rate)
        console.print(f'{bundle.path}/bundle.yaml has the figures of {len(rates)} rates')
    return 0


def _sweep(options: argparse.Namespace, bundle: Bundle, dataset: Dataset, stages: Stages) -> None:
    found = sweeping.sweep(bundle, stages, dataset, (s.image() for s in dataset.images))
    for shown in tables(found):
        console.print(shown)
    if options.json:
        write_json(options.json, found.document())
    if options.plot:
        number = choose_frame(dataset)
        image = dataset.images[number].image()
        sweeping.write_figures(options.plot, found)
        sweeping.write_pictures(options.plot, found, stages, dataset, image, number)
        console.print(f'{options.plot}/ has the figures and pictures', highlight=False)


def _ways(options: argparse.Namespace, bundle: Bundle, stages: Stages) -> dict[str, Way]:
    if options.transport:
        return {options.transport: PictureWay(stages, options.transport)}
    rates: Sequence[int] = [bundle.default_rate if options.rate is None else options.rate]
    if options.all_rates:
        rates = range(len(bundle.rates))
    return {f'rate {rate}': SplitWay(bundle, stages, rate) for rate in rates}


def _document(bundle: Bundle, done: dict[str, Evaluation], shown: str) -> dict[str, object]:
    document = {
        'bundle': bundle.name,
        'fingerprint': f'{bundle.fingerprint:016x}',
        'transport': shown,
        **done[shown].document(),
    }
    if len(done) > 1:
        document['rates'] = [found.document() for found in done.values()]
    return document


def _print(bundle: Bundle, dataset: Dataset, done: dict[str, Evaluation], shown: str) -> None:
    rows = []
    for name, found in done.items():
        facts = found.document()
        rows.append(
            (
                name,
                facts['frames'],
                *(kilobytes(facts[f'bytes_per_frame{end}']) for end in ('', '_p95', '_max')),
                *(figure(facts[key]) for key in ('miou', 'map50', 'map', 'accuracy')),
                *(figure(facts[key], 1) for key in ('encode_ms', 'decode_ms', 'network_ms')),
            )
        )
    columns = ('way', 'frames', 'mean', 'p95', 'max', 'mIoU', 'mAP50', 'mAP', 'accuracy')
    times = ('enc. ms', 'dec. ms', 'net. ms')
    console.print(table(f'{bundle.name} on {dataset.path}', columns + times, rows))
    metrics = done[shown].metrics
    if metrics['iou']:
        classes = ((name, figure(value)) for name, value in metrics['iou'].items())
        console.print(table(f'IoU, {shown}', ('class', 'IoU'), classes))
        console.print(confusion_table(done[shown].confusion, dataset.classes.segmentation, shown))
    if metrics['map50_per_class']:
        classes = ((name, figure(value)) for name, value in metrics['map50_per_class'].items())
        console.print(table(f'AP at IoU 0.5, {shown}', ('class', 'AP50'), classes))
