# SPDX-License-Identifier: Apache-2.0
"""What more threads and other execution providers bring to each part of the work."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.codecs import make_codecs
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import BackendError
from mtl_split_core.geometry import Letterbox
from mtl_split_core.tail import TailStage
from mtl_split_tools.console import MISSING, figure
from mtl_split_tools.frames import labelled_frames

ELSEWHERE = ('AzureExecutionProvider',)
"""Providers of ONNX Runtime that send the work to a computer of somebody else."""
LARGE = (1920, 1080)
COLUMNS = ('part', 'runs in', 'threads', 'p50 ms', 'p95 ms', 'CPU ms')
_MOST = 16
_PICTURES = 16
_ROUNDS = 6


@dataclass(slots=True)
class Part:
    """A part of the work with one setting.

    Args:
        name: Of the part.
        where: Library or execution provider.
        threads: How many it may use; None where it knows no threads.
        work: Does it once, for the picture of this number.
        refusal: Why it does not run here; empty where it does.
        times: Wall clock and processor time of each run, ms.
    """

    name: str
    where: str
    threads: int | None
    work: Callable[[int], object]
    refusal: str = ''
    times: list[tuple[float, float]] = field(default_factory=list)

    def run(self, number: int, *, counts: bool) -> None:
        """Do it once, with a look at the clocks.

        Args:
            number: Of the picture.
            counts: Whether this is more than warming up.
        """
        began = time.perf_counter(), time.process_time()
        self.work(number)
        end = time.perf_counter(), time.process_time()
        if counts:
            self.times.append((1e3 * (end[0] - began[0]), 1e3 * (end[1] - began[1])))

    def row(self) -> dict[str, Any]:
        """Return the figures."""
        found: dict[str, Any] = {'part': self.name, 'where': self.where, 'threads': self.threads}
        if self.refusal:
            return {**found, 'refusal': self.refusal}
        wall, cpu = np.array(self.times).T
        return {
            **found,
            'p50_ms': float(np.median(wall)),
            'p95_ms': float(np.percentile(wall, 95)),
            'cpu_ms': float(cpu.mean()),
        }


def measure_threads(bundle: Bundle) -> list[dict[str, Any]]:
    """Measure every part with every setting, in turn, so that noise meets all.

    Args:
        bundle: Gives the networks and the codec.

    Returns:
        For each part and setting `part`, `where`, `threads` and `p50_ms`, `p95_ms`, `cpu_ms` or
        `refusal`.
    """
    _, frames = labelled_frames(None, bundle)
    pictures = [picture for _, picture in zip(range(_PICTURES), frames, strict=False)]
    before = cv2.getNumThreads()
    try:
        parts = [
            *_networks(bundle, pictures),
            *_codec(bundle, pictures),
            *_opencv(bundle, pictures),
        ]
        for turn in range(_ROUNDS + 1):
            for number in range(len(pictures)):
                for part in parts:
                    if not part.refusal:
                        part.run(number, counts=bool(turn))
    finally:
        cv2.setNumThreads(before)
    return [part.row() for part in parts]


def thread_rows(found: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the rows of the table, see COLUMNS.

    Args:
        found: What measure_threads() returned.
    """
    return [
        (
            row['part'],
            row['where'],
            str(row['threads'] or MISSING),
            *(
                (row['refusal'], MISSING, MISSING)
                if 'refusal' in row
                else (figure(row[key], 1) for key in ('p50_ms', 'p95_ms', 'cpu_ms'))
            ),
        )
        for row in found
    ]


def thread_counts() -> list[int]:
    """Return 1, 2, 4 and so on up to the cores of this machine."""
    cores = min(_MOST, len(os.sched_getaffinity(0)))
    return list(takewhile(lambda count: count <= cores, (1 << power for power in range(5))))


def _networks(bundle: Bundle, pictures: list[NDArray[np.uint8]]) -> Iterator[Part]:
    features = None
    providers = [p for p in onnxruntime.get_available_providers() if p not in ELSEWHERE]
    for name, path in (('encoder', bundle.encoder_path), ('tail and boxes', bundle.tail_path)):
        for provider in providers:
            for threads in thread_counts():
                try:
                    network = load_network(path, options=BackendOptions(threads, (provider,)))
                except BackendError as error:
                    yield Part(name, provider, threads, _nothing, str(error))
                    continue
                if path == bundle.encoder_path:
                    stage = EncodeStage(bundle, network)
                    features = features or [stage.features(picture) for picture in pictures]
                    yield Part(name, provider, threads, _encoding(stage, pictures))
                elif features:
                    tail = TailStage(bundle, network)
                    yield Part(name, provider, threads, _answering(tail, features))


def _nothing(number: int) -> None:
    """Stand for work that does not run here."""
    raise AssertionError(number)


def _encoding(stage: EncodeStage, pictures: list[NDArray[np.uint8]]) -> Callable[[int], object]:
    return lambda number: stage.features(pictures[number])


def _answering(
    stage: TailStage, features: list[tuple[NDArray[np.float32], Letterbox]]
) -> Callable[[int], object]:
    return lambda number: stage.run_features(*features[number])


def _codec(bundle: Bundle, pictures: list[NDArray[np.uint8]]) -> Iterator[Part]:
    stage = EncodeStage(bundle, load_network(bundle.encoder_path, options=BackendOptions(1)))
    codec, rate, shape = (
        make_codecs(bundle)[CodecId.ENTROPY],
        bundle.default_rate,
        bundle.feature_shape,
    )
    features = [stage.features(picture)[0] for picture in pictures]
    payloads = [codec.encode(z, rate) for z in features]
    where = 'constriction, NumPy'
    yield Part('entropy coding', where, None, lambda n: codec.encode(features[n], rate))
    yield Part('entropy decoding', where, None, lambda n: codec.decode(payloads[n], rate, shape))


def _opencv(bundle: Bundle, pictures: list[NDArray[np.uint8]]) -> Iterator[Part]:
    size = bundle.input
    large = [np.asarray(cv2.resize(picture, LARGE), np.uint8) for picture in pictures]
    files = [cv2.imencode('.jpg', picture)[1] for picture in large]
    fit = Letterbox.fit(*LARGE, size.width, size.height)
    mask = np.zeros((size.height, size.width), np.uint8)
    name = f'{LARGE[0]}x{LARGE[1]}'

    def decode(number: int) -> object:
        picture = cv2.imdecode(files[number], cv2.IMREAD_COLOR)
        return None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    works: dict[str, Callable[[int], object]] = {
        f'JPEG of {name}': decode,
        f'{name} to the input': lambda number: fit.apply(large[number]),
        f'mask to {name}': lambda _: fit.mask_to_source(mask),
    }
    for what, work in works.items():
        for threads in thread_counts():
            yield Part(what, 'OpenCV', threads, _limited(work, threads))


def _limited(work: Callable[[int], object], threads: int) -> Callable[[int], object]:
    def run(number: int) -> None:
        cv2.setNumThreads(threads)
        work(number)

    return run
