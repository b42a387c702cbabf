# SPDX-License-Identifier: Apache-2.0
import itertools
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.counted_network import CountedNetwork
from tests.tiny_bundle import MEAN, STD

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import BackendError, BundleError, ImageError
from mtl_split_core.packet import check_packet


class FixedNetwork:
    """Gives the same array whatever comes in."""

    input_shapes: Mapping[str, tuple[int | None, ...]] = {'image': (1, 3, None, None)}
    output_names = ('z_b',)

    def __init__(self, z: NDArray[Any]) -> None:
        self._z = z

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return dict.fromkeys(self.output_names, self._z) if inputs else {}


@pytest.mark.parametrize('codec', list(CodecId))
def test_packet(
    encode_stage: EncodeStage, tiny_bundle: Bundle, image: NDArray[np.uint8], codec: CodecId
) -> None:
    packet = encode_stage.encode(image, 1, codec, 41, wait_us=5, convert_us=2**40)
    check_packet(packet, tiny_bundle)
    assert (packet.sequence, packet.codec, packet.rate) == (41, codec, 1)
    assert packet.crc32 == zlib.crc32(packet.payload)
    assert (packet.letterbox.source_width, packet.letterbox.source_height) == (150, 80)
    assert packet.edge_times_us.wait == 5
    assert packet.edge_times_us.convert == 2**32 - 1


def test_frames_decode_on_their_own_and_repeat(
    encode_stage: EncodeStage, image: NDArray[np.uint8]
) -> None:
    first = encode_stage.encode(image, 0, CodecId.ENTROPY, 0)
    encode_stage.encode(255 - image, 1, CodecId.ENTROPY, 1)
    assert encode_stage.encode(image, 0, CodecId.ENTROPY, 2).data == first.data


def test_a_higher_rate_takes_more_bytes(
    encode_stage: EncodeStage, image: NDArray[np.uint8]
) -> None:
    sizes = [len(encode_stage.encode(image, rate, CodecId.ENTROPY, 0).data) for rate in (0, 1)]
    assert sizes[0] < sizes[1] < 8 * 8 * 12 * 4


def test_features_are_those_of_the_normalised_letterbox(
    encode_stage: EncodeStage, tiny_bundle: Bundle, image: NDArray[np.uint8]
) -> None:
    z, letterbox = encode_stage.features(image)
    normal = (letterbox.apply(image) / 255 - MEAN) / STD
    network = load_network(tiny_bundle.encoder_path)
    inputs = {'image': normal.transpose(2, 0, 1)[None].astype(np.float32)}
    np.testing.assert_allclose(z, network.run(inputs)['z_b'][0], atol=1e-5)


def test_features_of_one_frame_survive_the_next(
    encode_stage: EncodeStage, image: NDArray[np.uint8]
) -> None:
    z, _ = encode_stage.features(image)
    before = z.copy()
    encode_stage.features(255 - image)
    np.testing.assert_array_equal(z, before)


def test_features_that_are_there_are_coded_without_the_network(
    tiny_bundle: Bundle, image: NDArray[np.uint8]
) -> None:
    network = CountedNetwork(load_network(tiny_bundle.encoder_path))
    stage = EncodeStage(tiny_bundle, network)
    whole = stage.encode(image, 1, CodecId.ENTROPY, 0)
    features = stage.features(image)
    runs = len(network.runs)
    packet = stage.encode(image, 1, CodecId.ENTROPY, 0, features=features)
    assert len(network.runs) == runs
    assert packet.data == whole.data
    assert packet.letterbox == whole.letterbox
    assert packet.edge_times_us.encode == packet.edge_times_us.letterbox == 0


def test_stage_times_come_from_the_clock(tiny_bundle: Bundle, image: NDArray[np.uint8]) -> None:
    ticks = itertools.count(0, 1_000_000)
    network = load_network(tiny_bundle.encoder_path)
    stage = EncodeStage(tiny_bundle, network, now=lambda: next(ticks))
    times = stage.encode(image, 0, CodecId.ENTROPY, 0).edge_times_us
    assert (times.letterbox, times.encode, times.entropy) == (1000, 1000, 1000)
    assert stage.encode(image, 0, CodecId.JPEG, 0).edge_times_us.encode == 0


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((64, 96), np.uint8),
        np.zeros((64, 96, 4), np.uint8),
        np.zeros((64, 96, 3), np.float32),
        np.zeros((1, 20000, 3), np.uint8),
    ],
)
def test_images_that_do_not_fit(encode_stage: EncodeStage, image: NDArray[Any]) -> None:
    with pytest.raises(ImageError, match='image'):
        encode_stage.encode(image, 0, CodecId.ENTROPY, 0)


@pytest.mark.parametrize(('rate', 'codec'), [(2, 1), (-1, 1), (5, 4)])
def test_rates_that_are_not_there(
    encode_stage: EncodeStage, image: NDArray[np.uint8], rate: int, codec: int
) -> None:
    with pytest.raises(BundleError, match=f'rate is {rate}, bundle tiny has 0 to'):
        encode_stage.encode(image, rate, CodecId(codec), 0)


def test_another_network_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"encoder network takes \{'z_b'.*expected \{'image'"):
        EncodeStage(tiny_bundle, load_network(tiny_bundle.tail_path))


def test_a_network_that_fails(tiny_bundle: Bundle, image: NDArray[np.uint8]) -> None:
    nan = np.full((1, 8, 8, 12), np.nan, np.float32)
    with pytest.raises(BackendError, match='not finite'):
        EncodeStage(tiny_bundle, FixedNetwork(nan)).encode(image, 0, CodecId.ENTROPY, 0)
    with pytest.raises(BundleError, match=r'z_b is float32 \[1, 8, 8, 11\]'):
        EncodeStage(tiny_bundle, FixedNetwork(nan[..., 1:])).features(image)


def test_warm_up(encode_stage: EncodeStage) -> None:
    encode_stage.warm_up()
