# SPDX-License-Identifier: Apache-2.0
"""The command: checks everything first, then runs, measures, draws and reports."""

import argparse
from pathlib import Path

from mtl_split_core.bundle import load_bundle
from mtl_split_core.errors import BundleError
from mtl_split_tools.console import console, progress_bar
from mtl_split_tools.demo.clip import Clip, read_clip, shipped_clip
from mtl_split_tools.demo.interruption import Interruption
from mtl_split_tools.demo.pictures import write_overlay, write_video
from mtl_split_tools.demo.recorded import RecordedResults
from mtl_split_tools.demo.run import run_processes
from mtl_split_tools.demo.summary import measure, summary_table
from mtl_split_tools.files import write_json
from mtl_split_tools.shipped import bag_path

DESCRIPTION = """Run a clip through two real nodes over DDS: replay, edge, server and a recorder,
each a process of its own, in a ROS_DOMAIN_ID of their own (unless it is set), on this machine only.
Writes summary.json, results.mcap, overlay.png, overlay.mp4 and logs/ into the output folder. Ctrl-C
ends everything; what was recorded until then is kept."""
EPILOG = """examples:
  mtl-split demo
  mtl-split demo --rate 0 --out out/demo-rate0
  mtl-split demo --bag my_bag --bundle models/camvid --no-video

end_to_end_ms is from just before a picture is published to the moment its last result has arrived
at the recorder, both on the machine's monotonic clock. edge_ms comes with each FeatureMap;
server_ms is from the arrival of the FeatureMap to that of the last result, both at the recorder.
"""
FILES = ('summary.json', 'results.mcap', 'overlay.png', 'overlay.mp4')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument('--rate', type=int, metavar='K', help="rate of Z_b (default: the bundle's)")
    parser.add_argument(
        '--bag', type=bag_path, metavar='BAG', help='recording (default: camvid_val)'
    )
    parser.add_argument(
        '--image-topic', metavar='TOPIC', help='pictures of BAG (default: the topic with most)'
    )
    parser.add_argument(
        '--labels',
        type=Path,
        metavar='DIR',
        help='labels/ and annotations.json for the pictures of BAG, in their order '
        '(default: the folder that BAG lies in, where it has them)',
    )
    parser.add_argument('--out', type=Path, default=Path('out/demo'), help='default: %(default)s')
    parser.add_argument('--no-video', action='store_true', help='leave overlay.mp4 out')


def run(options: argparse.Namespace) -> int:
    """Run the demo."""
    bundle = load_bundle(options.bundle)
    rate = bundle.default_rate if options.rate is None else options.rate
    if not 0 <= rate < len(bundle.rates):
        msg = f'--rate {rate}: bundle {bundle.name} has rates 0 to {len(bundle.rates) - 1}'
        raise BundleError(msg)
    bag = options.bag or shipped_clip()
    clip = read_clip(bag, options.image_topic, options.labels, bundle)
    out: Path = options.out
    for name in FILES:
        (out / name).unlink(missing_ok=True)
    try:
        with Interruption() as interruption:
            facts = run_processes(clip, bundle, rate, out, interruption)
            results = RecordedResults.read(out / 'results.mcap', bundle)
            interruption.check()
            summary = measure(clip, bundle, rate, results, facts)
            write_json(out / 'summary.json', summary)
            interruption.check()
            _draw(options, clip, results, interruption)
        console.print(summary_table(summary))
    finally:
        _print_where(out)
    return 0


def _draw(
    options: argparse.Namespace, clip: Clip, results: RecordedResults, interruption: Interruption
) -> None:
    if not results:
        return
    write_overlay(options.out / 'overlay.png', clip, results)
    if options.no_video:
        return
    with progress_bar() as progress:
        task = progress.add_task('video', total=len(clip.stamps))
        for _ in write_video(options.out / 'overlay.mp4', clip, results):
            progress.advance(task)
            interruption.check()


def _print_where(out: Path) -> None:
    what = {
        'overlay.mp4': 'what the server saw, as a video',
        'overlay.png': 'one frame of it',
        'results.mcap': f'all topics; try `mtl-split inspect {out / "results.mcap"}`, or Foxglove',
        'summary.json': 'the figures',
    }
    for name, text in what.items():
        if (out / name).exists():
            console.print(f'{out / name}  {text}', highlight=False, soft_wrap=True)
