# SPDX-License-Identifier: Apache-2.0
"""Cityscapes: leftImg8bit pictures, gtFine label maps, boxes around gtFine's instances."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from mtl_split_core.errors import DataError
from mtl_split_train.samples import (
    VOID,
    Classes,
    Dataset,
    IdMap,
    Sample,
    box_arrays,
    check_labels,
    picture_size,
    read_pixels,
)

#: The 19 classes that Cityscapes evaluates, in the order of its trainIds, and their labelIds.
_LABEL_IDS = {
    'road': 7, 'sidewalk': 8, 'building': 11, 'wall': 12, 'fence': 13, 'pole': 17,
    'traffic light': 19, 'traffic sign': 20, 'vegetation': 21, 'terrain': 22, 'sky': 23,
    'person': 24, 'rider': 25, 'car': 26, 'truck': 27, 'bus': 28, 'train': 31,
    'motorcycle': 32, 'bicycle': 33,
}  # fmt: skip
TRAIN_CLASSES = tuple(_LABEL_IDS)
TRAIN_IDS = {**{i: i for i in range(len(TRAIN_CLASSES))}, 255: VOID}
#: labelIds run to 33; those without a trainId are void, 255 stands for -1, the license plate.
_LABEL_TO_TRAIN = {
    **dict.fromkeys([*range(34), 255], VOID),
    **{label_id: index for index, label_id in enumerate(_LABEL_IDS.values())},
}
DETECTION = ('person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')
_THINGS = {_LABEL_IDS[name]: index for index, name in enumerate(DETECTION)}
#: Ids from here on are labelId * 1000 + number; a smaller one is a group that was not taken apart.
_INSTANCES = 1000


def read_cityscapes(root: Path, split: str) -> Dataset:
    """Read one split of `leftImg8bit/SPLIT/CITY/` and `gtFine/SPLIT/CITY/`.

    Label maps are `*_gtFine_labelTrainIds.png` where they were made, else `*_labelIds.png`. Boxes
    enclose the visible pixels of each instance of `*_instanceIds.png`; a group of instances is a
    crowd. A picture without one of these files is one without such labels.

    Raises:
        DataError: Something is missing or does not fit; the text names the file and the remedy.
    """
    suffix = '_leftImg8bit.png'
    pictures = sorted((root / 'leftImg8bit' / split).glob(f'*/*{suffix}'))
    if not pictures:
        msg = f'{root}/leftImg8bit/{split} has no CITY/*{suffix}; unpack Cityscapes there'
        raise DataError(msg)

    def read(path: Path) -> Sample:
        width, height = picture_size(path)
        stem = path.name.removesuffix(suffix)
        labels = root / 'gtFine' / split / path.parent.name / f'{stem}_gtFine'
        sample = Sample(stem, path, width, height, _label_map(labels))
        instances = labels.with_name(f'{labels.name}_instanceIds.png')
        return _with_boxes(sample, instances) if instances.is_file() else sample

    # The instances of a whole split are looked through; decoding leaves Python's lock.
    with ThreadPoolExecutor() as pool:
        samples = list(pool.map(read, pictures))
    boxed = any(sample.has_boxes for sample in samples)
    mapped = any(sample.label_map for sample in samples)
    if not boxed and not mapped:
        msg = (
            f'{root}/gtFine/{split} labels no picture of {root}/leftImg8bit/{split}; unpack gtFine'
        )
        raise DataError(msg)
    classes = Classes(DETECTION if boxed else (), TRAIN_CLASSES if mapped else ())
    return check_labels(Dataset(root / 'leftImg8bit' / split, samples, classes))


def _label_map(labels: Path) -> IdMap | None:
    for kind, ids in (('labelTrainIds', TRAIN_IDS), ('labelIds', _LABEL_TO_TRAIN)):
        path = labels.with_name(f'{labels.name}_{kind}.png')
        if path.is_file():
            return IdMap(path, ids)
    return None


def _with_boxes(sample: Sample, path: Path) -> Sample:
    pixels = read_pixels(path, cv2.IMREAD_UNCHANGED, sample.width, sample.height)
    if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.integer):
        msg = f'{path} is {pixels.dtype} {list(pixels.shape)}; instanceIds have one 16-bit channel'
        raise DataError(msg)
    rows = []
    for value in np.bincount(pixels.ravel()).nonzero()[0].tolist():
        crowd = value < _INSTANCES
        label_id = value if crowd else value // _INSTANCES
        if label_id in _THINGS:
            left, top, width, height = cv2.boundingRect((pixels == value).view(np.uint8))
            rows.append((left, top, left + width, top + height, _THINGS[label_id], crowd))
    return replace(sample, **box_arrays(rows))
