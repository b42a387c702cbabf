# SPDX-License-Identifier: Apache-2.0
"""`mtl-split profile`: what each mode and rate costs on this machine, and what it is worth."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.codec_ids import PICTURE_FORMATS, CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import DataError
from mtl_split_core.pictures import PICTURE_QUALITY
from mtl_split_core.profile import (
    Mode,
    Profile,
    ProfilePoint,
    machine_name,
    profile_path,
    save_profile,
)
from mtl_split_core.results import FrameResults
from mtl_split_core.tail import TailStage
from mtl_split_core.timing import StageClock
from mtl_split_tools.accuracy import AccuracyMeter
from mtl_split_tools.console import console, progress_bar
from mtl_split_tools.evaluation import SCORE_THRESHOLD
from mtl_split_tools.footprint import measure_memory
from mtl_split_tools.frames import labelled_frames
from mtl_split_tools.profile_table import profile_table
from mtl_split_train.dataset import Dataset, Sample

DESCRIPTION = """Measure once, on this machine: for every rate of Z_b, every picture quality (the
whole network then runs on the server) and the edge alone, the work of both sides, the real bytes,
the accuracy, and the memory that the edge needs. Writes profile-MACHINE.yaml beside the bundle,
from which mode auto and `mtl-split plan` choose. Stop what else runs here first; every frame goes
through all ways in turn, so that noise meets all."""
EPILOG = """examples:
  mtl-split profile
  mtl-split profile --bundle models/camvid --data data/camvid/val
  mtl-split profile --edge-threads 2 --machine orin
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument(
        '--data', type=Path, metavar='DIR', help='validation frames (default: the shipped clip)'
    )
    parser.add_argument('--limit', type=int, metavar='N', help='only the first N frames')
    parser.add_argument('--edge-threads', type=int, default=1, help='default: %(default)s')
    parser.add_argument('--server-threads', type=int, default=2, help='default: %(default)s')
    parser.add_argument(
        '--machine', default=machine_name(), help='name in the file (default: %(default)s)'
    )
    parser.add_argument('--out', type=Path, metavar='FILE', help='default: beside the bundle')


def run(options: argparse.Namespace) -> int:
    """Measure, write and show."""
    for name in ('limit', 'edge_threads', 'server_threads'):
        if (value := getattr(options, name)) is not None and value < 1:
            msg = f'--{name.replace("_", "-")} {value} is not at least 1'
            raise DataError(msg)
    bundle = load_bundle(options.bundle)
    path = options.out or profile_path(bundle, options.machine)
    dataset, pictures = labelled_frames(options.data, bundle)
    count = min(options.limit or len(dataset.images), len(dataset.images))
    bench = Bench(bundle, dataset, options.edge_threads, options.server_threads)
    with progress_bar() as progress:
        task = progress.add_task('measuring', total=count)
        for sample, picture in zip(dataset.images[:count], pictures, strict=False):
            bench.measure(sample, picture)
            progress.advance(task)
    memory = {mode: measure_memory(bundle, mode, options.edge_threads) for mode in Mode}
    points = bench.points(memory)
    profile = Profile(bundle.name, bundle.fingerprint, options.machine, count, points)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_profile(profile, path)
    console.print(profile_table(profile))
    console.print(f'{path} is written', highlight=False)
    return 0


@dataclass(slots=True)
class _Way:
    mode: Mode
    codec: CodecId | None
    rate: int
    meter: AccuracyMeter
    sizes: list[int] = field(default_factory=list)
    edge_ms: list[float] = field(default_factory=list)
    server_ms: list[float] = field(default_factory=list)


class Bench:
    """Sends frames every way, in one process, with the real bytes in the middle.

    Args:
        bundle: The bundle.
        dataset: The truth.
        edge_threads: Threads of the edge's networks.
        server_threads: Threads of the server's.
    """

    def __init__(
        self, bundle: Bundle, dataset: Dataset, edge_threads: int, server_threads: int
    ) -> None:
        edge, server = BackendOptions(edge_threads), BackendOptions(server_threads)
        encoder = load_network(bundle.encoder_path, options=edge)
        self._encode = EncodeStage(bundle, encoder)
        self._server = TailStage(
            bundle,
            load_network(bundle.tail_path, options=server),
            encoder=load_network(bundle.encoder_path, options=server),
            score_threshold=SCORE_THRESHOLD,
        )
        tail = load_network(bundle.tail_path, options=edge)
        self._local = TailStage(bundle, tail, score_threshold=SCORE_THRESHOLD)
        ways: list[tuple[Mode, CodecId | None, int]] = [(Mode.LOCAL, None, 0)]
        ways += [(Mode.SPLIT, CodecId.ENTROPY, rate) for rate in range(len(bundle.rates))]
        ways += [
            (Mode.REMOTE, codec, rate)
            for codec in PICTURE_FORMATS
            for rate in range(len(PICTURE_QUALITY))
        ]
        self._ways = [_Way(*way, AccuracyMeter(dataset, bundle)) for way in ways]
        for stage in (self._encode, self._server, self._local):
            stage.warm_up()

    def measure(self, sample: Sample, picture: NDArray[np.uint8]) -> None:
        """Send one frame every way.

        Args:
            sample: Its truth.
            picture: RGB, uint8 [H, W, 3].
        """
        for way in self._ways:
            if way.codec is None:
                results = self._answer_alone(way, picture)
            else:
                results = self._send(way, way.codec, picture)
            way.meter.add(sample, results)

    def points(self, memory: Mapping[Mode, float]) -> tuple[ProfilePoint, ...]:
        """Return what was measured so far, times as medians.

        Args:
            memory: What the edge needs in each mode, MB.
        """
        points = []
        for way in self._ways:
            metrics = way.meter.metrics()
            sizes = (np.mean(way.sizes), np.percentile(way.sizes, 95), max(way.sizes))
            mean, p95, largest = (round(float(size), 1) for size in sizes)
            miou, map50, accuracy = (
                None if value is None else round(value, 4)
                for value in (metrics['miou'], metrics['map50'], metrics['accuracy'])
            )
            points.append(
                ProfilePoint(
                    way.mode,
                    way.codec,
                    way.rate,
                    round(float(np.median(way.edge_ms)), 2),
                    round(float(np.median(way.server_ms)), 2),
                    *(mean, p95, largest),
                    *(miou, map50, accuracy),
                    memory[way.mode],
                )
            )
        return tuple(points)

    def _answer_alone(self, way: _Way, picture: NDArray[np.uint8]) -> FrameResults:
        clock = StageClock()
        with clock.stage('all'):
            results = self._local.run_features(*self._encode.features(picture))
        way.edge_ms.append(clock.times['all'])
        way.server_ms.append(0.0)
        way.sizes.append(0)
        return results

    def _send(self, way: _Way, codec: CodecId, picture: NDArray[np.uint8]) -> FrameResults:
        clock = StageClock()
        with clock.stage('edge'):
            packet = self._encode.encode(picture, way.rate, codec, 0)
        with clock.stage('server'):
            results = self._server.run(packet)
        way.edge_ms.append(clock.times['edge'])
        way.server_ms.append(clock.times['server'])
        way.sizes.append(len(packet.payload))
        return results
