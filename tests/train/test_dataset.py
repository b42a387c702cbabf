# SPDX-License-Identifier: Apache-2.0
"""The data folder: what is read, and the one line each kind of damage gives."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.tiny_dataset import HEIGHT, WIDTH, make_dataset

from mtl_split_core.errors import DataError
from mtl_split_train.dataset import VOID, read_dataset


def test_reads_samples_in_order(tmp_path: Path) -> None:
    dataset = read_dataset(make_dataset(tmp_path / 'data'))
    assert dataset.categories == ('car', 'sign')
    assert [sample.name for sample in dataset.images] == ['f1', 'f2', 'f3']
    assert [sample.attribute for sample in dataset.images] == ['day', 'dusk', 'day']
    sample = dataset.images[2]
    np.testing.assert_array_equal(sample.boxes, [[2, 4, 10, 12]])
    assert sample.boxes.dtype == np.float32
    assert sample.class_ids.tolist() == [0]
    assert sample.iscrowd.tolist() == [True]
    assert sample.image().shape == (HEIGHT, WIDTH, 3)
    assert sample.image()[0, 0].tolist() == [30, 20, 10]  # RGB
    assert np.unique(sample.label()).tolist() == [3, 8, VOID]


def test_pictures_may_be_elsewhere(tmp_path: Path) -> None:
    directory = make_dataset(tmp_path / 'data')
    shutil.rmtree(directory / 'images')
    assert len(read_dataset(directory, images=False).images) == 3
    with pytest.raises(DataError, match=r'images/f1\.png is missing'):
        read_dataset(directory)


def edit(change: Callable[[dict[str, list[dict[str, object]]]], None]) -> Callable[[Path], None]:
    """Damage by a change of the annotations."""

    def apply(directory: Path) -> None:
        path = directory / 'annotations.json'
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return apply


def write_label(
    values: int | tuple[int, int, int], shape: tuple[int, ...]
) -> Callable[[Path], None]:
    """Damage by another label map for the second frame."""

    def apply(directory: Path) -> None:
        cv2.imwrite(str(directory / 'labels/f2.png'), np.full(shape, values, np.uint8))

    return apply


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda d: (d / 'annotations.json').unlink(), ['annotations.json is missing']),
        (lambda d: (d / 'annotations.json').write_text('{"im'), ['annotations.json', 'JSON']),
        (lambda d: (d / 'annotations.json').write_text('[]'), ['no list `images`']),
        (edit(lambda c: c.pop('categories')), ['no list `categories`']),
        (edit(lambda c: c['categories'].clear()), ['`categories` is empty']),
        (edit(lambda c: c['images'].clear()), ['lists no images']),
        (edit(lambda c: c['annotations'].clear()), ['`annotations` is empty']),
        (edit(lambda c: c['images'][1].pop('time_of_day')), ['time_of_day of f2.png', 'day, dusk']),
        (edit(lambda c: c['images'][1].pop('width')), ['width and height']),
        (edit(lambda c: c['annotations'][1].pop('bbox')), ['annotations[1]', 'bbox']),
        (edit(lambda c: c['annotations'][1].update(category_id=9)), ['category_id 9', '[1, 4]']),
        (edit(lambda c: c['annotations'][1].update(bbox=[20, 4, 8, 8])), ['f2.png', '24x16']),
        (edit(lambda c: c['annotations'][1].update(image_id=77)), ['image_id 77']),
        (lambda d: (d / 'labels/f2.png').unlink(), ['labels/f2.png is missing', 'add the file']),
        (lambda d: (d / 'images/f2.png').unlink(), ['images/f2.png is missing']),
        (lambda d: (d / 'labels/f2.png').write_bytes(b''), ['labels/f2.png', '0 bytes']),
        (write_label(3, (HEIGHT, WIDTH - 4)), ['f2.png is 20x16', '24x16']),
        (write_label(12, (HEIGHT, WIDTH)), ['f2.png holds class id 12', '11 for void']),
        (write_label((1, 2, 3), (HEIGHT, WIDTH, 3)), ['f2.png has 3 channels']),
    ],
)
def test_damage_is_named_in_one_line(
    tmp_path: Path, damage: Callable[[Path], object], words: list[str]
) -> None:
    directory = make_dataset(tmp_path / 'data')
    damage(directory)
    with pytest.raises(DataError) as caught:
        read_dataset(directory)
    assert '\n' not in str(caught.value)
    assert str(directory) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_truncated_image_is_named_when_read(tmp_path: Path) -> None:
    directory = make_dataset(tmp_path / 'data')
    path = directory / 'images/f2.png'
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(DataError, match=r'images/f2\.png is not a picture'):
        read_dataset(directory).images[1].image()
