# SPDX-License-Identifier: Apache-2.0
"""From a checked folder to batches of tensors."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from mtl_split_core.geometry import Letterbox
from mtl_split_train.augment import Frame, augment, paste_objects
from mtl_split_train.backbone import MEAN, STD
from mtl_split_train.config import TrainConfig
from mtl_split_train.samples import Dataset, Sample, check_pictures, spread

#: A class with a smaller share of the training pixels is one that copy-paste adds to.
_RARE_SHARE = 0.02
#: Frames are kept in memory up to this many pixels (4 bytes each), all of CamVid and more.
_CACHED_PIXELS = 2**29
#: Label maps that the shares of the classes are counted on.
_COUNTED = 1000
#: Id of the attribute of a picture that has none; no loss counts it.
NO_ATTRIBUTE = -1


@dataclass(slots=True)
class Batch:
    """Pictures [N, 3, H, W] normalised, labels [N, H, W] int64, boxes, attribute ids [N].

    ``boxed`` tells whose boxes were labelled, ``jpeg`` [N] which pictures have been through JPEG.
    Each target has ``boxes``, ``labels``, ``ignored`` regions and their ``ignored_labels``.
    """

    images: Tensor
    labels: Tensor
    targets: list[dict[str, Tensor]]
    attribute: Tensor
    boxed: list[bool]
    jpeg: Tensor

    def to(self, device: torch.device) -> 'Batch':
        """Return the batch on ``device``."""
        return Batch(
            self.images.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            [{k: v.to(device, non_blocking=True) for k, v in t.items()} for t in self.targets],
            self.attribute.to(device, non_blocking=True),
            self.boxed,
            self.jpeg.to(device, non_blocking=True),
        )


def load_frame(sample: Sample) -> Frame:
    """Read the pixels of a sample."""
    return Frame(
        sample.image(),
        sample.label(),
        sample.boxes,
        sample.class_ids.astype(np.int64),
        sample.iscrowd,
        sample.has_boxes,
    )


def shrink(frame: Frame, scale: float) -> Frame:
    """Return a frame at the scale of the network's input, where the source is larger."""
    if scale >= 1.0:
        return frame
    height, width = frame.label.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    factors = np.array([size[0] / width, size[1] / height] * 2, np.float32)
    return Frame(
        np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8),
        np.asarray(cv2.resize(frame.label, size, interpolation=cv2.INTER_NEAREST), np.uint8),
        frame.boxes * factors,
        frame.class_ids,
        frame.ignored,
        frame.boxed,
    )


def normalise(image: NDArray[np.uint8]) -> Tensor:
    """Turn uint8 [H, W, 3] into float32 [3, H, W] with the statistics above."""
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    x = (image.astype(np.float32) / np.float32(255) - mean) / std
    return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))


class TrainingSet(TorchDataset[tuple[Frame, int]]):
    """A new random view of a frame at every access.

    Frames are at the scale of the network's input and stay in memory where all of them fit (0.7 MB
    each at 480x360).
    """

    def __init__(self, dataset: Dataset, config: TrainConfig) -> None:
        self.dataset = dataset
        self.config = config.data
        pixels = len(dataset.images) * config.data.input_width * config.data.input_height
        self.cache: list[Frame] | None = None
        if pixels <= _CACHED_PIXELS:
            self.cache = [self._load(index) for index in range(len(dataset.images))]
        else:
            check_pictures(dataset)
        classes, share = dataset.classes, pixel_shares(dataset)
        ids = {
            c: classes.segmentation.index(n)
            for c, n in enumerate(classes.detection)
            if n in classes.segmentation
        }
        self.rare = {c: i for c, i in ids.items() if share[i] < _RARE_SHARE}

    def __len__(self) -> int:
        return len(self.dataset.images)

    def _load(self, index: int) -> Frame:
        sample = self.dataset.images[index]
        size = (self.config.input_width, self.config.input_height)
        return shrink(load_frame(sample), Letterbox.fit(sample.width, sample.height, *size).scale)

    def frame(self, index: int) -> Frame:
        """Return a frame; its arrays must not be changed."""
        return self.cache[index] if self.cache is not None else self._load(index)

    def __getitem__(self, index: int) -> tuple[Frame, int]:
        # torch seeds itself per worker and epoch; NumPy takes its seed there, so a run repeats.
        rng = np.random.default_rng(int(torch.randint(2**62, ()).item()))
        frame = self.frame(index)
        if rng.random() < self.config.paste:
            donor = self.frame(int(rng.integers(len(self))))
            if donor.label.shape == frame.label.shape:
                frame = paste_objects(frame, donor, self.rare, rng)
        return augment(frame, self.config, rng), attribute_id(self.dataset, index)


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
        return frame, attribute_id(self.dataset, index)


def attribute_id(dataset: Dataset, index: int) -> int:
    """Return the class of a whole picture, or ``NO_ATTRIBUTE``."""
    value = dataset.images[index].attribute
    return NO_ATTRIBUTE if value is None else dataset.classes.values.index(value)


def collate(items: list[tuple[Frame, int]]) -> Batch:
    """Stack frames of equal size."""
    frames = [frame for frame, _ in items]
    targets = [_target(frame) for frame in frames]
    return Batch(
        torch.stack([normalise(f.image) for f in frames]).contiguous(
            memory_format=torch.channels_last
        ),
        torch.from_numpy(np.stack([f.label for f in frames]).astype(np.int64)),
        targets,
        torch.tensor([attribute for _, attribute in items]),
        [f.boxed for f in frames],
        torch.tensor([f.jpeg for f in frames]),
    )


def _target(frame: Frame) -> dict[str, Tensor]:
    ignored, ignored_ids = frame.boxes[frame.ignored], frame.class_ids[frame.ignored]
    if not frame.boxed:
        # Nothing is known of any place, only of the objects that were pasted.
        ignored = np.array([[-np.inf, -np.inf, np.inf, np.inf]], np.float32)
        ignored_ids = np.zeros(1, np.int64)
    return {
        'boxes': torch.from_numpy(frame.boxes[~frame.ignored].reshape(-1, 4)),
        'labels': torch.from_numpy(frame.class_ids[~frame.ignored]),
        'ignored': torch.from_numpy(ignored.reshape(-1, 4)),
        'ignored_labels': torch.from_numpy(ignored_ids),
    }


def make_loader(
    data: TorchDataset[Any], batch_size: int, *, shuffle: bool, workers: int
) -> DataLoader[Any]:
    """Return a loader of ``Batch``."""
    return DataLoader(
        data,
        batch_size=batch_size,
        shuffle=shuffle,
        drop_last=shuffle and len(data) >= batch_size,  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def pixel_shares(dataset: Dataset) -> NDArray[np.float64]:
    """Return the share of each segmentation class in the labelled pixels, [K], sum 1.

    Of a large data set, 1000 frames spread over it are counted.
    """
    counts = np.zeros(256, np.int64)
    for sample in spread([s for s in dataset.images if s.label_map], _COUNTED):
        counts += np.bincount(sample.label().ravel(), minlength=256)
    known = counts[: len(dataset.classes.segmentation)]
    return known / max(1, int(known.sum()))


def class_weights(dataset: Dataset) -> Tensor:
    """Return the weight of each segmentation class, 1 / ln(1.02 + share), mean 1.

    ENet, arXiv 1606.02147, section 5.1.
    """
    weight = 1.0 / np.log(1.02 + pixel_shares(dataset))
    return torch.tensor(weight / (weight.mean() if weight.size else 1.0), dtype=torch.float32)


def value_weights(dataset: Dataset) -> list[float]:
    """Return the weight of each value of the attribute, 1 / share of the pictures, mean 1."""
    values = dataset.classes.values
    counts = np.array([sum(s.attribute == value for s in dataset.images) for value in values])
    weight = counts.sum() / np.maximum(1, counts)
    return list(map(float, weight / weight.mean())) if weight.size else []
