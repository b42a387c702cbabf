# SPDX-License-Identifier: Apache-2.0
"""From pictures with labels for whole-picture tasks to batches of tensors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mtl_split_core.errors import DataError
from mtl_split_core.geometry import Letterbox
from mtl_split_train.attributes import AttributeData, AttributeSample, read_attributes
from mtl_split_train.data import NO_ATTRIBUTE, normalise
from mtl_split_train.published.config import DataConfig
from mtl_split_train.samples import spread

#: Pictures are kept in memory up to this many bytes, each split.
_CACHED_BYTES = 2**30


class AttributeSet(Dataset[tuple[Tensor, Tensor]]):
    """Normalised picture [3, H, W] and class ids [T] int64 of each sample.

    A task without a label has ``NO_ATTRIBUTE``. Pictures are scaled as the nodes scale those of a
    camera; those that fit into memory are made or read once.

    Args:
        samples: Of one split.
        tasks: Names of the classes by name of the task, in the order of the ids.
        size: Height and width of the network's input, pixel.
    """

    def __init__(
        self,
        samples: Sequence[AttributeSample],
        tasks: Mapping[str, tuple[str, ...]],
        size: tuple[int, int],
    ) -> None:
        self.samples = samples
        self.tasks = dict(tasks)
        self.size = size
        kept = len(samples) * size[0] * size[1] * 3 <= _CACHED_BYTES
        self._cache: dict[int, NDArray[np.uint8]] | None = {} if kept else None

    def __len__(self) -> int:
        return len(self.samples)

    def only(self, tasks: Sequence[str]) -> 'AttributeSet':
        """Return the same pictures, which stay shared, with the labels of some tasks."""
        found = AttributeSet(self.samples, {name: self.tasks[name] for name in tasks}, self.size)
        found._cache = self._cache
        return found

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return a picture of the size of the network's input, uint8 [H, W, 3], RGB."""
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        image = self.samples[index].image()
        height, width = self.size
        picture = Letterbox.fit(image.shape[1], image.shape[0], width, height).apply(image)
        if self._cache is not None:
            self._cache[index] = picture
        return picture

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        values = self.samples[index].values
        ids = [NO_ATTRIBUTE if (id_ := values[name]) is None else id_ for name in self.tasks]
        return normalise(self.picture(index)), torch.tensor(ids)


def read_set(config: DataConfig, root: Path, split: str) -> AttributeSet:
    """Return a split of the data.

    Args:
        config: Of the data.
        root: Folder of the data set.
        split: Name of the split.

    Raises:
        DataError: Something is missing or does not fit, or the data has no such task.
    """
    data = read_attributes(config.format, root, split)
    samples = spread(data.samples, config.limit) if config.limit else data.samples
    if not samples:
        msg = f'{data.path} holds no samples of split {split!r}: check data.root and the split'
        raise DataError(msg)
    return AttributeSet(samples, choose_tasks(data, config.tasks), config.size)


def choose_tasks(data: AttributeData, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the classes of some tasks, in the order of ``names``; of all without names.

    Raises:
        DataError: The data has no task of such a name, or one is named twice.
    """
    if unknown := [name for name in names if name not in data.tasks]:
        msg = f'data.tasks names {unknown[0]!r}; {data.path} has {", ".join(data.tasks)}'
        raise DataError(msg)
    if len(set(names)) != len(names):
        msg = f'data.tasks is {list(names)}: name each task once'
        raise DataError(msg)
    return {name: data.tasks[name] for name in names or data.tasks}


def plain(tasks: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return tasks as plain lists, as a checkpoint keeps them."""
    return {name: list(classes) for name, classes in tasks.items()}
