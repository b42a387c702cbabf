# SPDX-License-Identifier: Apache-2.0
"""From a checked folder to batches of tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from mtl_split_core.geometry import Letterbox
from mtl_split_train.augment import Frame, augment, paste_objects
from mtl_split_train.config import TrainConfig
from mtl_split_train.dataset import SEGMENTATION_CLASSES, TIME_OF_DAY, Dataset, Sample

#: torchvision's mean and spread of ImageNet, RGB, for values 0 to 1; they travel in the bundle.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
#: A class with a smaller share of the training pixels is one that copy-paste adds to.
_RARE_SHARE = 0.02


@dataclass(slots=True)
class Batch:
    """Pictures [N, 3, H, W] normalised, labels [N, H, W] int64, boxes, attribute ids [N]."""

    images: Tensor
    labels: Tensor
    targets: list[dict[str, Tensor]]
    attribute: Tensor

    def to(self, device: torch.device) -> 'Batch':
        """Return the batch on ``device``."""
        return Batch(
            self.images.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            [{k: v.to(device, non_blocking=True) for k, v in t.items()} for t in self.targets],
            self.attribute.to(device, non_blocking=True),
        )


def load_frame(sample: Sample) -> Frame:
    """Read the pixels of a sample."""
    return Frame(
        sample.image(),
        sample.label(),
        sample.boxes,
        sample.class_ids.astype(np.int64),
        sample.iscrowd,
    )


def normalise(image: NDArray[np.uint8]) -> Tensor:
    """Turn uint8 [H, W, 3] into float32 [3, H, W] with the statistics above."""
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    x = (image.astype(np.float32) / np.float32(255) - mean) / std
    return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))


class TrainingSet(TorchDataset[tuple[Frame, int]]):
    """All frames in memory (0.5 MB each at 480x360), a new random view at every access."""

    def __init__(self, dataset: Dataset, config: TrainConfig) -> None:
        self.frames = [load_frame(sample) for sample in dataset.images]
        self.attribute = [TIME_OF_DAY.index(sample.time_of_day) for sample in dataset.images]
        self.config = config.data
        share = pixel_shares(dataset)
        ids = {
            c: SEGMENTATION_CLASSES.index(n)
            for c, n in enumerate(dataset.categories)
            if n in SEGMENTATION_CLASSES
        }
        self.rare = {c: i for c, i in ids.items() if share[i] < _RARE_SHARE}

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> tuple[Frame, int]:
        # torch seeds itself per worker and epoch; NumPy takes its seed there, so a run repeats.
        rng = np.random.default_rng(int(torch.randint(2**62, ()).item()))
        frame = self.frames[index]
        if rng.random() < self.config.paste:
            donor = self.frames[int(rng.integers(len(self.frames)))]
            if donor.label.shape == frame.label.shape:
                frame = paste_objects(frame, donor, self.rare, rng)
        return augment(frame, self.config, rng), self.attribute[index]


class EvaluationSet(TorchDataset[tuple[Frame, int]]):
    """Whole frames letterboxed to the network's input; labels and boxes stay the source's."""

    def __init__(self, dataset: Dataset, config: TrainConfig) -> None:
        self.dataset = dataset
        self.size = (config.data.input_width, config.data.input_height)

    def __len__(self) -> int:
        return len(self.dataset.images)

    def __getitem__(self, index: int) -> tuple[Frame, int]:
        sample = self.dataset.images[index]
        frame = load_frame(sample)
        letterbox = Letterbox.fit(sample.width, sample.height, *self.size)
        frame.image = letterbox.apply(frame.image)
        return frame, TIME_OF_DAY.index(sample.time_of_day)


def collate(items: list[tuple[Frame, int]]) -> Batch:
    """Stack frames of equal size."""
    frames = [frame for frame, _ in items]
    targets = [
        {
            'boxes': torch.from_numpy(f.boxes[~f.ignored].reshape(-1, 4)),
            'labels': torch.from_numpy(f.class_ids[~f.ignored]),
            'ignored': torch.from_numpy(f.boxes[f.ignored].reshape(-1, 4)),
            'ignored_labels': torch.from_numpy(f.class_ids[f.ignored]),
        }
        for f in frames
    ]
    return Batch(
        torch.stack([normalise(f.image) for f in frames]).contiguous(
            memory_format=torch.channels_last
        ),
        torch.from_numpy(np.stack([f.label for f in frames]).astype(np.int64)),
        targets,
        torch.tensor([attribute for _, attribute in items]),
    )


def make_loader(
    data: TorchDataset[Any], batch_size: int, *, shuffle: bool, workers: int
) -> DataLoader[Any]:
    """Return a loader of ``Batch``."""
    collate_fn: Callable[[list[tuple[Frame, int]]], Batch] = collate
    return DataLoader(
        data,
        batch_size=batch_size,
        shuffle=shuffle,
        drop_last=shuffle and len(data) >= batch_size,  # type: ignore[arg-type]
        collate_fn=collate_fn,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def pixel_shares(dataset: Dataset) -> NDArray[np.float64]:
    """Return the share of each segmentation class in the labelled pixels, [K], sum 1."""
    counts = np.zeros(256, np.int64)
    for sample in dataset.images:
        counts += np.bincount(sample.label().ravel(), minlength=256)
    known = counts[: len(SEGMENTATION_CLASSES)]
    return known / max(1, int(known.sum()))


def class_weights(dataset: Dataset) -> Tensor:
    """Return the weight of each segmentation class, 1 / ln(1.02 + share), mean 1.

    ENet, arXiv 1606.02147, section 5.1.
    """
    weight = 1.0 / np.log(1.02 + pixel_shares(dataset))
    return torch.tensor(weight / weight.mean(), dtype=torch.float32)
