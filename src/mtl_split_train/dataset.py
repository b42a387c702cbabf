# SPDX-License-Identifier: Apache-2.0
"""A folder of images, label maps and COCO boxes, checked once so that nothing fails later."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.errors import DataError

SEGMENTATION_CLASSES = (
    'sky',
    'building',
    'pole',
    'road',
    'pavement',
    'tree',
    'sign',
    'fence',
    'car',
    'pedestrian',
    'bicyclist',
)
VOID = 11  # label id of pixels that no metric and no loss counts
TIME_OF_DAY = ('day', 'dusk')


@dataclass(frozen=True, slots=True)
class Sample:
    """One annotated frame; pixels are read on demand, everything else is in memory.

    `boxes` is float32 N x 4, xyxy in pixels of the image; `class_ids` is int32 N, indices into
    `Dataset.categories`; `iscrowd` is bool N, boxes that evaluation ignores.
    """

    name: str
    image_path: Path
    label_path: Path
    width: int
    height: int
    time_of_day: str
    boxes: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    iscrowd: NDArray[np.bool_]

    def image(self) -> NDArray[np.uint8]:
        """Read the picture as uint8 H x W x 3, RGB."""
        return cv2.cvtColor(_read(self, self.image_path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)  # type: ignore[return-value]

    def label(self) -> NDArray[np.uint8]:
        """Read the label map as uint8 H x W, class ids 0 to 10 and 11 for void."""
        label = _read(self, self.label_path, cv2.IMREAD_UNCHANGED)
        if label.ndim != 2:
            msg = (
                f'{self.label_path} has {label.shape[2]} channels; a label map is a PNG with one '
                'channel that holds class ids, not colours'
            )
            raise DataError(msg)
        if (highest := int(label.max())) > VOID:
            msg = (
                f'{self.label_path} holds class id {highest}; the ids are 0 to {VOID - 1} and '
                f'{VOID} for void: convert the label map to them'
            )
            raise DataError(msg)
        return label


@dataclass(frozen=True, slots=True)
class Dataset:
    """The samples of one folder, in the order of its annotations.json."""

    path: Path
    images: list[Sample]
    categories: tuple[str, ...]


def read_dataset(directory: Path, images: bool = True) -> Dataset:
    """Read and check a folder with `images/`, `labels/` and `annotations.json` (COCO).

    Every label map is opened once here: a wrong one ends a run before its hours of work.

    Args:
        directory: The folder.
        images: Whether it must hold the pictures; those of a recording are in the recording.

    Returns:
        Its samples, checked.

    Raises:
        DataError: Something is missing or does not fit; the text names the file and the remedy.
    """
    directory = Path(directory)
    annotations = directory / 'annotations.json'
    content = _read_json(annotations)
    categories = _categories(annotations, content)
    boxes = _boxes_by_image(annotations, content)
    order = {identity: index for index, identity in enumerate(sorted(categories))}
    samples = [_sample(annotations, image, boxes, order, images) for image in content['images']]
    if not samples:
        msg = (
            f'{annotations} lists no images: its `images` must name the files of {directory}/images'
        )
        raise DataError(msg)
    if unknown := set(boxes) - {image['id'] for image in content['images']}:
        msg = f'{annotations} has boxes of image_id {min(unknown)}, which `images` does not list'
        raise DataError(msg)
    for sample in samples:
        sample.label()
    return Dataset(directory, samples, tuple(categories[key] for key in sorted(categories)))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        msg = (
            f'{path} is missing; a data folder holds images/NAME.png, labels/NAME.png and '
            'annotations.json (COCO)'
        )
        raise DataError(msg) from None
    except (OSError, ValueError) as error:
        msg = f'{path} cannot be read as JSON ({error}); write it again'
        raise DataError(msg) from None
    for key in ('images', 'annotations', 'categories'):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            msg = f'{path} has no list `{key}`; COCO needs images, annotations and categories'
            raise DataError(msg)
    return content


def _categories(path: Path, content: Mapping[str, Any]) -> dict[int, str]:
    try:
        categories = {int(entry['id']): str(entry['name']) for entry in content['categories']}
    except (KeyError, TypeError, ValueError):
        msg = f'{path}: each entry of `categories` needs an integer `id` and a `name`'
        raise DataError(msg) from None
    if not categories:
        msg = f'{path}: `categories` is empty; list the classes of the boxes'
        raise DataError(msg)
    return categories


def _boxes_by_image(path: Path, content: Mapping[str, Any]) -> dict[int, list[tuple[Any, ...]]]:
    boxes: dict[int, list[tuple[Any, ...]]] = {}
    for number, entry in enumerate(content['annotations']):
        try:
            x, y, width, height = (float(value) for value in entry['bbox'])
            row = (
                x,
                y,
                x + width,
                y + height,
                int(entry['category_id']),
                bool(entry.get('iscrowd')),
            )
            boxes.setdefault(int(entry['image_id']), []).append(row)
        except (KeyError, TypeError, ValueError):
            msg = (
                f'{path}: annotations[{number}] needs image_id, category_id and bbox '
                '[x, y, width, height]'
            )
            raise DataError(msg) from None
    if not boxes:
        msg = f'{path}: `annotations` is empty; nothing to find or to measure'
        raise DataError(msg)
    return boxes


def _sample(
    path: Path,
    image: Mapping[str, Any],
    boxes: Mapping[int, list[tuple[Any, ...]]],
    order: Mapping[int, int],
    with_image: bool,
) -> Sample:
    try:
        file_name, identity = str(image['file_name']), int(image['id'])
        width, height = int(image['width']), int(image['height'])
    except (KeyError, TypeError, ValueError):
        msg = f'{path}: each entry of `images` needs id, file_name, width and height, not {image}'
        raise DataError(msg) from None
    time_of_day = image.get('time_of_day')
    if time_of_day not in TIME_OF_DAY:
        msg = (
            f'{path}: time_of_day of {file_name} is {time_of_day!r}; '
            f'write one of {", ".join(TIME_OF_DAY)}'
        )
        raise DataError(msg)
    image_path = path.parent / 'images' / file_name
    label_path = path.parent / 'labels' / (Path(file_name).stem + '.png')
    for needed in (image_path, label_path) if with_image else (label_path,):
        if not needed.is_file():
            msg = f'{needed} is missing; {path} lists {file_name}: add the file or drop the entry'
            raise DataError(msg)
    rows = boxes.get(identity, [])
    for *box, category, _ in rows:
        if category not in order:
            msg = f'{path}: a box of {file_name} has category_id {category}; known: {sorted(order)}'
            raise DataError(msg)
        if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
            msg = (
                f'{path}: the box {box} (xyxy) of {file_name} is empty or outside its '
                f'{width}x{height} picture'
            )
            raise DataError(msg)
    return Sample(
        name=Path(file_name).stem,
        image_path=image_path,
        label_path=label_path,
        width=width,
        height=height,
        time_of_day=str(time_of_day),
        boxes=np.array([row[:4] for row in rows], np.float32).reshape(-1, 4),
        class_ids=np.array([order[row[4]] for row in rows], np.int32),
        iscrowd=np.array([row[5] for row in rows], np.bool_),
    )


def _read(sample: Sample, path: Path, flags: int) -> NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes() or b'\0', np.uint8), flags)
    if pixels is None:
        msg = f'{path} is not a picture that can be read ({path.stat().st_size} bytes); restore it'
        raise DataError(msg)
    if pixels.shape[:2] != (sample.height, sample.width):
        msg = (
            f'{path} is {pixels.shape[1]}x{pixels.shape[0]}, annotations.json says '
            f'{sample.width}x{sample.height} for {sample.name}: both must agree'
        )
        raise DataError(msg)
    if pixels.dtype != np.uint8:
        msg = f'{path} has {pixels.dtype} values; only 8 bits per channel are read'
        raise DataError(msg)
    return pixels  # type: ignore[return-value]
