# SPDX-License-Identifier: Apache-2.0
"""Ladon as published: its codec, its teacher, its losses, the plan of its stages."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_bundle import street_image

import mtl_split_train.vision  # noqa: F401  (declares operators before torchvision's import)
from mtl_split_core.errors import DataError
from mtl_split_train.config import build_config, read_config
from mtl_split_train.data import NO_ATTRIBUTE, normalise
from mtl_split_train.families import KEY, find_family
from mtl_split_train.gdn import GDN
from mtl_split_train.ladon.config import (
    PUBLISHED_BETAS,
    LadonConfig,
    NetworkConfig,
    StageConfig,
    TeacherConfig,
)
from mtl_split_train.ladon.mimic import distil_loss, mimic_loss, relative_mimic_loss
from mtl_split_train.ladon.network import LadonNetwork, make_decoder, make_encoder
from mtl_split_train.ladon.prior import FactorisedPrior
from mtl_split_train.ladon.stages import Stage, optimiser, plan
from mtl_split_train.ladon.teacher import Teacher, load_teacher, make_resnet, resnet_widths
from mtl_split_train.samples import Classes

SIDE = 32
CLASSES = Classes(attribute='time_of_day', values=('day', 'dusk', 'night'))
SMALL = NetworkConfig(backbone='resnet18', width=16, representation=16, proposals=10)
BUNDLE = {'name': 'x', 'version': '1.0.0', 'description': 'd', 'licence': 'l'}


def make_config(**changes: Any) -> LadonConfig:
    return build_config(LadonConfig, {'bundle': BUNDLE, **changes}, 'a file')


def taught(betas: tuple[float, ...], steps: int) -> tuple[LadonNetwork, list[float], list[float]]:
    """A network after some steps of stage 1; its losses and bits."""
    torch.manual_seed(0)
    form = 'extended' if len(betas) > 1 else 'published'
    config = NetworkConfig(backbone='resnet18', form=form)
    teacher = Teacher(make_resnet('resnet18'), CLASSES, config).eval().requires_grad_(False)
    network = LadonNetwork(config, CLASSES, betas)
    network.follow(teacher)
    network.eval()
    network.bottleneck.train()
    x = torch.stack([normalise(street_image(SIDE, SIDE, seed)) for seed in range(4)])
    wanted = teacher.features(x)
    parameters = [
        p
        for part in (network.encoder, network.bottleneck, network.body.decoder)
        for p in part.parameters()
    ]
    learner = torch.optim.Adam(parameters, 1e-3)
    losses, sizes = [], []
    for step in range(steps):
        rate = (torch.arange(len(x)) + step) % len(betas)
        received, bits = network.transmit(network.encoder(x), rate)
        found = network.body.features(received)
        loss = torch.stack(
            list(mimic_loss(found, wanted, bits, torch.tensor(betas)[rate]).values())
        ).sum()
        learner.zero_grad()
        loss.backward()
        learner.step()
        losses.append(float(loss.detach()))
        sizes.append(float(bits.detach().mean()))
    return network.eval(), losses, sizes


def test_the_encoder_has_the_papers_parameters() -> None:
    assert sum(p.numel() for p in make_encoder().parameters()) == 138_672


def test_the_decoder_restores_layer_1_of_resnet_50() -> None:
    with torch.device('meta'):
        x = torch.zeros(1, 3, 416, 416)
        z = make_encoder()(x)
        teacher = Teacher(make_resnet('resnet50'), Classes(), NetworkConfig()).eval()
        wanted = [tuple(f.shape) for f in teacher.features(x)]
        network = LadonNetwork(NetworkConfig(), Classes(), (1.28,)).eval()
        found = [tuple(f.shape) for f in network.body.features(z)]
    assert z.shape == (1, 24, 103, 103)
    assert make_decoder()(torch.zeros(1, 24, 3, 3)).shape == (1, 256, 4, 4)
    assert found == wanted
    assert found == [(1, 256, 104, 104), (1, 512, 52, 52), (1, 1024, 26, 26), (1, 2048, 13, 13)]
    assert resnet_widths(make_resnet('resnet18')) == (64, 128, 256, 512)


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


def test_the_prior_is_a_distribution() -> None:
    torch.manual_seed(0)
    prior = FactorisedPrior(2)
    with torch.no_grad():
        for factor in prior.factors:
            factor.uniform_(-1.0, 1.0)
    z = torch.arange(-200.0, 201.0).repeat(1, 2, 1, 1)
    assert (prior.logits(z).diff(dim=-1) > 0).all()
    share = 2.0 ** -prior.bits(z, torch.full((1, 2, 1, 1), 0.5))
    assert torch.allclose(share.sum(dim=-1), torch.ones(1, 2, 1), atol=1e-3)
    # It begins wide: about as a logistic distribution of scale 10 spreads.
    assert 4 < float((share * -share.log2()).detach().sum(dim=-1).mean()) < 8


def test_the_prior_fits_what_comes() -> None:
    torch.manual_seed(0)
    prior, half = FactorisedPrior(1), torch.full((1, 1, 1, 1), 0.5)
    z = (3 * torch.randn(1, 1, 40, 40)).round()
    learner = torch.optim.Adam(prior.parameters(), 0.02)
    for _ in range(150):
        loss = prior.bits(z, half).mean()
        learner.zero_grad()
        loss.backward()
        learner.step()
    _, counts = z.unique(return_counts=True)
    share = counts / counts.sum()
    entropy = float(-(share * share.log2()).sum())
    assert entropy - 1e-3 <= float(loss.detach()) < entropy + 0.05


def test_stage_1_learns_the_teachers_features() -> None:
    _, losses, _ = taught((0.1,), 10)
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_a_larger_beta_takes_fewer_bits() -> None:
    sizes = [taught((beta,), 8)[2][-1] for beta in (0.01, 20.48)]
    assert sizes[1] < sizes[0]


def test_one_encoder_has_all_rates() -> None:
    betas = (20.48, 1.28, 0.32)
    network, losses, _ = taught(betas, 9)
    assert losses[-1] < losses[0]
    x = normalise(street_image(SIDE, SIDE, 9))[None]
    with torch.no_grad():
        z = network.encoder(x)
        received = [network.transmit(z, torch.tensor([k]))[0] for k in range(3)]
        gains = network.bottleneck.log_gain.exp()
        whole = received[2] / network.bottleneck.log_step[2].exp()[None, :, None, None]
    errors = [float((r - z).square().mean()) for r in received]
    assert errors[0] > errors[1] > errors[2]
    assert (gains[0] < gains[1]).all()
    assert (gains[1] < gains[2]).all()
    assert gains.std() > 0
    # The gains start with beta^-1/2; they have learnt since.
    assert not torch.allclose(gains[2] / gains[0], torch.tensor((20.48 / 0.32) ** 0.5))
    assert torch.allclose(whole, whole.round(), atol=1e-4)
    with pytest.raises(DataError, match=r'as published there is one network for each'):
        LadonNetwork(SMALL, CLASSES, betas)


def test_as_published_symbols_are_z_rounded() -> None:
    network = LadonNetwork(SMALL, CLASSES, (1.28,)).eval()
    z = 3 * torch.randn(1, 24, 4, 5)
    with torch.no_grad():
        assert torch.equal(network.transmit(z, torch.zeros(1, dtype=torch.long))[0], z.round())
        network.bottleneck.train()
        noisy, bits = network.transmit(z, torch.zeros(1, dtype=torch.long))
    assert 0 < (noisy - z).abs().max() <= 0.5
    assert bits.shape == (1,)


def test_the_loss_of_stage_1_is_summed_over_a_picture() -> None:
    found = [torch.zeros(2, 3, 2, 2), torch.zeros(2, 5, 1, 1)]
    wanted = [torch.ones(2, 3, 2, 2), 2 * torch.ones(2, 5, 1, 1)]
    bits, beta = torch.tensor([10.0, 30.0]), torch.tensor([1.0, 2.0])
    parts = mimic_loss(found, wanted, bits, beta)
    assert {name: float(value) for name, value in parts.items()} == {'features': 32, 'rate': 35}
    relative = relative_mimic_loss(found, wanted, bits, beta)
    assert float(relative['features']) == 1
    assert float(relative['rate']) == pytest.approx(35 / 32)


def test_the_distillation_is_half_labels_half_teacher() -> None:
    torch.manual_seed(0)
    logits, other = torch.randn(3, 4), torch.randn(3, 4)
    labels = torch.tensor([1, NO_ATTRIBUTE, 3])
    own = torch.nn.functional.cross_entropy(logits[[0, 2]], labels[[0, 2]])
    shares = other.softmax(1)
    follow = (shares * (shares.log() - logits.log_softmax(1))).sum(1).mean()
    assert torch.allclose(distil_loss(logits, other, labels), (own + follow) / 2)


def test_the_stages_are_those_that_the_data_has_labels_for() -> None:
    everything = Classes(('car',), ('road', 'sky'), 'time', ('day', 'dusk'))
    config = make_config()
    assert [str(s) for s in plan(config, everything)] == [
        'mimic', 'distil', 'detection', 'segmentation',
    ]  # fmt: skip
    assert [str(s) for s in plan(config, Classes(segmentation=('road', 'sky')))] == [
        'mimic', 'segmentation',
    ]  # fmt: skip
    shorter = make_config(stages={'distil': {'epochs': 0, 'batch_size': 2, 'learning_rate': 1}})
    assert Stage.DISTIL not in plan(shorter, everything)
    assert plan(make_config(training='joint'), everything) == (Stage.JOINT,)
    none = {'joint': {'epochs': 0, 'batch_size': 2, 'learning_rate': 1}}
    with pytest.raises(DataError, match="'joint' has no stage with epochs above 0"):
        plan(make_config(training='joint', stages=none), everything)


def rates_of(stage: Stage, name: str = 'a') -> tuple[str, list[float]]:
    """Kind of optimiser, and its learning rate at each of ten steps, over the first."""
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    made = optimiser(stage, StageConfig(10, 2, 0.5), [(name, parameter)], 10)
    group = made['optimizer'].param_groups[0]
    found = []
    for _ in range(10):
        found.append(group['lr'])
        made['optimizer'].step()
        made['lr_scheduler']['scheduler'].step()
    return type(made['optimizer']).__name__, found


def test_the_schedules_are_those_of_ladons_configuration() -> None:
    assert rates_of(Stage.MIMIC) == (
        'Adam', pytest.approx([0.5] * 5 + [0.05] * 3 + [0.005] * 2),
    )  # fmt: skip
    assert rates_of(Stage.DISTIL) == ('SGD', pytest.approx([0.5] * 5 + [0.05] * 5))
    kind, rates = rates_of(Stage.DETECTION)
    assert kind == 'SGD'
    assert rates == pytest.approx([0.5] * 7 + [0.05] * 2 + [0.005])
    _, rates = rates_of(Stage.SEGMENTATION)
    assert rates == pytest.approx([0.5 * (1 - k / 10) ** 0.9 for k in range(10)])
    _, half = rates_of(Stage.SEGMENTATION, 'network.body.heads.segmentation.auxiliary.4.bias')
    assert half[0] == rates[0] / 2
    assert rates_of(Stage.JOINT)[0] == 'AdamW'
    assert (Stage.DETECTION.clip, Stage.MIMIC.clip) == (1.0, None)
    weights = [('a', torch.nn.Parameter(torch.ones(2)))]
    for stage, decay in (
        (Stage.DISTIL, 5e-4), (Stage.DETECTION, 1e-4), (Stage.SEGMENTATION, 1e-4),
    ):  # fmt: skip
        group = optimiser(stage, StageConfig(1, 2, 0.5), weights, 1)['optimizer'].param_groups[0]
        assert (group['momentum'], group['weight_decay']) == (0.9, decay)


def test_the_defaults_are_the_papers() -> None:
    config = make_config()
    assert (config.network.backbone, config.network.form) == ('resnet50', 'published')
    assert config.training == 'staged'
    stages = (config.stages.mimic, config.stages.distil, config.stages.detection)
    assert [(s.epochs, s.batch_size, s.learning_rate) for s in stages] == [
        (10, 32, 1e-3), (10, 16, 1e-3), (26, 8, 0.02),
    ]  # fmt: skip
    assert config.stages.segmentation.learning_rate == 0.02
    assert PUBLISHED_BETAS == (0.32, 1.28, 5.12, 10.24, 20.48)
    names = [f'beta-{beta}' for beta in sorted(PUBLISHED_BETAS, reverse=True)]
    assert config.networks() == {n: (float(n[5:]),) for n in names}
    extended = make_config(network={'form': 'extended'})
    assert extended.networks() == {'all-rates': (20.48, 10.24, 5.12, 1.28, 0.32)}


def test_shipped_configurations_are_read() -> None:
    found = []
    for path in (Path(__file__).parents[2] / 'experiments').glob('*.yaml'):
        content = read_config(path)
        if content.get(KEY) == 'ladon':
            family, rest = find_family(content, str(path))
            assert family.__name__ == 'mtl_split_train.ladon.family'  # type: ignore[attr-defined]
            config = build_config(LadonConfig, rest, str(path))
            found.append((config.bundle.name, config.network.form, config.training))
    assert sorted(found) == [
        ('ladon', 'published', 'staged'),
        ('ladon-camvid-small', 'extended', 'staged'),
        ('ladon-extended', 'extended', 'joint'),
    ]


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'network': {'backbone': 'vgg16'}}, "network.backbone is 'vgg16'; .* one of resnet18"),
        ({'network': {'form': 'x'}}, "network.form is 'x'; it must be one of published, extended"),
        ({'network': {'proposals': 0}}, 'network.proposals is 0; it must be 1 or more'),
        ({'betas': [1.0, 1.0]}, 'betas is .*; list different numbers above 0'),
        ({'training': 'fast'}, "training is 'fast'; it must be one of staged, joint"),
        ({'validate_every': 0}, 'validate_every is 0'),
        ({'teacher': {'weights': 'A', 'checkpoint': 'b'}}, 'give one of them'),
        (
            {'stages': {'mimic': {'epochs': 1, 'batch_size': 1, 'learning_rate': 0.1}}},
            'batch_size 1, .*2 or more',
        ),
    ],
)
def test_errors_name_the_key(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        make_config(**changes)


def test_teachers_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="weights 'MOON' of resnet18 cannot be had"):
        load_teacher(TeacherConfig(weights='MOON'), SMALL, CLASSES)
    path = tmp_path / 'x.pth'
    with pytest.raises(DataError, match=r'x\.pth cannot be read'):
        load_teacher(TeacherConfig(checkpoint=str(path)), SMALL, CLASSES)
    path.write_bytes(b'nonsense')
    with pytest.raises(DataError, match=r'x\.pth is no checkpoint'):
        load_teacher(TeacherConfig(checkpoint=str(path)), SMALL, CLASSES)
    torch.save({'fc.bias': torch.zeros(3)}, path)
    with pytest.raises(DataError, match=r'x\.pth is of another network than resnet18'):
        load_teacher(TeacherConfig(checkpoint=str(path)), SMALL, CLASSES)


def test_a_teacher_from_torchvisions_file(tmp_path: Path) -> None:
    resnet = make_resnet('resnet18')
    torch.save(resnet.state_dict(), tmp_path / 'resnet18.pth')
    settings = TeacherConfig(checkpoint=str(tmp_path / 'resnet18.pth'))
    teacher = load_teacher(settings, SMALL, CLASSES)
    assert torch.equal(teacher.stem[0].weight, resnet.conv1.weight)
    assert not teacher.knows_classes  # 1000 classes there
    thousand = Classes(attribute='object', values=tuple(f'c{i}' for i in range(1000)))
    known = load_teacher(settings, SMALL, thousand)
    assert known.knows_classes
    head = known.heads.classification
    assert head is not None
    assert torch.equal(head[2].weight, resnet.fc.weight)
