# SPDX-License-Identifier: Apache-2.0
"""The data formats by the name that a training configuration gives them."""

from collections.abc import Callable
from pathlib import Path

from mtl_split_core.errors import DataError
from mtl_split_train.bdd100k import read_drivable, read_sem_seg
from mtl_split_train.cityscapes import read_cityscapes
from mtl_split_train.coco import read_coco
from mtl_split_train.dataset import read_dataset
from mtl_split_train.samples import Dataset

FORMATS: dict[str, Callable[[Path, str], Dataset]] = {
    'camvid': lambda root, split: read_dataset(root / split),
    'coco': read_coco,
    'bdd100k': read_sem_seg,
    'bdd100k_drivable': read_drivable,
    'cityscapes': read_cityscapes,
}
"""Readers of a root folder and the name of a split in it."""


def read_split(kind: str, root: Path, split: str) -> Dataset:
    """Read one split of a data set.

    Args:
        kind: One of FORMATS.
        root: Folder of the data set.
        split: Name of the split, such as `train`, `train2017`.

    Raises:
        DataError: Something is missing or does not fit; the text names the file and the remedy.
    """
    if not root.is_dir():
        msg = f'data folder {root} does not exist; give --data or write data.root'
        raise DataError(msg)
    return FORMATS[kind](root, split)
