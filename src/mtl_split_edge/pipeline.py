# SPDX-License-Identifier: Apache-2.0
"""What the edge sends: which rate and codec, which number, and the figures of what was sent."""

import time

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage, Features
from mtl_split_core.errors import MtlSplitError
from mtl_split_core.packet import FeaturePacket
from mtl_split_ros.status import Level, Status
from mtl_split_ros.windows import RateMeter, SlidingWindow, StageWindows

DEFAULT_RATE = -1
SEQUENCE_MODULUS = 2**32


class EdgePipeline:
    """One image in, one numbered packet out."""

    def __init__(self, bundle: Bundle, stage: EncodeStage, first: int = 0) -> None:
        """Number the packets of this process.

        Args:
            bundle: Of the encoder.
            stage: Image to packet.
            first: Number of the first packet, uint32.
        """
        self._bundle = bundle
        self._stage = stage
        self._sequence = first
        self._sent = RateMeter()
        self._bytes = SlidingWindow()
        self._total = StageWindows()
        self._stages = StageWindows()

    def take_over(self, bundle: Bundle, stage: EncodeStage) -> None:
        """Encode by another bundle from now on; the numbers go on."""
        self._bundle, self._stage = bundle, stage

    def encode(
        self,
        image: NDArray[np.uint8],
        *,
        rate: int,
        codec: str,
        wait_s: float,
        convert_s: float,
        features: Features | None = None,
    ) -> FeaturePacket:
        """Encode the next frame.

        Args:
            image: uint8 HxWx3, RGB.
            rate: Rate index, -1 for the bundle's default.
            codec: Name of a codec, in lower case.
            wait_s: Seconds from the image's arrival to the start of its work.
            convert_s: Seconds that its conversion took.
            features: Of this image, where it is there.
        """
        packet = self._stage.encode(
            image,
            self._bundle.default_rate if rate == DEFAULT_RATE else rate,
            CodecId[codec.upper()],
            self._sequence,
            wait_us=round(wait_s * 1e6),
            convert_us=round(convert_s * 1e6),
            features=features,
        )
        self._sequence = (self._sequence + 1) % SEQUENCE_MODULUS
        return packet

    def sent(self, packet: FeaturePacket, edge_s: float, publish_s: float) -> None:
        """Take a published packet into the figures.

        Args:
            packet: What was published.
            edge_s: Seconds from the image's arrival until its publish call returned.
            publish_s: Seconds of the publish call alone; a slow reader shows here.
        """
        size = len(packet.data)
        times = packet.edge_times_us
        self._sent.add(size)
        self._bytes.add(size)
        self._total.add({'edge': edge_s * 1e3})
        self._stages.add(
            {
                'wait': times.wait / 1e3,
                'convert': times.convert / 1e3,
                'letterbox': times.letterbox / 1e3,
                'encode': times.encode / 1e3,
                'entropy': times.entropy / 1e3,
                'publish': publish_s * 1e3,
            }
        )

    def fill(self, status: Status, *, rate: int, codec: str) -> None:
        """Diagnostics of what is sent.

        Args:
            status: To fill.
            rate: The rate parameter.
            codec: The codec parameter.
        """
        rate = self._bundle.default_rate if rate == DEFAULT_RATE else rate
        frames, size = self._sent.rates()
        status.summary(
            Level.OK,
            f'{frames:.1f} Hz, {self._bytes.mean() / 1e3:.1f} kB a frame, {codec}, rate {rate}',
        )
        status.add('bundle', f'{self._bundle.name} {self._bundle.version}')
        status.add('fingerprint', f'{self._bundle.fingerprint:016x}')
        status.add('codec', codec)
        status.add('rate', rate)
        status.add('sent', self._sent.total)
        status.add('sent Hz', frames)
        status.add('sent byte/s', size)
        status.add('bytes mean', self._bytes.mean())
        for percent, value in self._bytes.percentiles().items():
            status.add(f'bytes p{percent}', round(value))
        status.values += [*self._total.values(), *self._stages.values()]


def check_rate(bundle: Bundle, rate: int) -> None:
    """Refuse a rate that a bundle does not have.

    Raises:
        MtlSplitError: Names the rate and those there are.
    """
    if not DEFAULT_RATE <= rate < len(bundle.rates):
        msg = (
            f'parameter rate is {rate}; bundle {bundle.name} has rates 0 to '
            f'{len(bundle.rates) - 1}, and -1 for its default {bundle.default_rate}'
        )
        raise MtlSplitError(msg)


class SentTimes:
    """When the newest packets were sent, for the round trip."""

    def __init__(self, keep: int = 512) -> None:
        """Remember the newest `keep` packets."""
        self._keep = keep
        self._times: dict[int, float] = {}

    def sent(self, sequence: int, now: float | None = None) -> None:
        """Packet `sequence` goes out now."""
        self._times[sequence] = time.monotonic() if now is None else now
        while len(self._times) > self._keep:
            del self._times[next(iter(self._times))]

    def round_trip_s(self, sequence: int, hold_s: float, now: float | None = None) -> float | None:
        """Seconds to the server and back, without what it held; None for an unknown packet."""
        now = time.monotonic() if now is None else now
        sent = self._times.get(sequence)
        return None if sent is None else max(0.0, now - sent - hold_s)
