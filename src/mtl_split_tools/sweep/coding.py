# SPDX-License-Identifier: Apache-2.0
"""What the codecs of Z_b cost: bytes against the information of their tables, and time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.codecs import Codec, make_codecs, quantise
from mtl_split_core.timing import StageClock
from mtl_split_tools.sweep.symbols import channel_bits, sent_bits, temporal_contexts

LEAST_FRAMES = 8
"""Frames without which nothing is measured: contexts are learned on half of them."""

STEPS = (1, 2, 4)
"""Distances in frames over which the previous frame is the context."""

KEY_EVERY = 15
"""Frames from one that decodes on its own to the next, where the others need the one before."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes and time of a codec over all frames.

    Args:
        codec: The codec.
        rate: Rate index.
        sizes: Payload bytes by frame.
        information: Mean bytes a frame by the tables; None for codecs without.
        encode_ms: Median from Z_b to bytes, one thread.
        decode_ms: Median from bytes to Z_b.
        largest_error: Largest difference of a decoded value, units of Z_b.
    """

    codec: CodecId
    rate: int
    sizes: NDArray[np.int64]
    information: float | None
    encode_ms: float
    decode_ms: float
    largest_error: float

    @property
    def overhead(self) -> float:
        """Payload above the information of the tables, as a fraction of it."""
        return float(self.sizes.mean()) / self.information - 1 if self.information else 0.0

    def document(self) -> dict[str, object]:
        """Return the figures for a JSON file."""
        return {
            'codec': self.codec.name.lower(),
            'rate': self.rate,
            'bytes_per_frame': float(self.sizes.mean()),
            'bytes_per_frame_p95': float(np.percentile(self.sizes, 95)),
            'bytes_per_frame_max': int(self.sizes.max()),
            'information': self.information,
            'encode_ms': self.encode_ms,
            'decode_ms': self.decode_ms,
            'largest_error': self.largest_error,
        }


def measure_codecs(bundle: Bundle, features: Sequence[NDArray[np.float32]]) -> list[Cost]:
    """Code all frames at all rates, then with the codecs that have no rates.

    Args:
        bundle: The bundle.
        features: Z_b by frame, float32 [C, h, w].

    Returns:
        The entropy codec by rate, then the others at the default rate.
    """
    codecs = make_codecs(bundle)
    costs = []
    for rate in range(len(bundle.rates)):
        symbols = np.array([quantise(z, bundle.tables, rate) for z in features])
        bits = sent_bits(symbols, bundle.tables, rate).sum()
        information = float(bits) / 8 / len(features)
        costs.append(_measure(codecs[CodecId.ENTROPY], features, rate, information))
    others = (CodecId.FLOAT16, CodecId.LOSSLESS)
    return costs + [_measure(codecs[c], features, bundle.default_rate, None) for c in others]


def measure_contexts(
    bundle: Bundle, features: Sequence[NDArray[np.float32]]
) -> list[dict[str, float]]:
    """Return by rate what contexts save and would save, mean bytes a frame.

    Args:
        bundle: The bundle.
        features: Z_b of frames in a row, float32 [C, h, w], at least LEAST_FRAMES.

    Returns:
        `static`: by one table a channel; `sent`: with the contexts of the bundle; `none`: by one
        table a channel learned on the clip; `passes`: with three passes, learned on the clip;
        `previous_N`: with the frame N before and the passes, a key frame every KEY_EVERY frames.
    """
    rows = []
    for rate in range(len(bundle.rates)):
        symbols = np.array([quantise(z, bundle.tables, rate) for z in features])
        static, sent = (of(symbols, bundle.tables, rate).sum() for of in (channel_bits, sent_bits))
        row = {'rate': float(rate)}
        row |= {'static': static / 8 / len(features), 'sent': sent / 8 / len(features)}
        for step in STEPS:
            found = temporal_contexts(symbols, step)
            if step == STEPS[0]:
                row |= {'none': found['intra'], 'passes': found['passes']}
            between = (KEY_EVERY - 1) * found['both']
            row[f'previous_{step}'] = (found['passes'] + between) / KEY_EVERY
        rows.append(row)
    return rows


def _measure(
    codec: Codec, features: Sequence[NDArray[np.float32]], rate: int, information: float | None
) -> Cost:
    shape = features[0].shape
    codec.decode(codec.encode(features[0], rate), rate, (shape[0], shape[1], shape[2]))
    sizes, times, error = [], [], 0.0
    for z in features:
        clock = StageClock()
        with clock.stage('encode'):
            payload = codec.encode(z, rate)
        with clock.stage('decode'):
            decoded = codec.decode(payload, rate, (shape[0], shape[1], shape[2]))
        sizes.append(len(payload))
        times.append((clock.times['encode'], clock.times['decode']))
        error = max(error, float(np.abs(decoded - z).max()))
    encode_ms, decode_ms = np.median(times, axis=0).tolist()
    return Cost(codec.id, rate, np.array(sizes), information, encode_ms, decode_ms, error)
