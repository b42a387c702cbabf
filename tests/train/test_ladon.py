# SPDX-License-Identifier: Apache-2.0
"""Ladon's codec as published: its size, its normalisation, its first stage, its bundle."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.tiny_bundle import street_image

import mtl_split_train.vision  # noqa: F401  (declares operators before torchvision's import)
from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codecs import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import DataError
from mtl_split_core.tail import TailStage
from mtl_split_train.config import BundleConfig
from mtl_split_train.data import normalise
from mtl_split_train.family_export import export_halves, ladon_halves
from mtl_split_train.gdn import GDN
from mtl_split_train.ladon.mimic import mimic, mimic_loss, teacher_features
from mtl_split_train.ladon.network import LadonNetwork, load_teacher, make_decoder, make_encoder

from torchvision.models import ResNet  # isort: skip
from torchvision.models.resnet import Bottleneck  # isort: skip

# The fixtures count: training and two exports on a busy machine.
pytestmark = pytest.mark.timeout(300)

SIDE = 32
CLASSES = ('day', 'dusk', 'night')
NOTES = BundleConfig('ladon', '0.1.0', 'A few steps on made pictures.', 'Apache-2.0')


def small_teacher() -> ResNet:
    """A ResNet with the widths between layers of ResNet-50, but shallow and thin inside."""
    torch.manual_seed(0)
    return ResNet(Bottleneck, [1, 1, 1, 1], num_classes=len(CLASSES), width_per_group=8)


def made_pictures() -> list[NDArray[np.uint8]]:
    return [street_image(SIDE, SIDE, seed) for seed in range(8)]


def trained(beta: float) -> tuple[LadonNetwork, ResNet, torch.Tensor, list[float]]:
    teacher = small_teacher()
    network = LadonNetwork(teacher, CLASSES, 'time_of_day', (SIDE, SIDE))
    batch = torch.stack([normalise(picture) for picture in made_pictures()])
    history = mimic(network, teacher, [batch] * 15, beta)
    return network, teacher, batch, history


@pytest.fixture(scope='module')
def ladon_bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, LadonNetwork]:
    network, *_ = trained(1.28)
    out = tmp_path_factory.mktemp('ladon') / 'bundle'
    halves = ladon_halves(network, {'beta': 1.28})
    return export_halves(halves, NOTES, made_pictures(), out), network


def test_the_encoder_has_the_papers_parameters() -> None:
    assert sum(p.numel() for p in make_encoder().parameters()) == 138_672


def test_the_decoder_restores_stage_1_of_resnet_50() -> None:
    with torch.device('meta'):
        x = torch.zeros(1, 3, 416, 416)
        z = make_encoder()(x)
        wanted = next(teacher_features(load_teacher(None).eval(), x))
        restored = make_decoder()(z)
    assert z.shape == (1, 24, 103, 103)
    assert restored.shape == wanted.shape == (1, 256, 104, 104)


def test_gdn_is_its_formula_and_its_inverse() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5)
    divide, multiply = GDN(3), GDN(3, inverse=True)
    with torch.no_grad():
        divide.gamma_root.uniform_(0.1, 1.0)
        multiply.load_state_dict(divide.state_dict())
        beta, gamma = divide.beta_root**2 + 1e-6, divide.gamma_root**2
        norm = beta[:, None, None] + torch.einsum('ij,njhw->nihw', gamma, x.abs())
        assert torch.allclose(divide(x), x / norm, atol=1e-6)
        assert torch.allclose(multiply(x), x * norm, atol=1e-5)


def test_stage_1_learns_codec_and_prior_alone() -> None:
    before = small_teacher().state_dict()
    network, teacher, _, history = trained(0.1)
    assert np.mean(history[-3:]) < 0.8 * history[0]
    assert not torch.equal(network.encoder[0].weight, make_encoder()[0].weight)
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_larger_beta_takes_fewer_bits() -> None:
    bits = []
    for beta in (0.01, 20.48):
        network, teacher, batch, _ = trained(beta)
        torch.manual_seed(1)
        with torch.no_grad():
            bits.append(float(mimic_loss(network, teacher, batch, beta)[1]))
    assert bits[1] < bits[0]


def test_wrong_settings_are_named() -> None:
    with pytest.raises(DataError, match='2 names for the 3 classes'):
        LadonNetwork(small_teacher(), ('a', 'b'))
    with pytest.raises(DataError, match=r'size \(30, 32\).*multiples of 4'):
        LadonNetwork(small_teacher(), CLASSES, size=(30, 32))
    with pytest.raises(DataError, match="weights 'MOON' of resnet50"):
        load_teacher('MOON')


def test_the_bundle_answers_as_the_network(
    ladon_bundle: tuple[Bundle, LadonNetwork],
) -> None:
    bundle, network = ladon_bundle
    picture = made_pictures()[3]
    assert bundle.family == 'ladon'
    assert bundle.feature_shape == (24, SIDE // 4 - 1, SIDE // 4 - 1)
    # As published: one network per rate, and the symbols are z itself, rounded.
    assert bundle.tables.gain.tolist() == [[1.0] * 24]
    encode = EncodeStage(bundle, load_network(bundle.encoder_path))
    tail = TailStage(bundle, load_network(bundle.tail_path))
    (answer,) = tail.run(encode.encode(picture, 0, CodecId.ENTROPY, 0)).classifications
    with torch.no_grad():
        z = network.encoder(normalise(picture)[None])
        (logits,) = network.body(z.round())
    assert answer.task == 'time_of_day'
    np.testing.assert_allclose(answer.scores, logits[0].softmax(0).numpy(), atol=5e-3)
