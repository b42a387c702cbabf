# SPDX-License-Identifier: Apache-2.0
"""The command: checks everything first, then writes the results and the video, or nothing."""

import argparse
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from mtl_split.msg import FeatureMap, SplitContract
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from rosbags.interfaces import Connection, QosDurability
from rosbags.rosbag2 import Writer
from rosbags.typesys.store import Typestore
from vision_msgs.msg import LabelInfo

from mtl_split_core.bundle import Bundle, TaskType, load_bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.errors import BundleError, DataError
from mtl_split_edge.parameters import CODECS
from mtl_split_ros.packets import contract_msg
from mtl_split_ros.result_messages import label_messages, result_types
from mtl_split_tools.annotate.pipeline import Annotated, Pipeline, Settings
from mtl_split_tools.annotate.source import choose_source, frames_per_second
from mtl_split_tools.bags import jazzy_types, offered_qos, write_mcap
from mtl_split_tools.console import console, kilobytes, progress_bar
from mtl_split_tools.demo.pictures import encode_video
from mtl_split_tools.evaluation import Stages
from mtl_split_tools.shipped import bag_path

DESCRIPTION = """Run both halves of a bundle over the pictures of a recording, as fast as this
machine can, without nodes. Writes results.mcap, with the topics, types and headers that edge and
server would have published, so that it plays beside the recording, and overlay.mp4. Boxes, masks
and classes are those of the live nodes, bit for bit. The folder appears when it is complete."""
EPILOG = """examples:
  mtl-split annotate camvid_val
  mtl-split annotate my_bag --topic /camera/image_raw --rate 0 --out out/my_bag
  mtl-split view out/my_bag/results.mcap --beside my_bag
  ros2 bag play out/my_bag/results.mcap       beside ros2 bag play my_bag
"""
MOST_THREADS = 8  # networks of this size get no faster by more


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        'bag',
        type=bag_path,
        metavar='BAG',
        help='directory, .mcap or .db3 file, or the name of a shipped clip',
    )
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument('--rate', type=int, metavar='K', help="rate of Z_b (default: the bundle's)")
    parser.add_argument(
        '--codec', choices=CODECS, default='entropy', help='of Z_b (default: %(default)s)'
    )
    parser.add_argument(
        '--score-threshold',
        type=float,
        metavar='P',
        help="leave out boxes below, 0 to 1 (default: the bundle's)",
    )
    parser.add_argument(
        '--topic', metavar='TOPIC', help='pictures of BAG (needed where there are several)'
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('out/annotate'),
        metavar='DIR',
        help='new folder (default: %(default)s)',
    )
    parser.add_argument('--no-video', action='store_true', help='leave overlay.mp4 out')


def run(options: argparse.Namespace) -> int:
    """Annotate."""
    bundle = load_bundle(options.bundle)
    settings = Settings(bundle, _rate(options, bundle), CodecId[options.codec.upper()])
    source = choose_source(options.bag, options.topic)
    stages = Stages(bundle, min(MOST_THREADS, len(os.sched_getaffinity(0))))
    stages.tail.score_threshold = options.score_threshold
    pipeline = Pipeline(source, settings, stages, draw=not options.no_video)
    started = time.monotonic()
    with _new_directory(options.out) as scratch, write_mcap(scratch / 'results.mcap') as writer:
        sink = _Sink(writer, bundle, options.score_threshold)
        with closing(sink.pictures(pipeline.run())) as pictures, progress_bar() as progress:
            task = progress.add_task('annotated', total=source.count)
            steps: Iterator[Any] = pictures
            if not options.no_video:
                steps = encode_video(scratch / 'overlay.mp4', pictures, frames_per_second(source))
            for _ in steps:
                progress.update(task, completed=sink.count + pipeline.refusals.count)
        refusals = pipeline.refusals
        if not sink.count:
            why = f', the first {refusals.first}' if refusals.first else ''
            msg = f'{source.path} has no picture on {source.topic} that can be used{why}'
            raise DataError(msg)
    speed = sink.count / (time.monotonic() - started)
    console.print(
        f'{options.out}: {sink.count} pictures of {source.topic} annotated, {speed:.1f} a second; '
        f'{kilobytes(sink.payload / sink.count)} each at rate {settings.rate}',
        highlight=False,
        soft_wrap=True,
    )
    if refusals.count:
        console.print(f'{refusals.count} left out, the first {refusals.first}', soft_wrap=True)
    console.print(f'next: mtl-split view {options.out / "results.mcap"} --beside {options.bag}')
    return 0


@dataclass(slots=True)
class _Sink:
    """Writes what was annotated, with the moments of the pictures, and hands the overlays on."""

    writer: Writer
    bundle: Bundle
    score_threshold: float | None
    count: int = 0
    payload: int = 0
    types: Typestore = field(default_factory=jazzy_types)

    def pictures(
        self, frames: Generator[Annotated, None, None]
    ) -> Generator[NDArray[np.uint8], None, None]:
        types = {'features': FeatureMap, **result_types(self.bundle)}
        with closing(frames):
            connections: dict[str, Connection] = {}
            for frame in frames:
                if not connections:
                    self._announce(frame.moment)
                    connections = {
                        topic: self._connect(topic, kind, QosDurability.VOLATILE)
                        for topic, kind in types.items()
                    }
                for topic, data in frame.messages.items():
                    self.writer.write(connections[topic], frame.moment, data)
                self.count += 1
                self.payload += frame.payload
                yield frame.overlay

    def _announce(self, moment: int) -> None:
        """Write what the nodes publish when they are ready."""
        task = self.bundle.task(TaskType.DETECTION)
        threshold = self.score_threshold
        if threshold is None:
            threshold = task.score_threshold if task else 0.0
        stamp = Time(sec=moment // 10**9, nanosec=moment % 10**9)
        contract = contract_msg(self.bundle, secrets.randbits(64), stamp)
        latched: list[tuple[str, type, Any]] = [('contract', SplitContract, contract)]
        latched += [(t, LabelInfo, m) for t, m in label_messages(self.bundle, threshold, stamp)]
        for topic, kind, message in latched:
            connection = self._connect(topic, kind, QosDurability.TRANSIENT_LOCAL)
            self.writer.write(connection, moment, serialize_message(message))

    def _connect(self, topic: str, kind: type, durability: QosDurability) -> Connection:
        package = kind.__module__.partition('.')[0]
        return self.writer.add_connection(
            f'/{topic}',
            f'{package}/msg/{kind.__name__}',
            typestore=self.types,
            offered_qos_profiles=[offered_qos(durability=durability)],
        )


def _rate(options: argparse.Namespace, bundle: Bundle) -> int:
    rate: int = bundle.default_rate if options.rate is None else options.rate
    if not 0 <= rate < len(bundle.rates):
        msg = f'--rate {rate}: bundle {bundle.name} has rates 0 to {len(bundle.rates) - 1}'
        raise BundleError(msg)
    threshold = options.score_threshold
    if threshold is not None and not 0 <= threshold <= 1:
        msg = f'--score-threshold {threshold:g} is not from 0 to 1'
        raise DataError(msg)
    return rate


@contextmanager
def _new_directory(path: Path) -> Iterator[Path]:
    """Make a folder that appears only when it is complete."""
    if path.exists():
        msg = f'{path} exists; delete it or choose another --out'
        raise DataError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f'.{path.name}.', dir=path.parent))
    try:
        made = scratch / path.name
        made.mkdir()
        yield made
        made.rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
