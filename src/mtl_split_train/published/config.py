# SPDX-License-Identifier: Apache-2.0
"""What a configuration of the family `mtl_split` says."""

from dataclasses import asdict, dataclass, field
from typing import Any

from mtl_split_core.errors import DataError
from mtl_split_train.attributes import READERS
from mtl_split_train.config import BundleConfig, build_config
from mtl_split_train.mtl_split_family import PUBLISHED_BACKBONES, Recipe


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The shared backbone.

    Args:
        backbone: One of ``PUBLISHED_BACKBONES``.
        weights: torchvision's published weights by name, such as ``DEFAULT``; None for random
            ones. The published code takes weights for FACES alone.
    """

    backbone: str = 'mobilenet_v3_small'
    weights: str | None = None

    def __post_init__(self) -> None:
        if self.backbone not in PUBLISHED_BACKBONES:
            msg = (
                f'network.backbone is {self.backbone!r}; it must be one of '
                f'{", ".join(PUBLISHED_BACKBONES)}'
            )
            raise DataError(msg)


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where the pictures are and which of their tasks are learnt.

    Args:
        format: One of ``attributes.READERS``.
        root: Folder of the data set, where ``--data`` names no other; what is made needs none.
        train: Split to train on.
        val: Split for the figures along the way and for choosing a checkpoint.
        tasks: Names of the tasks to learn; all of the data if empty.
        limit: At most so many samples of each split, spread over it; 0 for all.
        input_width: Width of the network's input, pixel, a multiple of 32.
        input_height: Its height.
        workers: Loader processes.
    """

    format: str = 'shapes'
    root: str = ''
    train: str = 'train'
    val: str = 'val'
    tasks: list[str] = field(default_factory=list)
    limit: int = 0
    input_width: int = 224
    input_height: int = 224
    workers: int = 0

    def __post_init__(self) -> None:
        if self.format not in READERS:
            msg = f'data.format is {self.format!r}; it must be one of {", ".join(READERS)}'
            raise DataError(msg)
        if self.limit < 0 or self.workers < 0:
            msg = f'data.limit is {self.limit}, data.workers {self.workers}; use 0 or more'
            raise DataError(msg)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the network's input, pixel."""
        return self.input_height, self.input_width


@dataclass(frozen=True, slots=True)
class PublishedConfig:
    """A whole training run."""

    bundle: BundleConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    schedule: Recipe = field(default_factory=Recipe)


def parse(content: Any, source: str = 'configuration') -> PublishedConfig:
    """Build a configuration from plain mappings, without the key `family`.

    Raises:
        DataError: A key is unknown, missing or of another type; names the dotted key.
    """
    return build_config(PublishedConfig, content, source)


def mapping(config: PublishedConfig) -> dict[str, Any]:
    """Return a configuration as plain mappings, the inverse of ``parse``."""
    return asdict(config)
