# SPDX-License-Identifier: Apache-2.0
"""torchvision classification backbones, cut after a chosen stage: what runs on the camera side."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtl_split_core.errors import DataError
from mtl_split_train import vision  # noqa: F401  (declares operators before the next import)

from torchvision import models  # isort: skip

BACKBONES = (
    'efficientnet_b0',
    'mobilenet_v3_large',
    'mobilenet_v3_small',
    'resnet18',
    'resnet34',
    'resnet50',
    'vgg16',
    'vgg16_bn',
)

#: torchvision's mean and spread of ImageNet, RGB, for values 0 to 1; they travel in the bundle.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class StageInfo:
    """What one cut of a backbone gives: stage index, channels, stride in pixels."""

    stage: int
    channels: int
    stride: int


def check_backbone(name: str, known: Collection[str]) -> None:
    """Raise a DataError that names ``known``, where ``name`` is none of them."""
    if name not in known:
        msg = f'backbone is {name!r}; use one of {", ".join(known)}'
        raise DataError(msg)


def stages(name: str, weights: str | None = None) -> list[nn.Module]:
    """Return the feature stages of a torchvision backbone, in order.

    Args:
        name: One of ``BACKBONES``.
        weights: Name of torchvision's published weights, such as ``DEFAULT`` or
            ``IMAGENET1K_V1``, downloaded or taken from torch's cache; None for random ones.

    Raises:
        DataError: Unknown backbone, or weights that cannot be had.
    """
    check_backbone(name, BACKBONES)
    try:
        model = models.get_model(name, weights=weights)
    except (OSError, ValueError, KeyError) as error:
        msg = (
            f'weights {weights!r} of backbone {name!r} cannot be had ({error}); put the file into '
            f'{torch.hub.get_dir()}/checkpoints or set weights: null'
        )
        raise DataError(msg) from error
    if hasattr(model, 'features'):
        return list(model.features.children())
    stem = nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool)
    return [stem, model.layer1, model.layer2, model.layer3, model.layer4]


def describe_stages(name: str) -> list[StageInfo]:
    """Return channels and stride after each stage, by following the shapes of one picture."""
    side = 64
    found = []
    # On the meta device nothing is allocated, initialised or computed: only the shapes are.
    with torch.device('meta'), torch.no_grad():
        x = torch.zeros(1, 3, side, side)
        for index, module in enumerate(stages(name), start=1):
            x = module.eval()(x)
            found.append(StageInfo(index, x.shape[1], side // x.shape[2]))
    return found


class Backbone(nn.Module):
    """The first ``stage`` feature stages of a torchvision network.

    Maps a normalised picture [N, 3, H, W] to features [N, channels, H / stride, W / stride],
    sizes rounded up.

    Args:
        name: One of ``BACKBONES``.
        stage: How many stages.
        weights: torchvision's published weights, or None.
        finest: Stride of the finest features that ``levels`` gives, 0 for the last ones alone.
    """

    def __init__(self, name: str, stage: int, weights: str | None = None, finest: int = 0) -> None:
        super().__init__()
        known = describe_stages(name)
        if not 1 <= stage <= len(known):
            msg = (
                f'stage {stage} of backbone {name!r} does not exist; it has stages 1 to '
                f'{len(known)}'
            )
            raise DataError(msg)
        self.channels = known[stage - 1].channels
        self.stride = known[stage - 1].stride
        # The last stage at a stride has seen most.
        last = {info.stride: info for info in known[:stage]}
        if finest and (finest not in last or finest == self.stride):
            msg = f'backbone {name!r} has no features at stride {finest} before stage {stage}'
            raise DataError(msg)
        self.taps = [info for stride, info in last.items() if finest and stride >= finest]
        self.layers = nn.Sequential(*stages(name, weights)[:stage])

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of a batch."""
        features: Tensor = self.layers(x)
        return features

    def levels(self, x: Tensor) -> list[Tensor]:
        """Return the features of a batch at each stride of ``taps``, finest first."""
        found: list[Tensor] = []
        start = 0
        for tap in self.taps:
            x = self.layers[start : tap.stage](x)
            found.append(x)
            start = tap.stage
        return found
