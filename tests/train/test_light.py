# SPDX-License-Identifier: Apache-2.0
"""The light of a picture beside the features: mean colour, sent in one position of Z_b."""

import numpy as np
import pytest
import torch

from mtl_split_core.geometry import PAD_VALUE, Letterbox
from mtl_split_train.bottleneck import Quantiser
from mtl_split_train.data import normalise
from mtl_split_train.light import LIGHT_GAIN, Light, read_light
from mtl_split_train.network import NetworkConfig, SplitNetwork

CLASSES = {'detection': 4, 'segmentation': 11, 'classification': 2}
SMALL = {'backbone': 'mobilenet_v3_small', 'stage': 9, 'channels': 8, 'width': 16, 'depth': 1}


def light_of(image: np.ndarray) -> torch.Tensor:
    return Light()(normalise(image)[None], (4, 6))


def one_colour(width: int, height: int, *colour: int) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def test_it_is_the_mean_colour_in_stops_above_the_padding() -> None:
    z = light_of(one_colour(96, 64, 2 * PAD_VALUE, PAD_VALUE // 2, PAD_VALUE))
    assert z.shape == (1, 3, 4, 6)
    assert z[0, :, 0, 0].tolist() == pytest.approx([8.0, -8.0, 0.0], abs=1e-3)
    assert z.count_nonzero() <= 3
    assert torch.equal(read_light(z), z[:, :, 0, 0])
    half = one_colour(96, 64, 200, 100, 50)
    half[:, 48:] = (100, 50, 25)
    assert read_light(light_of(half))[0].tolist() == pytest.approx(
        (8 * np.log2(np.array([150, 75, 37.5]) / PAD_VALUE)).tolist(), abs=1e-3
    )


@pytest.mark.parametrize('size', [(40, 64), (96, 30), (96, 64)])
def test_padding_does_not_count(size: tuple[int, int]) -> None:
    width, height = size
    image = Letterbox.fit(width, height, 96, 64).apply(one_colour(width, height, 30, 40, 60))
    bare = one_colour(96, 64, 30, 40, 60)
    assert torch.allclose(light_of(image), light_of(bare), atol=1e-3)


@pytest.mark.parametrize('value', [0, PAD_VALUE, 255])
def test_a_picture_without_any_light_has_a_finite_one(value: int) -> None:
    assert light_of(one_colour(96, 64, value, value, value)).isfinite().all()


def test_its_steps_are_the_same_at_every_rate_and_cost_nothing_in_the_estimate() -> None:
    plain, lit = (Quantiser([0.5, 4.0], channels=2, light=light) for light in (0, 3))
    z = torch.randn(2, 5, 5, 7)
    rate = torch.tensor([0, 1])
    received, bits = lit.quantise(z, rate)
    assert torch.allclose(received[:, 2:], (z[:, 2:] * LIGHT_GAIN).round() / LIGHT_GAIN)
    expected, same = plain.quantise(z[:, :2], rate)
    assert torch.equal(received[:, :2], expected)
    assert torch.equal(bits, same)
    assert torch.allclose(lit.gains * lit.steps, torch.ones(2, 5))


@pytest.mark.parametrize('detail', [0, 32])
def test_only_the_classification_sees_it(detail: int) -> None:
    config = NetworkConfig(light=True, detail_channels=detail, **SMALL)
    network = SplitNetwork(config, CLASSES, bits=[0.3, 1.0]).eval()
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        z = network.encoder(x)
        assert z.shape == (2, config.z_channels, 4, 6)
        assert config.z_channels == 11 + detail
        brighter = z.clone()
        brighter[:, -3:, 0, 0] += 1.0
        one, other = network.tail(z), network.tail(brighter)
    assert torch.equal(one.segmentation, other.segmentation)
    assert all(torch.equal(one.detection[k], other.detection[k]) for k in one.detection)
    assert not torch.allclose(one.classification, other.classification)


def test_a_network_without_classification_may_have_it() -> None:
    config = NetworkConfig(light=True, **SMALL)
    network = SplitNetwork(config, {**CLASSES, 'classification': 0}, bits=[0.3]).eval()
    assert network(torch.randn(1, 3, 64, 96), torch.tensor([0])).segmentation is not None
