# SPDX-License-Identifier: Apache-2.0
"""A folder as docs/own-data.md describes it: a few made pictures with classes of one's own."""

import json
from pathlib import Path

import cv2
from tests.tiny_bundle import street_image

WIDTH, HEIGHT = 96, 64
NAMES = ('above', 'wall', 'mast', 'ground', 'vehicle')
VEHICLE = NAMES.index('vehicle')


def make_folder(directory: Path, pictures: int) -> Path:
    """Write pictures with a vehicle in each, in day and night.

    Args:
        directory: New.
        pictures: How many.
    """
    images, annotations = [], []
    (directory / 'images').mkdir(parents=True)
    (directory / 'labels').mkdir()
    for number in range(1, pictures + 1):
        picture = street_image(WIDTH, HEIGHT, number)
        labels = picture[..., 0] // 64
        labels[20:44, 30:60] = VEHICLE
        picture[20:44, 30:60] = (200, 30 * number % 255, 40)
        cv2.imwrite(str(directory / f'images/{number:04}.png'), picture)
        cv2.imwrite(str(directory / f'labels/{number:04}.png'), labels)
        light = 'day' if number % 2 else 'night'
        size = {'width': WIDTH, 'height': HEIGHT}
        images.append({'id': number, 'file_name': f'{number:04}.png', **size, 'light': light})
        box = {'bbox': [30, 20, 30, 24], 'area': 720, 'iscrowd': 0}
        annotations.append({'id': number, 'image_id': number, 'category_id': 1, **box})
    content = {
        'segmentation_classes': NAMES,
        'attribute': {'name': 'light', 'values': ['day', 'night']},
        'categories': [{'id': 1, 'name': 'vehicle'}, {'id': 2, 'name': 'person'}],
        'images': images,
        'annotations': annotations,
    }
    (directory / 'annotations.json').write_text(json.dumps(content))
    return directory
