# SPDX-License-Identifier: Apache-2.0
"""A made data folder of a few frames, small enough to check by hand."""

import json
from pathlib import Path

import cv2
import numpy as np

CAMVID_VOID = 11
WIDTH, HEIGHT = 24, 16


def make_dataset(directory: Path, frames: int = 3) -> Path:
    """Write a tiny data folder: a car of 8 x 8 px on the road in every frame."""
    (directory / 'images').mkdir(parents=True)
    (directory / 'labels').mkdir()
    images, annotations = [], []
    for number in range(1, frames + 1):
        image = np.full((HEIGHT, WIDTH, 3), (10, 20, 30), np.uint8)  # BGR
        label = np.full((HEIGHT, WIDTH), 3, np.uint8)
        label[4:12, 2:10] = 8
        label[0] = CAMVID_VOID
        cv2.imwrite(str(directory / f'images/f{number}.png'), image)
        cv2.imwrite(str(directory / f'labels/f{number}.png'), label)
        images.append(
            {
                'id': number,
                'file_name': f'f{number}.png',
                'width': WIDTH,
                'height': HEIGHT,
                'time_of_day': 'day' if number % 2 else 'dusk',
            }
        )
        annotations.append(
            {
                'id': number,
                'image_id': number,
                'category_id': 1,
                'bbox': [2, 4, 8, 8],
                'area': 64,
                'iscrowd': int(number == 3),
            }
        )
    content = {
        'images': images,
        'annotations': annotations,
        'categories': [{'id': 1, 'name': 'car'}, {'id': 4, 'name': 'sign'}],
    }
    (directory / 'annotations.json').write_text(json.dumps(content))
    return directory
