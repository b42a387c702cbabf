# SPDX-License-Identifier: Apache-2.0
"""COCO: boxes of instances_SPLIT.json, label maps of panoptic_SPLIT.json and its PNG files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_split_core.errors import DataError
from mtl_split_train.samples import (
    Classes,
    Dataset,
    PanopticMap,
    Sample,
    box_arrays,
    check_labels,
)

Row = tuple[float, float, float, float, int, bool]
"""x1, y1, x2, y2, category id, crowd."""


def read_coco(root: Path, split: str) -> Dataset:
    """Read one split of the layout in which COCO is published.

    `SPLIT/` holds the pictures; `annotations/instances_SPLIT.json` the boxes;
    `annotations/panoptic_SPLIT.json` with the PNG files in `annotations/panoptic_SPLIT/` or
    `panoptic_SPLIT/` the label maps. One of the two JSON files is enough: without instances the
    boxes are those of the panoptic things, without panoptic there is no segmentation. The boxes
    of COCO itself touch and pass the border: they are clipped, and empty ones left out.

    Raises:
        DataError: Something is missing or does not fit; the text names the file and the remedy.
    """
    instances = root / 'annotations' / f'instances_{split}.json'
    panoptic = root / 'annotations' / f'panoptic_{split}.json'
    if not instances.exists() and not panoptic.exists():
        msg = f'{instances} and {panoptic.name} are missing; unpack the annotations of COCO there'
        raise DataError(msg)
    boxed = read_json(instances) if instances.exists() else None
    segmented = read_json(panoptic) if panoptic.exists() else None
    source = instances if boxed else panoptic
    content: Mapping[str, Any] = boxed or segmented or {}
    names = categories(source, content)
    if boxed is None:
        things = {c['id'] for c in content['categories'] if c.get('isthing')}
        names = {key: name for key, name in names.items() if key in things}
    boxes = (
        boxes_by_image(source, content) if boxed else _thing_boxes(source, content, names.keys())
    )
    maps, stuff = _panoptic(panoptic, segmented) if segmented else ({}, ())
    order = {key: index for index, key in enumerate(sorted(names))}
    known = [image_entry(source, image) for image in content['images']]
    check_ids(source, boxes, [identity for identity, *_ in known])
    samples = []
    for identity, file_name, width, height in known:
        path = root / split / file_name
        if not path.is_file():
            msg = f'{path} is missing; {source} lists it: add the file or drop the entry'
            raise DataError(msg)
        rows = _clip(boxes.get(identity, ()), width, height)
        check_categories(source, file_name, rows, order)
        found = box_arrays([(*row[:4], order[row[4]], row[5]) for row in rows])
        samples.append(
            Sample(
                name=path.stem,
                image_path=path,
                width=width,
                height=height,
                label_map=maps.get(identity),
                # Instances list every picture; panoptic things those that were segmented.
                **(found if boxed or identity in maps else {}),
            )
        )
    classes = Classes(tuple(names[key] for key in sorted(names)), stuff)
    return check_labels(Dataset(root / split, samples, classes))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file with COCO's three lists."""
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
    if not content['images']:
        msg = f'{path} lists no images: its `images` must name the files beside it'
        raise DataError(msg)
    return dict(content)


def categories(path: Path, content: Mapping[str, Any]) -> dict[int, str]:
    """Return the category names by id."""
    try:
        found = {int(entry['id']): str(entry['name']) for entry in content['categories']}
    except (KeyError, TypeError, ValueError):
        msg = f'{path}: each entry of `categories` needs an integer `id` and a `name`'
        raise DataError(msg) from None
    if not found:
        msg = f'{path}: `categories` is empty; list the classes of the boxes'
        raise DataError(msg)
    return found


def image_entry(path: Path, image: Mapping[str, Any]) -> tuple[int, str, int, int]:
    """Return id, file name, width and height of an entry of `images`."""
    try:
        file_name, identity = str(image['file_name']), int(image['id'])
        width, height = int(image['width']), int(image['height'])
    except (KeyError, TypeError, ValueError):
        msg = f'{path}: each entry of `images` needs id, file_name, width and height, not {image}'
        raise DataError(msg) from None
    return identity, file_name, width, height


def boxes_by_image(path: Path, content: Mapping[str, Any]) -> dict[int, list[Row]]:
    """Return the boxes by image id."""
    boxes: dict[int, list[Row]] = {}
    for number, entry in enumerate(content['annotations']):
        try:
            x, y, width, height = (float(value) for value in entry['bbox'])
            category, crowd = int(entry['category_id']), bool(entry.get('iscrowd'))
            row = (x, y, x + width, y + height, category, crowd)
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


def check_ids(path: Path, boxes: Mapping[int, Any], images: Sequence[int]) -> None:
    """Refuse boxes of a picture that is not listed."""
    if unknown := boxes.keys() - set(images):
        msg = f'{path} has boxes of image_id {min(unknown)}, which `images` does not list'
        raise DataError(msg)


def check_categories(
    path: Path, file_name: str, rows: Sequence[Row], order: Mapping[int, int]
) -> None:
    """Refuse a box of a category that is not listed."""
    for *_, category, _ in rows:
        if category not in order:
            msg = f'{path}: a box of {file_name} has category_id {category}; known: {sorted(order)}'
            raise DataError(msg)


def _thing_boxes(path: Path, content: Mapping[str, Any], things: Any) -> dict[int, list[Row]]:
    rows = [
        {'image_id': entry.get('image_id'), **segment}
        for entry in content['annotations']
        for segment in entry.get('segments_info', ())
        if segment.get('category_id') in things
    ]
    return boxes_by_image(path, {'annotations': rows})


def _panoptic(
    path: Path, content: Mapping[str, Any]
) -> tuple[dict[int, PanopticMap], tuple[str, ...]]:
    """Return the label maps by image id, and the class names."""
    names = categories(path, content)
    if not content['annotations']:
        msg = f'{path}: `annotations` is empty; list the segments, or take the file away'
        raise DataError(msg)
    order = {key: index for index, key in enumerate(sorted(names))}
    folders = [path.parent / path.stem, path.parent.parent / path.stem]
    folder = next((f for f in folders if f.is_dir()), None)
    if folder is None:
        msg = f'neither {folders[0]} nor {folders[1]} exists; unpack the PNG files of {path.name}'
        raise DataError(msg)
    maps = {}
    for number, entry in enumerate(content['annotations']):
        try:
            png = folder / str(entry['file_name'])
            segments = {int(s['id']): order[int(s['category_id'])] for s in entry['segments_info']}
            maps[int(entry['image_id'])] = PanopticMap(png, segments)
        except (KeyError, TypeError, ValueError) as error:
            msg = (
                f'{path}: annotations[{number}] needs image_id, file_name and segments_info with '
                f'id and a listed category_id ({type(error).__name__} {error})'
            )
            raise DataError(msg) from None
        if not png.is_file():
            msg = f'{png} is missing; {path} lists it: add the file or drop the entry'
            raise DataError(msg)
    return maps, tuple(names[key] for key in sorted(names))


def _clip(rows: Sequence[Row], width: int, height: int) -> list[Row]:
    clipped = [
        (max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2), *rest)
        for x1, y1, x2, y2, *rest in rows
    ]
    return [row for row in clipped if row[2] > row[0] and row[3] > row[1]]  # type: ignore[misc]
