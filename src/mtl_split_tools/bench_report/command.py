# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench-report`: pictures, video and document of a bench that was measured before."""

import argparse
from pathlib import Path

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import DataError
from mtl_split_tools.bench_report.document import COMMAND, PARTS, fill_document
from mtl_split_tools.bench_report.findings import losses
from mtl_split_tools.bench_report.pictures import draw_all
from mtl_split_tools.bench_report.reading import Run, read_run
from mtl_split_tools.bench_report.side_by_side import write_side_by_side
from mtl_split_tools.console import console
from mtl_split_tools.files import write_bytes
from mtl_split_tools.marked import fill

DESCRIPTION = """Draw what `mtl-split bench` measured: accuracy against bytes, delays, shares in
time, stages, and a video of the split beside JPEG over 1 Mbit/s; with --doc fill the measured parts
of a document. Measures nothing."""
EPILOG = """examples:
  mtl-split bench-report
  mtl-split bench-report --doc docs/performance.md
"""
VIDEO = 'side_by_side.mp4'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument('--out', type=Path, default=Path('out/bench'), help='default: %(default)s')
    add_document(parser)


def add_document(parser: argparse.ArgumentParser) -> None:
    """Declare --doc."""
    parser.add_argument(
        '--doc',
        type=Path,
        metavar='FILE',
        help='fill this document and put the pictures into the folder of its name beside it',
    )


def run(options: argparse.Namespace) -> int:
    """Draw and write.

    Raises:
        DataError: The run was made with another bundle.
    """
    check_document(options.doc)
    found, bundle = read_run(options.out), load_bundle(options.bundle)
    settings = found.summary['settings']
    if f'{bundle.fingerprint:016x}' != settings['fingerprint']:
        msg = (
            f'{options.out} was measured with {settings["bundle"]} of fingerprint '
            f'{settings["fingerprint"]}, not with {bundle.path}; give --bundle or measure again'
        )
        raise DataError(msg)
    write_report(options.out, found, bundle, options.doc)
    return 0


def check_document(document: Path | None) -> None:
    """Fail before the work rather than after it.

    Raises:
        DataError: The document lacks a part, or has another one.
    """
    if document:
        fill(document.read_text(encoding='utf-8'), COMMAND, dict.fromkeys(PARTS, ''))


def write_report(out: Path, found: Run, bundle: Bundle, document: Path | None = None) -> None:
    """Write all that is made of a run.

    Args:
        out: Folder of the run; gets the pictures and the video.
        found: The run.
        bundle: What it was made with.
        document: To fill.
    """
    settings = found.summary['settings']
    for name, picture in draw_all(found).items():
        write_bytes(out / f'{name}.png', picture)
    drawn = write_side_by_side(
        out / VIDEO, found.measured, bundle, out / 'answers', settings['deadline_ms']
    )
    if document:
        fill_document(document, found, out)
    for text in losses(found.rows):
        console.print(text, highlight=False)
    told = f'PNGs{f" and {VIDEO}" if drawn else ""} are written'
    console.print(f'{out}: {told}{f", {document} is filled" if document else ""}', highlight=False)
