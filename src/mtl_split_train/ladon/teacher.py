# SPDX-License-Identifier: Apache-2.0
"""What Ladon learns from: a whole ResNet, with the same heads where it is trained on our data."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtl_split_core.errors import DataError
from mtl_split_train import vision  # noqa: F401  (declares operators before the next import)
from mtl_split_train.ladon.config import NetworkConfig, TeacherConfig
from mtl_split_train.ladon.heads import TaskHeads
from mtl_split_train.samples import Classes

from torchvision.models import ResNet, get_model  # isort: skip


def make_resnet(backbone: str, weights: str | None = None) -> ResNet:
    """Return a ResNet (He et al., arXiv 1512.03385).

    Args:
        backbone: Its name in torchvision.
        weights: torchvision's published weights by name, such as ``IMAGENET1K_V2``, or None.

    Raises:
        DataError: Weights that cannot be had.
    """
    try:
        resnet: ResNet = get_model(backbone, weights=weights)
    except (OSError, ValueError, KeyError) as error:
        msg = (
            f'weights {weights!r} of {backbone} cannot be had ({error}); put the file into '
            f'{torch.hub.get_dir()}/checkpoints, give it as teacher.checkpoint, or give none and '
            'set stages.teacher.epochs'
        )
        raise DataError(msg) from error
    return resnet


def resnet_widths(resnet: ResNet) -> tuple[int, ...]:
    """Return the channels after layers 1 to 4."""
    last: int = resnet.fc.in_features
    return (last // 8, last // 4, last // 2, last)


class Teacher(nn.Module):
    """A ResNet with the heads of Ladon: the features to mimic and the answers to learn.

    Args:
        resnet: Its layers become part of this, and its last layer where the classes are as many.
        classes: Of the data.
        config: Sizes of the heads.
    """

    def __init__(self, resnet: ResNet, classes: Classes, config: NetworkConfig) -> None:
        super().__init__()
        self.stem = nn.Sequential(resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool)
        self.layers = nn.ModuleList([resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4])
        self.heads = TaskHeads(resnet_widths(resnet), classes, config)
        #: Whether its last layer, or all of its heads, know these classes.
        self.knows_classes = False
        self._take_classifier(resnet)

    def _take_classifier(self, resnet: ResNet) -> None:
        head = self.heads.classification
        if head is not None and head[2].weight.shape == resnet.fc.weight.shape:
            head[2].load_state_dict(resnet.fc.state_dict())
            self.knows_classes = True

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the features after layers 1 to 4 of pictures [N, 3, H, W]."""
        found: list[Tensor] = []
        x = self.stem(x)
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found


def load_teacher(settings: TeacherConfig, config: NetworkConfig, classes: Classes) -> Teacher:
    """Return the teacher as the configuration says, before its own stage.

    Args:
        settings: Weights by name, a checkpoint, or nothing.
        config: Sizes.
        classes: Of the data.

    Raises:
        DataError: Weights that cannot be had, or a checkpoint of another network.
    """
    if settings.checkpoint is None:
        return Teacher(make_resnet(config.backbone, settings.weights), classes, config)
    path = Path(settings.checkpoint)
    content = read_checkpoint(path)
    resnet = make_resnet(config.backbone)
    try:
        if 'state_dict' not in content:
            resnet.fc = nn.Linear(resnet.fc.in_features, len(content['fc.bias']))
            resnet.load_state_dict(content)
            return Teacher(resnet, classes, config)
        teacher = Teacher(resnet, classes, config)
        teacher.load_state_dict(
            {
                name.removeprefix('teacher.'): value
                for name, value in content['state_dict'].items()
                if name.startswith('teacher.')
            }
        )
    except (KeyError, RuntimeError, TypeError) as error:
        reason = ' '.join(str(error).split())[:200]
        msg = f'{path} is of another network than {config.backbone} for this data: {reason}'
        raise DataError(msg) from error
    teacher.knows_classes = True
    return teacher


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in it can run code.

    Raises:
        DataError: It is missing or no checkpoint.
    """
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except OSError as error:
        msg = f'{path} cannot be read ({error.strerror}); give a .ckpt or .pth file'
        raise DataError(msg) from error
    except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
        msg = f'{path} is no checkpoint ({" ".join(str(error).split())[:200]})'
        raise DataError(msg) from error
    if not isinstance(content, dict):
        msg = f'{path} is no checkpoint: it holds a {type(content).__name__}'
        raise DataError(msg)
    return content
