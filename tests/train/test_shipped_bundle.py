# SPDX-License-Identifier: Apache-2.0
"""The bundle that ships, on pictures of its clip: rates, the split, and what rounding may do."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.compose
import pytest
import torch
from numpy.typing import NDArray

from mtl_split_core.backend import BackendOptions, Network, load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.codecs import dequantise, make_codecs, make_coder, quantise
from mtl_split_core.context_entropy import ContextCoder
from mtl_split_core.geometry import Letterbox
from mtl_split_core.tables import CodecTables
from mtl_split_train.data import normalise
from mtl_split_train.torch_backend import TorchBackend
from mtl_split_train.torch_weights import load_weights

BACKENDS = ('onnxruntime', 'torch')
DIFFERING = 1e-3
"""Largest share of symbols that two encoders may round differently."""


@pytest.fixture(scope='module')
def bundle() -> Bundle:
    return load_bundle(Path(__file__).parents[2] / 'models/camvid')


@pytest.fixture(scope='module')
def images(bundle: Bundle) -> list[NDArray[np.float32]]:
    """Two pictures three seconds apart, as the encoder takes them."""
    pytest.importorskip('rclpy', reason='needs ROS 2 to read the clip')
    from mtl_split_tools.frames import labelled_frames  # noqa: PLC0415

    _, pictures = labelled_frames(None, bundle)
    size = (bundle.input.width, bundle.input.height)
    chosen = list(islice(pictures, 0, 46, 45))
    return [
        normalise(Letterbox.fit(p.shape[1], p.shape[0], *size).apply(p))[None].numpy()
        for p in chosen
    ]


def load(path: Path, backend: str, threads: int = 1) -> Network:
    options = BackendOptions(threads=threads)
    if backend == 'torch':
        return TorchBackend().load(path, options)
    return load_network(path, options=options)


def encode(bundle: Bundle, image: NDArray[np.float32], *how: Any) -> NDArray[np.float32]:
    return load(bundle.encoder_path, *how).run({'image': image})['z_b'][0]


def symbols_of(z: NDArray[np.float32], tables: CodecTables) -> list[NDArray[np.int32]]:
    return [quantise(z, tables, rate) for rate in range(tables.rates)]


def test_its_rates_mean_something(bundle: Bundle) -> None:
    """Five and more, the smallest first, each measured, and no message that never leaves."""
    rates = bundle.rates
    assert len(rates) >= 5
    means = [rate.bytes_mean or 0.0 for rate in rates]
    assert means == sorted(set(means))
    for rate in rates:
        assert 0 < (rate.bytes_mean or 0) <= (rate.bytes_p95 or 0) <= (rate.bytes_max or 0) < 60_000
    scores = [[r.miou or 0.0, r.map50 or 0.0, r.accuracy or 0.0] for r in rates]
    assert min(map(min, scores)) > 0
    assert np.mean(scores[-1]) == pytest.approx(max(map(np.mean, scores)), abs=0.01)
    assert np.mean(scores[0]) == min(map(np.mean, scores))


def unsplit(
    bundle: Bundle, backend: str, image: NDArray[np.float32], folder: Path
) -> dict[str, NDArray[Any]]:
    """Run it in one piece: both torch modules in a row, or one ONNX graph made of the two."""
    if backend == 'torch':
        encoder, tail = (load_weights(path) for path in (bundle.encoder_path, bundle.tail_path))
        with torch.inference_mode():
            answers = tail[0](encoder[0](torch.from_numpy(image)))
        return {name: value.numpy() for name, value in zip(tail[2], answers, strict=True)}
    halves = [onnx.load(path) for path in (bundle.encoder_path, bundle.tail_path)]
    prefixed = [onnx.compose.add_prefix(half, f'{i}/') for i, half in enumerate(halves)]
    whole = onnx.compose.merge_models(*prefixed, io_map=[('0/z_b', '1/z_b')])
    onnx.save(whole, folder / 'whole.onnx')
    found = load_network(folder / 'whole.onnx').run({'0/image': image})
    return {name.removeprefix('1/'): value for name, value in found.items()}


@pytest.mark.parametrize('backend', BACKENDS)
def test_lossless_split_equals_unsplit_to_the_last_bit(
    bundle: Bundle, images: list[NDArray[np.float32]], backend: str, tmp_path: Path
) -> None:
    tail, codec = load(bundle.tail_path, backend), make_codecs(bundle)[CodecId.LOSSLESS]
    for image in images:
        z = encode(bundle, image, backend)
        received = codec.decode(codec.encode(z, 0), 0, bundle.feature_shape)
        found, expected = (
            tail.run({'z_b': received[None]}),
            unsplit(bundle, backend, image, tmp_path),
        )
        assert found.keys() == expected.keys() == {'boxes', 'scores', 'mask', 'time_of_day'}
        for name, value in expected.items():
            assert found[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize('how', [('torch', 1), ('torch', 2), ('onnxruntime', 2)])
def test_encoders_round_few_symbols_differently(
    bundle: Bundle, images: list[NDArray[np.float32]], how: tuple[str, int]
) -> None:
    """Each against ONNX Runtime with one thread, which counted the tables."""
    differing = total = 0
    for image in images:
        first, second = encode(bundle, image, 'onnxruntime'), encode(bundle, image, *how)
        pairs = (symbols_of(z, bundle.tables) for z in (first, second))
        for one, other in zip(*pairs, strict=True):
            off = np.abs(one - other)
            assert off.max() <= 1
            differing, total = differing + int(off.sum()), total + off.size
    assert differing <= DIFFERING * total, f'{differing} of {total} symbols differ'


def test_payload_is_within_two_per_cent_of_the_information_of_its_tables(
    bundle: Bundle, images: list[NDArray[np.float32]]
) -> None:
    coder = make_coder(bundle.tables)
    assert isinstance(coder, ContextCoder)
    for image in images:
        z = encode(bundle, image, 'onnxruntime')
        for rate, symbols in enumerate(symbols_of(z, bundle.tables)):
            information = coder.information(symbols, rate).sum() / 8
            assert information <= len(coder.encode(symbols, rate)) <= 1.02 * information


def test_what_other_rounding_may_do_to_the_answers(
    bundle: Bundle, images: list[NDArray[np.float32]]
) -> None:
    """As many symbols as may differ go the other way, those that are nearest to it."""
    tail, tables = load_network(bundle.tail_path), bundle.tables
    for image in images:
        z = encode(bundle, image, 'onnxruntime')
        for rate, symbols in enumerate(symbols_of(z, tables)):
            beyond = z * tables.gain[rate][:, None, None] - symbols
            count = int(DIFFERING * symbols.size)
            nearest = np.argsort(-np.abs(beyond), axis=None)[:count]
            other = symbols.copy()
            other.ravel()[nearest] += np.sign(beyond.ravel()[nearest]).astype(np.int32)
            other = quantise(other / tables.gain[rate][:, None, None], tables, rate)
            assert (other != symbols).sum() > 0.9 * count
            one, two = (
                tail.run({'z_b': dequantise(s, tables, rate)[None]}) for s in (symbols, other)
            )
            assert 0 < (one['mask'] != two['mask']).mean() < 0.03
            assert np.abs(one['scores'] - two['scores']).max() < 0.2
            assert np.abs(one['time_of_day'] - two['time_of_day']).max() < 0.05


def test_the_same_symbols_are_the_same_bytes_in_several_threads(
    bundle: Bundle, images: list[NDArray[np.float32]]
) -> None:
    """Coders of their own, tables read anew; one of them codes what another has decoded."""
    frames = symbols_of(encode(bundle, images[0], 'onnxruntime'), bundle.tables)
    coder = make_coder(bundle.tables)
    expected = [coder.encode(symbols, rate) for rate, symbols in enumerate(frames)]

    def again(_number: int) -> list[bytes]:
        own = make_coder(CodecTables.load(bundle.path / 'tables.npz'))
        found = []
        for rate, symbols in enumerate(frames):
            decoded = own.decode(expected[rate], rate, symbols.shape[1:])
            np.testing.assert_array_equal(decoded, symbols)
            found.append(own.encode(decoded, rate))
        return found

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(again, range(8))) == [expected] * 8
