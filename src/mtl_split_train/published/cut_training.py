# SPDX-License-Identifier: Apache-2.0
"""The training behind the experiment `where-to-split`: one network for each backbone."""

import json
import pickle
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mtl_split_core.errors import DataError
from mtl_split_train.backbone import BACKBONES, check_backbone
from mtl_split_train.mtl_split_family import MtlSplitNetwork, Recipe, fit
from mtl_split_train.published.comparison import settle_norms
from mtl_split_train.published.config import DataConfig
from mtl_split_train.published.data import AttributeSet, read_set

RIVAL = 80
"""Quality of the JPEG that a cut has to be smaller than."""

_NORMED = {'vgg16': 'vgg16_bn'}


@dataclass(frozen=True, slots=True)
class Training:
    """How one backbone is trained.

    Args:
        backbone: One of ``BACKBONES``.
        pictures: Pictures to train on.
        epochs: Passes over them.
        side: Height and width of the network's input, pixel, a multiple of 32.
        test: Pictures to measure on.
        normed: Train with batch norm behind each convolution and fold it into them afterwards: the
            network is then the plain one, with weights that it hardly learns in a few steps.
    """

    backbone: str
    pictures: int
    epochs: int
    side: int
    test: int
    normed: bool = False

    def __post_init__(self) -> None:
        check_backbone(self.backbone, BACKBONES)
        if self.normed and self.backbone not in _NORMED:
            msg = f'normed is for {", ".join(_NORMED)}, not for {self.backbone}: leave it out'
            raise DataError(msg)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is trained and measured.

    Args:
        networks: What is trained, each by itself.
        tasks: Names of the tasks, learnt together.
        bits: Of a value of Z_b.
        jpeg: Qualities of the pictures that the cuts stand beside, ``RIVAL`` among them.
        batch_size: Pictures of a step.
        learning_rate: Of AdamW.
        settle: As in ``comparison.Budget``.
        format: One of ``attributes.READERS``.
        root: Folder of the data set; what is drawn needs none.
    """

    networks: list[Training]
    tasks: list[str]
    bits: list[int]
    jpeg: list[int]
    batch_size: int = 32
    learning_rate: float = 1e-4
    settle: int = 0
    format: str = 'shapes'
    root: str = ''

    def __post_init__(self) -> None:
        if not self.networks or not self.tasks or RIVAL not in self.jpeg:
            msg = f'networks and tasks: at least one of each; jpeg is {self.jpeg}, {RIVAL} in it'
            raise DataError(msg)
        if not self.bits or not all(1 <= count <= 16 for count in self.bits):
            msg = f'bits is {self.bits}: at least one number from 1 to 16'
            raise DataError(msg)

    def settings(self, training: Training) -> dict[str, Any]:
        """Return all that the weights of a training depend on, beside the seed."""
        other = {'networks', 'bits', 'jpeg'}
        shared = {key: value for key, value in asdict(self).items() if key not in other}
        trained = asdict(training)
        del trained['test']
        return {**shared, **trained}

    def read(self, training: Training, split: str) -> AttributeSet:
        """Return the pictures to train on (`train`) or those to measure on (`val`, `test`)."""
        config = DataConfig(
            format=self.format,
            tasks=self.tasks,
            limit=training.pictures if split == 'train' else training.test,
            input_width=training.side,
            input_height=training.side,
        )
        return read_set(config, Path(self.root), split)


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budget of each size of the experiment."""

    smoke: Budget
    small: Budget
    full: Budget


class AnyNetwork(MtlSplitNetwork):
    """The published network on any backbone that can be cut, also on others than the paper's."""

    backbones = BACKBONES


def trained_network(training: Training, budget: Budget, seed: int, path: Path) -> MtlSplitNetwork:
    """Return a trained network, in evaluation mode.

    Args:
        training: Which.
        budget: How.
        seed: Of the first weights, the order and dropout.
        path: Where its weights are kept: taken from there if they were trained in the same way.
    """
    torch.manual_seed(seed)
    train = budget.read(training, 'train')
    name = _NORMED[training.backbone] if training.normed else training.backbone
    network = AnyNetwork(name, train.tasks, train.size)
    settings = json.dumps({**budget.settings(training), 'seed': seed}, sort_keys=True)
    state = _kept(path, settings)
    if state is None:
        network.to('cuda' if torch.cuda.is_available() else 'cpu')
        recipe = Recipe(training.epochs, budget.batch_size, budget.learning_rate, seed)
        fit(network, train, recipe)
        if budget.settle:
            settle_norms(network, train, budget.settle)
        _keep(path, settings, network)
    else:
        network.load_state_dict(state)
    network.eval()
    if training.normed:
        network.encoder.layers = nn.Sequential(*fold_norms(network.encoder.layers))
    return network


def fold_norms(layers: Iterable[nn.Module]) -> list[nn.Module]:
    """Return layers that give the same with each batch norm as a part of its convolution.

    Args:
        layers: In evaluation mode; a batch norm follows the convolution that it belongs to.
    """
    found: list[nn.Module] = []
    for layer in layers:
        before = found[-1] if found else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            found[-1] = fuse_conv_bn_eval(before, layer)
        else:
            found.append(layer)
    return found


def _kept(path: Path, settings: str) -> dict[str, torch.Tensor] | None:
    """Return weights of the same training; None where there are none that are whole."""
    try:
        document = torch.load(path, map_location='cpu', weights_only=True)
        if document['settings'] == settings:
            state: dict[str, torch.Tensor] = document['state']
            return state
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError):
        pass  # trained anew
    return None


def _keep(path: Path, settings: str, network: nn.Module) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part')
    torch.save({'settings': settings, 'state': network.state_dict()}, part)
    part.replace(path)
