# SPDX-License-Identifier: Apache-2.0
"""A made data set for experiments of size smoke, which have to run where no data is."""

import json
from pathlib import Path

import cv2
import numpy as np

_WIDTH, _HEIGHT = 64, 48
_FRAMES = {'train': 4, 'val': 2}
_ROAD, _CAR, _SKY = 3, 8, 0


def make_data(root: Path) -> Path:
    """Write train/ and val/ with a few pictures of a car on a road, in CamVid's layout.

    Args:
        root: Where to; what is there already stays.

    Returns:
        The folder.
    """
    random = np.random.default_rng(0)
    for split, count in _FRAMES.items():
        if not (root / split / 'annotations.json').is_file():
            _write_split(root / split, count, random)
    return root


def _write_split(folder: Path, count: int, random: np.random.Generator) -> None:
    for name in ('images', 'labels'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        x, y = int(random.integers(2, _WIDTH - 24)), int(random.integers(20, _HEIGHT - 18))
        label = np.full((_HEIGHT, _WIDTH), _ROAD, np.uint8)
        label[: _HEIGHT // 3] = _SKY
        label[y : y + 14, x : x + 20] = _CAR
        grey = np.where(label == _CAR, 220, label * 30)
        picture = grey[..., None] + random.integers(0, 30, (_HEIGHT, _WIDTH, 3))
        cv2.imwrite(str(folder / f'images/{number}.png'), picture.astype(np.uint8))
        cv2.imwrite(str(folder / f'labels/{number}.png'), label)
        time_of_day = 'day' if number % 2 else 'dusk'
        size = {'width': _WIDTH, 'height': _HEIGHT, 'time_of_day': time_of_day}
        images.append({'id': number, 'file_name': f'{number}.png', **size})
        box = {'bbox': [x, y, 20, 14], 'area': 280, 'iscrowd': 0, 'category_id': 1}
        annotations.append({'id': number, 'image_id': number, **box})
    categories = [{'id': 1, 'name': 'car'}, {'id': 2, 'name': 'sign'}]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    # Last: its presence says that the split is whole.
    (folder / 'annotations.json').write_text(json.dumps(content))
