# SPDX-License-Identifier: Apache-2.0
"""MTL-Split as published: a whole backbone at the edge, one small head per task at the server.

Capogrosso et al., arXiv 2407.05982 (DAC 2024). It knows classification tasks only, any number of
them, and sends Z_b as it comes out of the backbone's features.

    image --> backbone.features --> Z_b --+--> head of task 1 --> class
                                          +--> head of task 2 --> class
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from mtl_split_core.errors import DataError
from mtl_split_train.backbone import Backbone, describe_stages
from mtl_split_train.data import NO_ATTRIBUTE

#: The backbones of the paper's experiments.
PUBLISHED_BACKBONES = (
    'efficientnet_b0',
    'mobilenet_v3_small',
    'resnet18',
    'vgg16',
    'vgg16_bn',
)
#: Neurons of the hidden layer of each head.
HIDDEN = 256
_FLOAT_BYTES = 4


class MtlSplitNetwork(nn.Module):
    """Shared backbone M_b and one head H_i per task (arXiv 2407.05982).

    Args:
        backbone: One of ``PUBLISHED_BACKBONES``.
        tasks: Names of the classes by name of the task.
        size: Height and width of the network input, pixel, multiples of 32; 224 in the paper.
        weights: torchvision's published weights by name, such as ``DEFAULT``, or None.

    Raises:
        DataError: Unknown backbone, no task, a task of one class, another size, or weights that
            cannot be had.
    """

    backbones: tuple[str, ...] = PUBLISHED_BACKBONES

    def __init__(
        self,
        backbone: str,
        tasks: Mapping[str, tuple[str, ...]],
        size: tuple[int, int] = (224, 224),
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if backbone not in self.backbones:
            msg = f'backbone {backbone!r} is not of the paper: {", ".join(self.backbones)}'
            raise DataError(msg)
        few = {name: classes for name, classes in tasks.items() if len(classes) < 2}
        if few or not tasks:
            msg = f'tasks {dict(few or tasks)}: at least one task, each with two classes or more'
            raise DataError(msg)
        last = describe_stages(backbone)[-1]
        if any(side < 1 or side % last.stride for side in size):
            msg = f'size {size}: both sides must be positive multiples of {last.stride}'
            raise DataError(msg)
        self.tasks = dict(tasks)
        self.size = size
        self.feature_shape = (last.channels, size[0] // last.stride, size[1] // last.stride)
        self.encoder = Backbone(backbone, last.stage, weights)
        self.tail = Heads(math.prod(self.feature_shape), [len(names) for names in tasks.values()])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map normalised pictures [N, 3, H, W] to logits [N, K] of each task."""
        logits: list[Tensor] = self.tail(self.encoder(x))
        return logits


class Heads(nn.Module):
    """One MLP per task on the flattened Z_b (arXiv 2407.05982).

    Args:
        values: Values of Z_b of one frame.
        classes: Number of classes of each task.
    """

    def __init__(self, values: int, classes: list[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Flatten(),
                nn.Linear(values, HIDDEN),
                nn.Dropout(0.1),
                nn.ReLU(),
                nn.Linear(HIDDEN, count),
            )
            for count in classes
        )

    def forward(self, z: Tensor) -> list[Tensor]:
        """Map Z_b [N, C, h, w] to logits [N, K] of each task."""
        return [head(z) for head in self.heads]


def task_losses(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Return the cross-entropy of each task, [T]; a task without labels has 0.

    Args:
        logits: Of each task, [N, K].
        labels: Class ids, [N, T] int64; ``NO_ATTRIBUTE`` where a sample has no label.
    """
    labelled = (labels != NO_ATTRIBUTE).sum(dim=0).clamp_min(1)
    sums = [
        functional.cross_entropy(y, labels[:, task], ignore_index=NO_ATTRIBUTE, reduction='sum')
        for task, y in enumerate(logits)
    ]
    return torch.stack(sums) / labelled


def joint_loss(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Return the unweighted sum of the cross-entropies (arXiv 2407.05982, section 3.2).

    Args:
        logits: Of each task, [N, K].
        labels: Class ids, [N, T] int64; ``NO_ATTRIBUTE`` where a sample has no label.
    """
    return task_losses(logits, labels).sum()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the paper trains (arXiv 2407.05982).

    The learning rate falls once, at half of the epochs, to a tenth (the factor is that of the
    published code, github.com/intelligolabs/MTL-Split).

    Args:
        epochs: Passes over the data.
        batch_size: Pictures of a step.
        learning_rate: Of AdamW; its weight decay is a hundredth of it.
        seed: Of shuffling and dropout.
    """

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            msg = f'{self}: epochs and batch_size must be 1 or more, learning_rate above 0'
            raise DataError(msg)

    def optimiser(
        self, network: nn.Module, epochs: int | None = None
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Return AdamW and the schedule, which steps once per epoch.

        Args:
            network: What is trained.
            epochs: Instead of the recipe's.
        """
        optimiser = torch.optim.AdamW(
            network.parameters(), self.learning_rate, weight_decay=self.learning_rate * 0.01
        )
        half = max(1, (epochs or self.epochs) // 2)
        return optimiser, torch.optim.lr_scheduler.StepLR(optimiser, half, gamma=0.1)


def fit(
    network: MtlSplitNetwork,
    data: Dataset[tuple[Tensor, Tensor]],
    recipe: Recipe,
    say: Callable[[int, float], None] = lambda _epoch, _loss: None,
) -> list[float]:
    """Train all tasks jointly, where the network lies (CPU or GPU).

    Args:
        network: Changed in place; in evaluation mode afterwards.
        data: Normalised picture [3, H, W] and class ids [T] int64 of each sample.
        recipe: How.
        say: Called after each epoch with its number, from 1, and its mean loss.

    Returns:
        The mean loss of each epoch.
    """
    torch.manual_seed(recipe.seed)
    device = next(network.parameters()).device
    order = torch.Generator().manual_seed(recipe.seed)
    loader = DataLoader(data, recipe.batch_size, shuffle=True, generator=order)
    optimiser, schedule = recipe.optimiser(network)
    # As the pictures are laid out: a third less work on a CPU.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    history = []
    for epoch in range(1, recipe.epochs + 1):
        total, seen = 0.0, 0
        for pictures, labels in loader:
            loss = joint_loss(network(pictures.to(device)), labels.to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total, seen = total + float(loss.detach()) * len(labels), seen + len(labels)
        schedule.step()
        history.append(total / seen)
        say(epoch, history[-1])
    network.eval()
    return history


@dataclass(frozen=True, slots=True)
class Summary:
    """Sizes of one network, as the paper's tables count them.

    Args:
        backbone: Its name.
        edge_parameters: Of the backbone's features.
        server_parameters: Of all heads.
        z_shape: C, h, w of Z_b.
    """

    backbone: str
    edge_parameters: int
    server_parameters: int
    z_shape: tuple[int, int, int]

    @property
    def edge_megabytes(self) -> float:
        """Float32 weights on the camera side, 10^6 bytes."""
        return self.edge_parameters * _FLOAT_BYTES / 1e6

    @property
    def z_bytes(self) -> int:
        """Z_b of one frame as float32, bytes."""
        channels, height, width = self.z_shape
        return channels * height * width * _FLOAT_BYTES


def summarise(
    backbone: str, classes: tuple[int, ...], size: tuple[int, int] = (224, 224)
) -> Summary:
    """Return the sizes of a network without allocating it.

    Args:
        backbone: One of ``PUBLISHED_BACKBONES``.
        classes: Number of classes of each task.
        size: Height and width of the network input, pixel.

    Raises:
        DataError: Unknown backbone, no task, or a task of one class.
    """
    tasks = {
        f'task_{index}': tuple(str(label) for label in range(count))
        for index, count in enumerate(classes)
    }
    with torch.device('meta'):
        network = MtlSplitNetwork(backbone, tasks, size)
    return Summary(
        backbone,
        sum(p.numel() for p in network.encoder.parameters()),
        sum(p.numel() for p in network.tail.parameters()),
        network.feature_shape,
    )
