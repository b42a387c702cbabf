# SPDX-License-Identifier: Apache-2.0
"""Backbones cut at a stage."""

from pathlib import Path

import pytest
import torch

from mtl_split_core.errors import DataError
from mtl_split_train.backbone import BACKBONES, Backbone, describe_stages, stages

from torchvision import models  # isort: skip (it needs the operators that the room declares)


@pytest.mark.parametrize('name', ['mobilenet_v3_small', 'resnet18', 'efficientnet_b0'])
def test_described_stages_are_what_the_backbone_gives(name: str) -> None:
    for info in describe_stages(name)[::2]:
        with torch.no_grad():
            features = Backbone(name, info.stage).eval()(torch.zeros(1, 3, 96, 64))
        assert features.shape == (1, info.channels, 96 // info.stride, 64 // info.stride)


def test_the_cut_leaves_the_rest_out() -> None:
    parameters = [
        sum(p.numel() for p in Backbone('mobilenet_v3_large', stage).parameters())
        for stage in (3, 7, 11)
    ]
    assert parameters == sorted(parameters)
    assert parameters[0] < parameters[-1] / 10


def test_levels_are_the_features_at_each_stride() -> None:
    backbone = Backbone('mobilenet_v3_large', 11, finest=4).eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        levels = backbone.levels(x)
        assert torch.equal(levels[-1], backbone(x))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (24, 16, 24),
        (40, 8, 12),
        (80, 4, 6),
    ]


def test_a_stride_that_the_backbone_does_not_have_is_refused() -> None:
    with pytest.raises(DataError, match=r"'resnet18' has no features at stride 8 before stage 2"):
        Backbone('resnet18', 2, finest=8)


def test_an_unknown_backbone_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"backbone is 'resnet19'; use one of .*resnet18.*vgg16"):
        stages('resnet19')


def test_a_stage_that_does_not_exist_is_refused() -> None:
    with pytest.raises(
        DataError, match=r'stage 6 of backbone .resnet18. does not exist; it has stages 1 to 5'
    ):
        Backbone('resnet18', 6)


def test_unknown_weights_say_where_to_put_them() -> None:
    with pytest.raises(DataError, match=r'weights .NOT_THERE. of backbone .resnet18.*checkpoints'):
        stages('resnet18', 'NOT_THERE')


def test_cached_weights_are_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the cache folder is found by its name, as where it was downloaded once."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    made = models.resnet18()
    published = models.ResNet18_Weights.IMAGENET1K_V1
    folder = tmp_path / 'hub' / 'checkpoints'
    folder.mkdir(parents=True)
    torch.save(made.state_dict(), folder / published.url.rsplit('/', 1)[1])
    loaded = Backbone('resnet18', 2, weights='IMAGENET1K_V1')
    assert torch.equal(loaded.layers[0][0].weight, made.conv1.weight)


def test_every_listed_backbone_can_be_built() -> None:
    for name in BACKBONES:
        assert describe_stages(name)[-1].stride == 32
