# SPDX-License-Identifier: Apache-2.0
"""The whole way of a picture in one process, with the real bytes in the middle."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, RateInfo
from mtl_split_core.codecs import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import BundleError, DataError
from mtl_split_core.pictures import PictureFormat, decode_picture, encode_picture
from mtl_split_core.results import FrameResults
from mtl_split_core.tail import TailStage
from mtl_split_core.timing import StageClock
from mtl_split_tools.accuracy import AccuracyMeter, Metrics
from mtl_split_train.dataset import Dataset
from mtl_split_train.metrics import ConfusionMatrix

# Average precision counts the weak boxes too; at the threshold of the bundle it would be cut off.
SCORE_THRESHOLD = 0.05


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


class SplitWay:
    """Z_b travels, at one rate of the bundle."""

    def __init__(self, bundle: Bundle, stages: Stages, rate: int) -> None:
        if not 0 <= rate < len(bundle.rates):
            msg = f'--rate {rate}: bundle {bundle.name} has rates 0 to {len(bundle.rates) - 1}'
            raise BundleError(msg)
        self._stages = stages
        self._rate = rate

    def send(self, image: NDArray[np.uint8]) -> Answer:
        """Encode to a packet, check and decode it."""
        packet = self._stages.encode.encode(image, self._rate, CodecId.ENTROPY, 0)
        results = self._stages.tail.run(packet)
        spent = packet.edge_times_us
        edge_ms = (spent.letterbox + spent.encode + spent.entropy) / 1e3
        decode_ms = results.times['decode']
        total = sum(results.times.values())
        return Answer(len(packet.payload), results, edge_ms, decode_ms, total - decode_ms)


class PictureWay:
    """The picture itself travels; the whole network runs behind it."""

    def __init__(self, stages: Stages, transport: str) -> None:
        self._stages = stages
        self._kind, self._quality = parse_transport(transport)

    def send(self, image: NDArray[np.uint8]) -> Answer:
        """Compress, decompress and run both halves without a codec between them."""
        clock = StageClock()
        size, seen = image.nbytes, image
        if self._kind:
            with clock.stage('encode'):
                data = encode_picture(image, self._kind, self._quality)
            with clock.stage('decode'):
                seen = decode_picture(data, self._kind, image.shape[1], image.shape[0])
            size = len(data)
        with clock.stage('network'):
            z, letterbox = self._stages.encode.features(seen)
            results = self._stages.tail.run_features(z, letterbox)
        times = {'encode': 0.0, 'decode': 0.0, **clock.times}
        return Answer(size, results, times['encode'], times['decode'], times['network'])


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
    dataset: Dataset, bundle: Bundle, way: Way, on_frame: Callable[[], None]
) -> Evaluation:
    """Send every picture of a data folder one way.

    Args:
        dataset: Pictures and truth.
        bundle: The bundle of the way.
        way: How the pictures travel.
        on_frame: Called after each frame.

    Returns:
        The figures.

    Raises:
        DataError: A picture cannot be read, or the data does not fit the bundle.
    """
    meter = AccuracyMeter(dataset, bundle)
    sizes, times = [], []
    for sample in dataset.images:
        answer = way.send(sample.image())
        meter.add(sample, answer.results)
        sizes.append(answer.size)
        times.append((answer.encode_ms, answer.decode_ms, answer.network_ms))
        on_frame()
    medians = np.median(times, axis=0).tolist()
    return Evaluation(np.array(sizes), meter.metrics(), meter.confusion, *medians)


def parse_transport(text: str) -> tuple[PictureFormat | None, int]:
    """Read `raw`, `jpeg:Q` or `webp:Q`.

    Returns:
        Format (None for raw) and quality.

    Raises:
        DataError: It is none of them.
    """
    name, _, quality = text.partition(':')
    if text == 'raw':
        return None, 0
    if name in ('jpeg', 'webp') and quality.isdecimal() and 1 <= int(quality) <= 100:
        return ('jpeg' if name == 'jpeg' else 'webp'), int(quality)
    msg = f'--transport {text} is not raw, jpeg:Q or webp:Q with Q from 1 to 100'
    raise DataError(msg)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
