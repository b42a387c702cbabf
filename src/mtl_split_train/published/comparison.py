# SPDX-License-Identifier: Apache-2.0
"""One training run of the experiment `mtl-vs-stl`: a published network for one task or for several.

The recipe is the paper's (`Recipe`), its length the experiment's. What is measured is the last
epoch: the published code chooses its checkpoint on the pictures that it reports.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, Subset

from mtl_split_core.errors import DataError
from mtl_split_train.backbone import check_backbone
from mtl_split_train.mtl_split_family import PUBLISHED_BACKBONES, MtlSplitNetwork, Recipe, fit
from mtl_split_train.published.config import DataConfig
from mtl_split_train.published.data import AttributeSet, read_set
from mtl_split_train.published.score import Score
from mtl_split_train.samples import spread

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Length:
    """How long one backbone is trained: they need unlike many steps.

    Args:
        backbone: One of ``PUBLISHED_BACKBONES``.
        pictures: Pictures to train on, 0 for all.
        epochs: Passes over them.
    """

    backbone: str
    pictures: int
    epochs: int

    def __post_init__(self) -> None:
        check_backbone(self.backbone, PUBLISHED_BACKBONES)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is trained and on what.

    Args:
        networks: What is trained, and how long.
        tasks: Names of the tasks, which are learnt alone and together.
        seeds: Runs of each kind.
        test: Pictures to measure on, of `val` as of `test`, 0 for all.
        side: Height and width of the network's input, pixel, a multiple of 32.
        batch_size: Pictures of a step.
        learning_rate: Of AdamW.
        settle: Training pictures over which the statistics of batch norm are taken anew after the
            last epoch; 0 leaves them as the training left them, as in the paper. torchvision's
            MobileNetV3 moves them by a hundredth in a step, so that after a few hundred steps a
            part of what it is measured with is still the 0 and 1 of its start.
        format: One of ``attributes.READERS``.
        root: Folder of the data set; what is drawn needs none.
    """

    networks: list[Length]
    tasks: list[str]
    seeds: int
    test: int
    side: int
    batch_size: int = 32
    learning_rate: float = 1e-4
    settle: int = 0
    format: str = 'shapes'
    root: str = ''

    def __post_init__(self) -> None:
        if self.seeds < 1 or len(self.tasks) < 2:
            msg = f'seeds is {self.seeds}, tasks {self.tasks}: 1 seed or more, 2 tasks or more'
            raise DataError(msg)

    def recipe(self, network: Length, seed: int) -> Recipe:
        """Return the recipe of a run."""
        return Recipe(network.epochs, self.batch_size, self.learning_rate, seed)

    def read(self, split: str, pictures: int) -> AttributeSet:
        """Return the pictures of a split with the ids of all tasks.

        Args:
            split: `train`, `val` or `test`.
            pictures: At most so many, 0 for all.
        """
        config = DataConfig(
            format=self.format, tasks=self.tasks, limit=pictures,
            input_width=self.side, input_height=self.side,
        )  # fmt: skip
        return read_set(config, Path(self.root), split)


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budget of each size of the experiment."""

    smoke: Budget
    small: Budget
    full: Budget


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave.

    Args:
        val: Share of right answers by task, 0 to 1, of pictures of `val`, which are like those of
            the training. Whether a budget is enough is to be read here, never in `test`.
        test: The same of the test pictures.
        chance: What guessing gives, by task.
        loss: Mean of each epoch.
        edge_parameters: Of the backbone.
        server_parameters: Of the heads.
    """

    val: dict[str, float]
    test: dict[str, float]
    chance: dict[str, float]
    loss: list[float]
    edge_parameters: int
    server_parameters: int


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of a run.

    Args:
        train: To train on.
        val: Of scenes like those of the training.
        test: To measure on.
    """

    train: AttributeSet
    val: AttributeSet
    test: AttributeSet


def run(
    backbone: str, tasks: Sequence[str], recipe: Recipe, pictures: Pictures, settle: int
) -> Outcome:
    """Train a network from random weights and measure it.

    Args:
        backbone: One of ``PUBLISHED_BACKBONES``.
        tasks: What to learn, some of those of the pictures.
        recipe: How; its seed is also that of the first weights.
        pictures: What with.
        settle: As in ``Budget``.
    """
    train, val, test = (
        found.only(tasks) for found in (pictures.train, pictures.val, pictures.test)
    )
    torch.manual_seed(recipe.seed)
    network = MtlSplitNetwork(backbone, train.tasks, train.size)
    network.to('cuda' if torch.cuda.is_available() else 'cpu')
    history = fit(network, train, recipe)
    if settle:
        settle_norms(network, train, settle)
    return Outcome(
        accuracies(network, val),
        accuracies(network, test),
        {name: 1 / len(train.tasks[name]) for name in tasks},
        history,
        sum(p.numel() for p in network.encoder.parameters()),
        sum(p.numel() for p in network.tail.parameters()),
    )


def settle_norms(network: nn.Module, data: AttributeSet, count: int) -> None:
    """Take the statistics of batch norm anew, with the weights as they are.

    Args:
        network: Its statistics change, nothing else.
        data: Training pictures.
        count: At most so many of them, spread over all.
    """
    few = Subset(data, spread(range(len(data)), count))
    # Each batch counts by its number, so that a last one of a few pictures would count too much.
    loader = DataLoader(few, _BATCH, drop_last=len(few) > _BATCH)
    update_bn(loader, network, next(network.parameters()).device)


@torch.no_grad()
def accuracies(network: MtlSplitNetwork, data: AttributeSet) -> dict[str, float]:
    """Return the share of right answers by task, 0 to 1; NaN without labels.

    Args:
        network: In evaluation mode.
        data: Its tasks are those of the network.
    """
    device = next(network.parameters()).device
    score = Score(list(data.tasks))
    for pictures, labels in DataLoader(data, _BATCH):
        score.add(network(pictures.to(device)), labels)
    return score.shares()
