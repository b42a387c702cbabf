# SPDX-License-Identifier: Apache-2.0
"""The whole way of a picture in one process, with the real bytes in the middle."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, RateInfo
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.codecs import dequantise, quantise
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import BundleError, DataError
from mtl_split_core.pictures import PictureFormat, decode_picture, encode_picture
from mtl_split_core.results import FrameResults
from mtl_split_core.tables import CodecTables
from mtl_split_core.tail import TailStage
from mtl_split_core.timing import StageClock
from mtl_split_tools.accuracy import AccuracyMeter, Metrics
from mtl_split_train.dataset import Dataset
from mtl_split_train.metrics import ConfusionMatrix

# Average precision counts the weak boxes too; at the threshold of the bundle it would be cut off.
SCORE_THRESHOLD = 0.05

_PICTURE = re.compile(r'(jpeg|webp):(\d{1,3})(?:/([2-8]))?')


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one frame.

    `encode_ms` is picture to bytes, `decode_ms` bytes to what the next network takes, `network_ms`
    all that follows.
    """

    size: int
    results: FrameResults
    encode_ms: float
    decode_ms: float
    network_ms: float


class Way(Protocol):
    """One way for a picture to get to the other side."""

    def send(self, image: NDArray[np.uint8]) -> Answer:
        """Make the bytes of a picture (RGB), take them apart again and answer."""


class Stages:
    """The two halves of a bundle, loaded.

    Args:
        bundle: The bundle.
        threads: Threads of each network.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        options = BackendOptions(threads)
        encoder = load_network(bundle.encoder_path, options=options)
        tail = load_network(bundle.tail_path, options=options)
        self.encode = EncodeStage(bundle, encoder)
        self.tail = TailStage(bundle, tail, score_threshold=SCORE_THRESHOLD)
        self.encode.warm_up()
        self.tail.warm_up()


@dataclass(frozen=True, slots=True)
class Transport:
    """How a picture travels; `kind` is None for raw, sides are divided by `shrink` before."""

    kind: PictureFormat | None
    quality: int = 0
    shrink: int = 1

    def encode(self, image: NDArray[np.uint8]) -> bytes:
        """Compress a picture, RGB uint8 [H, W, 3]."""
        if self.kind is None:
            return image.tobytes()
        if self.shrink > 1:
            size = self._small(image.shape[1], image.shape[0])
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return encode_picture(image, self.kind, self.quality)

    def decode(self, data: bytes, width: int, height: int) -> NDArray[np.uint8]:
        """Decompress to RGB uint8 [height, width, 3]."""
        if self.kind is None:
            return np.frombuffer(data, np.uint8).reshape(height, width, 3)
        image = decode_picture(data, self.kind, *self._small(width, height))
        if self.shrink > 1:
            image = np.asarray(cv2.resize(image, (width, height)), np.uint8)
        return image

    def _small(self, width: int, height: int) -> tuple[int, int]:
        return max(1, width // self.shrink), max(1, height // self.shrink)


class SplitWay:
    """Z_b travels, at one rate of the bundle."""

    def __init__(
        self, bundle: Bundle, stages: Stages, rate: int, codec: CodecId = CodecId.ENTROPY
    ) -> None:
        if not 0 <= rate < len(bundle.rates):
            msg = f'--rate {rate}: bundle {bundle.name} has rates 0 to {len(bundle.rates) - 1}'
            raise BundleError(msg)
        self._stages = stages
        self._rate = rate
        self._codec = codec

    def send(self, image: NDArray[np.uint8]) -> Answer:
        """Encode to a packet, check and decode it."""
        packet = self._stages.encode.encode(image, self._rate, self._codec, 0)
        results = self._stages.tail.run(packet)
        spent = packet.edge_times_us
        edge_ms = (spent.letterbox + spent.encode + spent.entropy) / 1e3
        decode_ms = results.times['decode']
        total = sum(results.times.values())
        return Answer(len(packet.payload), results, edge_ms, decode_ms, total - decode_ms)


class PictureWay:
    """The picture itself travels; the whole network runs behind it.

    Args:
        stages: The halves of the bundle.
        transport: What parse_transport() reads.
        rounding: Between the halves, round Z_b as the last rate of these tables does. The tail was
            trained on that, and may be better with it than with what the encoder gives.
    """

    def __init__(self, stages: Stages, transport: str, rounding: CodecTables | None = None) -> None:
        self._stages = stages
        self._transport = parse_transport(transport)
        self._rounding = rounding

    def send(self, image: NDArray[np.uint8]) -> Answer:
        """Compress, decompress and run both halves without a codec between them."""
        clock = StageClock()
        size, seen = image.nbytes, image
        if self._transport.kind:
            with clock.stage('encode'):
                data = self._transport.encode(image)
            with clock.stage('decode'):
                seen = self._transport.decode(data, image.shape[1], image.shape[0])
            size = len(data)
        with clock.stage('network'):
            z, letterbox = self._stages.encode.features(seen)
            if tables := self._rounding:
                last = tables.rates - 1
                z = dequantise(quantise(z, tables, last), tables, last)
            results = self._stages.tail.run_features(z, letterbox)
        times = {'encode': 0.0, 'decode': 0.0, **clock.times}
        return Answer(size, results, times['encode'], times['decode'], times['network'])


@dataclass(frozen=True, slots=True)
class _ReadMap:
    """A LabelMap that is in memory."""

    path: Path
    label: NDArray[np.uint8]

    def read(self, width: int, height: int) -> NDArray[np.uint8]:  # noqa: ARG002
        return self.label


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one way over a data folder."""

    sizes: NDArray[np.int64]
    metrics: Metrics
    confusion: ConfusionMatrix
    encode_ms: float
    decode_ms: float
    network_ms: float

    def document(self) -> dict[str, Any]:
        """Return the content of the JSON file; fractions are 0 to 1, times are medians."""
        return {
            'frames': len(self.sizes),
            'bytes_per_frame': float(self.sizes.mean()),
            'bytes_per_frame_p95': float(np.percentile(self.sizes, 95)),
            'bytes_per_frame_max': int(self.sizes.max()),
            **self.metrics,
            'encode_ms': self.encode_ms,
            'decode_ms': self.decode_ms,
            'network_ms': self.network_ms,
        }

    def rate_info(self, index: int) -> RateInfo:
        """Return the figures as bundle.yaml keeps them."""
        return RateInfo(
            index,
            round(float(self.sizes.mean()), 1),
            round(float(np.percentile(self.sizes, 95)), 1),
            float(self.sizes.max()),
            *(_rounded(self.metrics[key]) for key in ('miou', 'map50', 'accuracy')),
        )


def evaluate(
    dataset: Dataset,
    bundle: Bundle,
    ways: Mapping[str, Way],
    pictures: Iterable[NDArray[np.uint8]],
    on_answer: Callable[[], None],
) -> dict[str, Evaluation]:
    """Send every picture of a data folder every way, in one pass.

    Args:
        dataset: Truth.
        bundle: The bundle of the ways.
        ways: How the pictures travel, by name.
        pictures: Its pictures in their order, RGB uint8 [H, W, 3]; there may be fewer.
        on_answer: Called after each answer.

    Returns:
        The figures by name.

    Raises:
        DataError: A picture cannot be read, or the data does not fit the bundle.
    """
    meters = {name: AccuracyMeter(dataset, bundle) for name in ways}
    sizes: dict[str, list[int]] = {name: [] for name in ways}
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for sample, picture in zip(dataset.images, pictures, strict=False):
        if sample.label_map:
            # Read once for all ways.
            label_map = _ReadMap(sample.label_map.path, sample.label())
            sample = replace(sample, label_map=label_map)
        for name, way in ways.items():
            answer = way.send(picture)
            meters[name].add(sample, answer.results)
            sizes[name].append(answer.size)
            times[name].append((answer.encode_ms, answer.decode_ms, answer.network_ms))
            on_answer()
    return {
        name: Evaluation(
            np.array(sizes[name]),
            meter.metrics(),
            meter.confusion,
            *np.median(times[name], axis=0).tolist(),
        )
        for name, meter in meters.items()
    }


def parse_transport(text: str) -> Transport:
    """Read `raw`, `jpeg:Q` or `webp:Q`, the last two also as `jpeg:Q/2`, the sides halved.

    Raises:
        DataError: It is none of them.
    """
    if text == 'raw':
        return Transport(None)
    if (found := _PICTURE.fullmatch(text)) and 1 <= int(found[2]) <= 100:
        kind: PictureFormat = 'jpeg' if found[1] == 'jpeg' else 'webp'
        return Transport(kind, int(found[2]), int(found[3] or 1))
    msg = (
        f'--transport {text} is not raw, jpeg:Q or webp:Q with Q from 1 to 100, or one of these '
        'with /2 to /8 for a picture of half to an eighth of the width'
    )
    raise DataError(msg)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
