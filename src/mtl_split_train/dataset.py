# SPDX-License-Identifier: Apache-2.0
"""A folder of images, label maps and COCO boxes, checked once so that nothing fails later."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_split_core.errors import DataError
from mtl_split_train import coco
from mtl_split_train.samples import (
    VOID,
    Classes,
    Dataset,
    IdMap,
    Sample,
    box_arrays,
    check_labels,
)

__all__ = ['VOID', 'Classes', 'Dataset', 'Sample', 'camvid_classes', 'read_dataset']

#: CamVid's classes and void id (Brostow, Fauqueur, Cipolla 2009), where a folder names no others.
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
ATTRIBUTE = 'time_of_day'
TIME_OF_DAY = ('day', 'dusk')


def camvid_classes(detection: Sequence[str]) -> Classes:
    """Return CamVid's classes with these of the boxes."""
    return Classes(tuple(detection), SEGMENTATION_CLASSES, ATTRIBUTE, TIME_OF_DAY)


def read_dataset(directory: Path, images: bool = True) -> Dataset:
    """Read and check a folder with `images/`, `labels/` and `annotations.json` (COCO).

    Every label map is opened once here: a wrong one ends a run before its hours of work. The
    classes are CamVid's unless annotations.json has `segmentation_classes`, a list of names for
    the ids 0, 1, ... (the id after the last one is void; an empty list: no label maps), or
    `attribute`, a mapping with `name` and `values` (an empty one: none). Empty `categories` and
    `annotations`: no boxes. An image whose `unlabelled` lists `segmentation`, `detection` or the
    name of the attribute has no labels for them.

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
    content = coco.read_json(annotations)
    names: dict[int, str] = {}
    boxes: dict[int, list[coco.Row]] = {}
    if content['categories'] or content['annotations']:
        names = coco.categories(annotations, content)
        boxes = coco.boxes_by_image(annotations, content)
    order = {identity: index for index, identity in enumerate(sorted(names))}
    classes = _classes(annotations, content, tuple(names[key] for key in sorted(names)))
    samples = [
        _sample(annotations, image, boxes, order, classes, images) for image in content['images']
    ]
    coco.check_ids(annotations, boxes, [image['id'] for image in content['images']])
    return check_labels(Dataset(directory, samples, classes))


def _classes(path: Path, content: Mapping[str, Any], detection: tuple[str, ...]) -> Classes:
    segmentation = content.get('segmentation_classes', SEGMENTATION_CLASSES)
    attribute = content.get('attribute', {'name': ATTRIBUTE, 'values': TIME_OF_DAY})
    try:
        if isinstance(segmentation, str) or len(segmentation) >= VOID:
            raise TypeError
        values = tuple(map(str, attribute['values'])) if attribute else ()
        name = str(attribute['name']) if attribute else ''
    except (KeyError, TypeError):
        msg = (
            f'{path}: `segmentation_classes` must list at most {VOID - 1} names, and `attribute` '
            'have a `name` and a list of `values`'
        )
        raise DataError(msg) from None
    return Classes(detection, tuple(map(str, segmentation)), name, values)


def _sample(
    path: Path,
    image: Mapping[str, Any],
    boxes: Mapping[int, list[coco.Row]],
    order: Mapping[int, int],
    classes: Classes,
    with_image: bool,
) -> Sample:
    identity, file_name, width, height = coco.image_entry(path, image)
    missing = set(image.get('unlabelled', ()))
    attribute = image.get(classes.attribute)
    if not classes.attribute or classes.attribute in missing:
        attribute = None
    elif attribute not in classes.values:
        msg = (
            f'{path}: {classes.attribute} of {file_name} is {attribute!r}; '
            f'write one of {", ".join(classes.values)}'
        )
        raise DataError(msg)
    image_path = path.parent / 'images' / file_name
    label_path = path.parent / 'labels' / (Path(file_name).stem + '.png')
    count = 0 if 'segmentation' in missing else len(classes.segmentation)
    for file in [image_path] * with_image + [label_path] * bool(count):
        if not file.is_file():
            msg = f'{file} is missing; {path} lists {file_name}: add the file or drop the entry'
            raise DataError(msg)
    rows = boxes.get(identity, [])
    coco.check_categories(path, file_name, rows, order)
    for x1, y1, x2, y2, *_ in rows:
        if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
            msg = (
                f'{path}: the box {[x1, y1, x2, y2]} (xyxy) of {file_name} is empty or outside '
                f'its {width}x{height} picture'
            )
            raise DataError(msg)
    found: dict[str, Any] = {}
    if classes.detection and 'detection' not in missing:
        found = box_arrays([(*row[:4], order[row[4]], row[5]) for row in rows])
    ids = {**{i: i for i in range(count)}, count: VOID}
    return Sample(
        name=Path(file_name).stem,
        image_path=image_path,
        width=width,
        height=height,
        label_map=IdMap(label_path, ids) if count else None,
        attribute=attribute,
        **found,
    )
