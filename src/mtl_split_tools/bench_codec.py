# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench-codec`: what the codec costs and what its rates are worth, for docs/codec.md."""

import argparse
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mtl_split_core.bundle import load_bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.errors import DataError
from mtl_split_tools.console import console
from mtl_split_tools.evaluation import Stages
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.frames import labelled_frames
from mtl_split_tools.marked import fill
from mtl_split_tools.sweep.coding import LEAST_FRAMES, measure_codecs, measure_contexts
from mtl_split_tools.sweep.command import sweep, write_figures, write_pictures
from mtl_split_tools.sweep.document import PARTS, blocks
from mtl_split_tools.sweep.overlays import choose_frame
from mtl_split_tools.sweep.result import tables

COMMAND = 'bench-codec'
DESCRIPTION = """Measure all rates and codecs of a bundle beside JPEG and WebP, the payload beside
the information of its tables, the time of the codec, and what contexts would save. Writes
summary.json and the figures of `mtl-split eval --sweep`; with --doc it fills the measured parts of
a document too. Frames must follow each other, as those of the shipped clip do."""
EPILOG = """examples:
  mtl-split bench-codec
  mtl-split bench-codec --doc docs/codec.md
  mtl-split bench-codec --bundle models/camvid --data data/camvid/val --limit 20
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument(
        '--data', type=Path, metavar='DIR', help='labelled frames (default: the shipped clip)'
    )
    parser.add_argument('--limit', type=int, metavar='N', help='only the first N frames')
    parser.add_argument(
        '--threads', type=int, default=2, help='of each network; the codec has one (default: 2)'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('out/bench-codec'), help='default: %(default)s'
    )
    parser.add_argument(
        '--doc',
        type=Path,
        metavar='FILE',
        help='fill this document and put the pictures into the folder of its name beside it',
    )


def run(options: argparse.Namespace) -> int:
    """Measure, write and show."""
    for name, least in (('limit', LEAST_FRAMES), ('threads', 1)):
        if (value := getattr(options, name)) is not None and value < least:
            msg = f'--{name} {value} is not at least {least}'
            raise DataError(msg)
    bundle = load_bundle(options.bundle)
    dataset, frames = labelled_frames(options.data, bundle)
    pictures = list(islice(frames, options.limit))
    if len(pictures) < LEAST_FRAMES:
        msg = f'{dataset.path} has {len(pictures)} pictures; at least {LEAST_FRAMES} are needed'
        raise DataError(msg)
    dataset = replace(dataset, images=dataset.images[: len(pictures)])
    text = options.doc.read_text() if options.doc else ''
    if options.doc:
        fill(text, COMMAND, dict.fromkeys(PARTS, ''))  # fails now, not after the work
    stages = Stages(bundle, options.threads)
    found = sweep(bundle, stages, dataset, pictures, (CodecId.FLOAT16, CodecId.LOSSLESS))
    features = [stages.encode.features(picture)[0] for picture in pictures]
    costs = measure_codecs(bundle, features)
    contexts = measure_contexts(bundle, features)
    summary = {
        **found.document(),
        'codecs': [cost.document() for cost in costs],
        'contexts': contexts,
    }
    write_json(options.out / 'summary.json', summary)
    number = choose_frame(dataset)
    write_figures(options.out, found)
    write_pictures(options.out, found, stages, dataset, pictures[number], number)
    if options.doc:
        write_bytes(options.doc, fill(text, COMMAND, blocks(found, costs, contexts)).encode())
        for name in ('accuracy.png', 'overlays.jpg', 'z_b.png'):
            picture = (options.out / name).read_bytes()
            write_bytes(options.doc.with_suffix('') / name, picture)
    for shown in tables(found):
        console.print(shown)
    written = [options.out, *filter(None, [options.doc])]
    console.print(f'written: {", ".join(map(str, written))}', highlight=False)
    return 0
