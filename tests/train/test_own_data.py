# SPDX-License-Identifier: Apache-2.0
"""docs/own-data.md: its annotations are read, its configuration fits the bundle that ships."""

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mtl_split_train.config import load_config
from mtl_split_train.dataset import read_dataset
from mtl_split_train.samples import VOID, Dataset

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / 'docs/own-data.md').read_text()


def write_folder(path: Path, content: dict[str, Any]) -> Path:
    for name in ('images', 'labels'):
        (path / name).mkdir(parents=True)
    (image,) = content['images']
    shape = (image['height'], image['width'])
    cv2.imwrite(str(path / 'images' / image['file_name']), np.zeros((*shape, 3), np.uint8))
    label = np.full(shape, len(content['segmentation_classes']), np.uint8)
    label[:9] = 0
    cv2.imwrite(str(path / 'labels' / '0001.png'), label)
    (path / 'annotations.json').write_text(json.dumps(content))
    return path


def example() -> dict[str, Any]:
    (text,) = re.findall(r'```json\n(.*?)```', TEXT, re.DOTALL)
    content: dict[str, Any] = json.loads(text)
    return content


def test_the_annotations_of_the_document_are_read(tmp_path: Path) -> None:
    data = read_dataset(write_folder(tmp_path, example()))
    assert data.classes.segmentation == ('ground', 'wall', 'vehicle')
    assert data.classes.detection == ('vehicle', 'person')
    (sample,) = data.images
    assert sample.boxes.tolist() == [[604, 310, 692, 371]]
    assert (sample.attribute, sample.label()[0, 0], sample.label()[-1, 0]) == ('dry', 0, VOID)


def no_map(data: Dataset) -> bool:
    return not data.classes.segmentation and data.images[0].label_map is None


def no_boxes(data: Dataset) -> bool:
    return not data.classes.detection and not data.images[0].has_boxes


def no_attribute(data: Dataset) -> bool:
    return not data.classes.values and data.images[0].attribute is None


def not_this_map(data: Dataset) -> bool:
    return bool(data.classes.segmentation) and data.images[0].label_map is None


@pytest.mark.parametrize(
    ('row', 'holds'),
    list(enumerate((no_map, no_boxes, no_attribute, not_this_map))),
)
def test_what_is_not_labelled_is_left_out_as_the_table_says(
    row: int, holds: Any, tmp_path: Path
) -> None:
    (table,) = re.findall(r'\| there is no .*?\n((?:\|.*\n)+)', TEXT)
    keys = re.findall(r'`("[^`]*?": .*?)`', table.splitlines()[row + 1])
    content = example()
    for key in keys:
        found = json.loads(f'{{{key}}}')
        if 'unlabelled' in found:
            content['images'][0] |= found
        else:
            content |= found
    if 'categories' in keys[0]:
        assert content['annotations'] == []
    folder = write_folder(tmp_path, content)
    for path in (folder / 'labels').iterdir():
        if row in (0, 3):
            path.unlink()  # none is asked for
    assert holds(read_dataset(folder))


def test_the_configuration_fits_the_bundle_that_ships() -> None:
    own, camvid = (load_config(ROOT / f'experiments/{n}.yaml') for n in ('own_data', 'camvid'))
    assert own.network == camvid.network
    assert len(own.rates.targets) == len(camvid.rates.targets)
