# SPDX-License-Identifier: Apache-2.0
"""Random views keep picture, label map and boxes together."""

from dataclasses import replace

import numpy as np
import pytest

from mtl_split_train.augment import Frame, augment, paste_objects, random_crop
from mtl_split_train.config import DataConfig
from mtl_split_train.samples import VOID

CONFIG = DataConfig(crop_width=96, crop_height=64)


def scene(box: tuple[int, int, int, int] = (60, 40, 90, 70), label: int = 8) -> Frame:
    """A bright object on a dark street, its label map and its box."""
    image = np.full((120, 160, 3), 40, np.uint8)
    labels = np.full((120, 160), 3, np.uint8)
    x0, y0, x1, y1 = box
    image[y0:y1, x0:x1] = 220
    labels[y0:y1, x0:x1] = label
    return Frame(image, labels, np.array([box], np.float32), np.array([0]), np.array([False]))


@pytest.mark.parametrize('seed', range(20))
def test_box_label_and_pixels_move_together(seed: int) -> None:
    view = random_crop(scene(), CONFIG, np.random.default_rng(seed))
    assert view.image.shape == (64, 96, 3)
    rows, columns = np.nonzero(view.label == 8)
    if not len(view.boxes):
        assert len(rows) < 150
        return
    x0, y0, x1, y1 = view.boxes[0]
    # A small rotation makes the box of the warped corners a little larger than the object.
    assert x0 - 1 <= columns.min() <= x0 + 6
    assert y0 - 1 <= rows.min() <= y0 + 6
    assert x1 - 7 <= columns.max() <= x1 + 1
    assert y1 - 7 <= rows.max() <= y1 + 1
    assert view.image[view.label == 8].mean() > 150
    assert view.image[view.label == 3].mean() < 100


def test_outside_the_picture_is_void() -> None:
    wide = DataConfig(crop_width=480, crop_height=368)
    view = random_crop(scene(), wide, np.random.default_rng(1))
    assert (view.label == VOID).mean() > 0.5


def test_a_box_mostly_cut_off_is_ignored() -> None:
    found = set()
    for seed in range(200):
        view = random_crop(scene((0, 0, 80, 80)), CONFIG, np.random.default_rng(seed))
        if len(view.boxes):
            visible = (view.label == 8).sum() > 0
            found.add(bool(view.ignored[0]))
            assert visible
    assert found == {True, False}


def test_the_same_seed_gives_the_same_view() -> None:
    first = augment(scene(), CONFIG, np.random.default_rng(7))
    second = augment(scene(), CONFIG, np.random.default_rng(7))
    assert np.array_equal(first.image, second.image)
    assert not np.array_equal(first.image, augment(scene(), CONFIG, np.random.default_rng(8)).image)


def test_pasting_adds_object_and_box_and_leaves_the_source_alone() -> None:
    street, donor = scene(), scene((20, 30, 28, 50), label=9)
    donor.class_ids = np.array([1])
    before = street.image.copy()
    for seed in range(10):
        result = paste_objects(street, donor, {1: 9}, np.random.default_rng(seed))
        assert len(result.boxes) == 2
        x0, y0, x1, y1 = result.boxes[1].astype(int)
        assert (y0, y1) == (30, 50)
        assert (result.label[y0:y1, x0:x1] == 9).all()
        assert result.class_ids[1] == 1
    assert np.array_equal(street.image, before)
    assert len(street.boxes) == 1


def test_what_a_pasted_object_covers_becomes_ignored() -> None:
    street = scene((60, 30, 68, 50), label=9)
    street.class_ids = np.array([1])
    for seed in range(300):
        result = paste_objects(street, street, {1: 9}, np.random.default_rng(seed))
        if abs(float(result.boxes[1, 0]) - 60) < 2:
            assert result.ignored.tolist() == [True, False]
            return
    pytest.fail('no seed pasted the object over its source')


def test_some_pictures_go_through_jpeg() -> None:
    plain = augment(scene(), CONFIG, np.random.default_rng(7))
    worst = {'jpeg': 1.0, 'jpeg_quality_min': 5, 'jpeg_quality_max': 5}
    sent = augment(scene(), replace(CONFIG, **worst), np.random.default_rng(7))
    assert (plain.jpeg, sent.jpeg) == (False, True)
    assert np.array_equal(plain.label, sent.label)
    difference = np.abs(plain.image.astype(int) - sent.image)
    assert 0.5 < difference.mean() < 40
    some = replace(CONFIG, jpeg=0.5)
    views = [augment(scene(), some, np.random.default_rng(seed)).jpeg for seed in range(40)]
    assert 10 < sum(views) < 30


def test_some_pictures_keep_their_light() -> None:
    as_seen = replace(CONFIG, photometric=0.0)
    changed = replace(CONFIG, photometric=1.0)
    some = replace(CONFIG, photometric=0.5)
    kept = np.zeros(2, int)
    for seed in range(40):
        crop = random_crop(scene(), CONFIG, np.random.default_rng(seed)).image
        views = [
            augment(scene(), of, np.random.default_rng(seed)).image
            for of in (as_seen, some, changed)
        ]
        assert np.array_equal(views[0], crop)
        kept += np.array([np.array_equal(view, crop) for view in views[1:]])
    assert 10 < kept[0] < 30
    assert kept[1] < 5  # each of the changes has its own chance


def test_common_classes_are_not_pasted() -> None:
    assert paste_objects(scene(), scene(), {1: 9}, np.random.default_rng(0)).boxes.shape == (1, 4)
