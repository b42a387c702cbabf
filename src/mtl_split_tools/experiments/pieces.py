# SPDX-License-Identifier: Apache-2.0
"""What each way of answering a picture takes on both sides, and how long that is over a link."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.geometry import Letterbox
from mtl_split_core.pictures import PICTURE_QUALITY
from mtl_split_core.tail import TailStage
from mtl_split_tools.console import figure

LOCAL, RAW, FLOAT32 = 'local', 'raw picture', 'float32'
QUALITY = 80
JPEG = f'jpeg:{QUALITY}'

LINKS_MBIT = (0.0375, 0.3, 1.0, 10.0, 100.0, 1000.0)
"""The slowest is that of Ladon's supplement."""

SLOW_EDGE = 8.0
"""How much longer a small board takes than the machine that measured: computed, not measured."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One way of one network, as measured.

    Args:
        edge_ms: Processor time of the edge for a picture, one thread, ms.
        bytes: What travels, mean.
        server_ms: Processor time of the server for a picture, one thread, ms.
        edge_spread_ms: Half of the distance between the quartiles of the edge's time, ms.
        server_spread_ms: The same of the server's.
    """

    edge_ms: float
    bytes: float
    server_ms: float
    edge_spread_ms: float = 0.0
    server_spread_ms: float = 0.0


def latency_ms(pieces: Sequence[Piece], mbit: float, edge_factor: float = 1.0) -> float:
    """Return the time from a picture to the last answer.

    The networks run one after the other on each side; while one is on its way, the edge works at
    the next. Nothing else waits, no packet is lost, the link has no delay of its own, and the
    answers' way back takes no time: they are some hundred bytes.

    Args:
        pieces: One for each network, in order.
        mbit: Rate of the link, 10^6 bit/s.
        edge_factor: How much longer the edge takes than was measured.
    """
    edge = link = server = 0.0
    for piece in pieces:
        edge += piece.edge_ms * edge_factor
        link = max(link, edge) + piece.bytes * 8 / (mbit * 1e3)
        server = max(server, link) + piece.server_ms
    return server


def link_name(mbit: float) -> str:
    """Return the rate of a link as people say it: `37.5 kbit/s`, `1 Gbit/s`."""
    if mbit < 1:
        return f'{mbit * 1e3:g} kbit/s'
    return f'{mbit:g} Mbit/s' if mbit < 1000 else f'{mbit / 1e3:g} Gbit/s'


def split_rate(rate: int) -> str:
    """Return the name of the way on which Z_b travels at a rate of the bundle."""
    return f'split:{rate}'


def measure_pieces(
    bundle: Bundle, pictures: Sequence[NDArray[np.uint8]], rounds: int
) -> dict[str, Piece]:
    """Measure every way of a bundle.

    Args:
        bundle: The bundle.
        pictures: RGB, uint8 [H, W, 3].
        rounds: How often each picture goes each way; all ways in turn, so that noise meets all.

    Returns:
        By name: `local` (the edge alone), `raw picture` and `jpeg:80` (the whole network on the
        server), `float32` (Z_b as it is) and `split:K` (Z_b, coded). Times are medians.
    """
    options = BackendOptions(threads=1)
    encoder = load_network(bundle.encoder_path, options=options)
    edge = EncodeStage(bundle, encoder)
    server = TailStage(bundle, load_network(bundle.tail_path, options=options), encoder=encoder)
    edge.warm_up()
    server.warm_up()
    ways: dict[str, _Send] = {
        LOCAL: _local, RAW: _raw, FLOAT32: _float32,
        JPEG: _coded(CodecId.JPEG, PICTURE_QUALITY.index(QUALITY)),
    }  # fmt: skip
    ways |= {split_rate(k): _coded(CodecId.ENTROPY, k) for k in range(len(bundle.rates))}
    found: dict[str, list[Piece]] = {name: [] for name in ways}
    for picture in [picture for _ in range(rounds) for picture in pictures]:
        for name, send in ways.items():
            found[name].append(send(bundle, edge, server, picture))
    return {name: _summary(pieces) for name, pieces in found.items()}


_Send = Callable[[Bundle, EncodeStage, TailStage, NDArray[np.uint8]], Piece]


def _summary(pieces: Sequence[Piece]) -> Piece:
    edge, server = ([getattr(p, name) for p in pieces] for name in ('edge_ms', 'server_ms'))
    return Piece(
        float(np.median(edge)),
        float(np.mean([piece.bytes for piece in pieces])),
        float(np.median(server)),
        _spread(edge),
        _spread(server),
    )


def _spread(times: Sequence[float]) -> float:
    low, high = np.percentile(times, (25, 75))
    return float(high - low) / 2


def show_ms(value: float, spread: float) -> str:
    """Return a time for a table, with its spread."""
    return f'{value:.1f} ± {spread:.1f}' if value or spread else figure(value, 1)


def _local(
    _bundle: Bundle, edge: EncodeStage, server: TailStage, picture: NDArray[np.uint8]
) -> Piece:
    start = _now_ms()
    server.run_features(*edge.features(picture))
    return Piece(_now_ms() - start, 0.0, 0.0)


def _raw(bundle: Bundle, edge: EncodeStage, server: TailStage, picture: NDArray[np.uint8]) -> Piece:
    start = _now_ms()
    size = bundle.input
    seen = Letterbox.fit(picture.shape[1], picture.shape[0], size.width, size.height).apply(picture)
    sent = _now_ms()
    server.run_features(*edge.features(seen))
    return Piece(sent - start, float(seen.nbytes), _now_ms() - sent)


def _float32(
    _bundle: Bundle, edge: EncodeStage, server: TailStage, picture: NDArray[np.uint8]
) -> Piece:
    start = _now_ms()
    z, letterbox = edge.features(picture)
    sent = _now_ms()
    server.run_features(z, letterbox)
    return Piece(sent - start, float(z.nbytes), _now_ms() - sent)


def _coded(codec: CodecId, rate: int) -> _Send:
    def send(
        _bundle: Bundle, edge: EncodeStage, server: TailStage, picture: NDArray[np.uint8]
    ) -> Piece:
        start = _now_ms()
        packet = edge.encode(picture, rate, codec, 0)
        sent = _now_ms()
        server.run(packet)
        return Piece(sent - start, float(len(packet.payload)), _now_ms() - sent)

    return send


def _now_ms() -> float:
    # What else runs on this machine hardly counts in processor time, and each side has one thread.
    return time.process_time() * 1e3


def read_pieces(found: Mapping[str, Mapping[str, float]]) -> dict[str, Piece]:
    """Return pieces from what results.json has of them."""
    return {name: Piece(**values) for name, values in found.items()}
