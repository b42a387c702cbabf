# SPDX-License-Identifier: Apache-2.0
"""What a folder of labelled pictures holds, for those who are about to train on it."""

from collections import Counter
from pathlib import Path

import numpy as np

from mtl_split_tools.console import MISSING, console, figure, progress_bar, table
from mtl_split_train.dataset import read_dataset
from mtl_split_train.samples import VOID, Dataset


def print_data(path: Path) -> None:
    """Print pictures, classes and how much of each is labelled.

    Args:
        path: With images/, labels/ and annotations.json. Every label map is read.

    Raises:
        DataError: Something is missing or does not fit.
    """
    data = read_dataset(path)
    count, classes = len(data.images), data.classes
    sizes = Counter((sample.width, sample.height) for sample in data.images)
    widths = ', '.join(f'{n} of {w}x{h}' for (w, h), n in sizes.most_common(4))
    console.print(f'[bold]{path}[/]: {count} pictures ({widths})', highlight=False)
    if classes.detection:
        boxed = sum(sample.has_boxes for sample in data.images)
        console.print(table(f'boxes, in {boxed} pictures', _BOXES, _box_rows(data)))
    if classes.segmentation:
        mapped = [sample for sample in data.images if sample.label_map]
        console.print(table(f'label maps, of {len(mapped)} pictures', _PIXELS, _pixel_rows(data)))
    if classes.values:
        known = Counter(sample.attribute for sample in data.images)
        rows = [(value, known[value]) for value in classes.values]
        unknown = [('not labelled', known[None])] if known[None] else []
        console.print(table(classes.attribute, ('value', 'pictures'), rows + unknown))


_BOXES = ('class', 'boxes', 'pictures', 'median width', 'median height')
_PIXELS = ('class', 'share', 'pictures')


def _box_rows(data: Dataset) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for number, name in enumerate(data.classes.detection):
        found = [sample.boxes[sample.class_ids == number] for sample in data.images]
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *found])
        sides = boxes[:, 2:] - boxes[:, :2]
        median = np.median(sides, axis=0) if len(sides) else (None, None)
        pictures = sum(bool(len(one)) for one in found)
        rows.append((name, len(boxes), pictures, figure(median[0], 0), figure(median[1], 0)))
    return rows


def _pixel_rows(data: Dataset) -> list[tuple[object, ...]]:
    pixels, pictures = np.zeros(VOID + 1, np.int64), np.zeros(VOID + 1, np.int64)
    with progress_bar() as progress:
        for sample in progress.track(data.images, description='reading labels'):
            if sample.label_map:
                counts = np.bincount(sample.label().ravel(), minlength=VOID + 1)
                pixels += counts
                pictures += counts > 0
    total = max(1, int(pixels.sum()))
    names = [*enumerate(data.classes.segmentation), (VOID, 'void')]
    return [
        (name, f'{pixels[i] / total:.2%}' if pictures[i] else MISSING, int(pictures[i]))
        for i, name in names
    ]
