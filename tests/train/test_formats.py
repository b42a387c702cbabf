# SPDX-License-Identifier: Apache-2.0
"""The data formats on a few made files of their real layouts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mtl_split_core.errors import DataError
from mtl_split_train.formats import read_split
from mtl_split_train.samples import VOID

WIDTH, HEIGHT = 32, 16

pytest.importorskip('PIL', reason='needs the train extra')


def write(path: Path, pixels: NDArray[Any] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = np.full((HEIGHT, WIDTH, 3), 90, np.uint8) if pixels is None else pixels
    assert cv2.imwrite(str(path), shape)
    return path


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def edit(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def halves(left: int, right: int, kind: type[np.generic] = np.uint8) -> NDArray[Any]:
    """A map whose left half has one value and whose right half another."""
    pixels = np.full((HEIGHT, WIDTH), left, kind)
    pixels[:, WIDTH // 2 :] = right
    return pixels


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two pictures; the second without instances. Segment 70000 is a person, 258 the sky."""
    for number in (139, 285):
        write(tmp_path / f'val2017/{number:012}.jpg')
    images = [
        {'id': n, 'file_name': f'{n:012}.jpg', 'width': WIDTH, 'height': HEIGHT} for n in (139, 285)
    ]
    person, kite = {'id': 1, 'name': 'person'}, {'id': 38, 'name': 'kite'}
    box = {'id': 9, 'image_id': 139, 'category_id': 38, 'area': 1.0, 'iscrowd': 0}
    write_json(
        tmp_path / 'annotations/instances_val2017.json',
        {
            'images': images,
            'annotations': [
                {**box, 'bbox': [1.5, 2.0, 4.0, 5.0]},
                {**box, 'id': 10, 'bbox': [28.0, 8.0, 8.0, 4.0], 'category_id': 1, 'iscrowd': 1},
                {**box, 'id': 11, 'bbox': [3.0, 3.0, 0.0, 4.0]},
            ],
            'categories': [person, kite],
        },
    )
    segments = np.zeros((HEIGHT, WIDTH), np.int64)
    segments[:, :8], segments[:, 8:20] = 70000, 258
    png = np.stack([segments >> 16, segments >> 8 & 255, segments & 255], axis=-1)  # BGR
    write(tmp_path / 'annotations/panoptic_val2017/000000000139.png', png.astype(np.uint8))
    info = [
        {'id': 70000, 'category_id': 1, 'iscrowd': 0, 'bbox': [0, 0, 8, 16], 'area': 128},
        {'id': 258, 'category_id': 187, 'iscrowd': 0, 'bbox': [8, 0, 12, 16], 'area': 192},
    ]
    write_json(
        tmp_path / 'annotations/panoptic_val2017.json',
        {
            'images': images,
            'annotations': [
                {'image_id': 139, 'file_name': '000000000139.png', 'segments_info': info}
            ],
            'categories': [
                {**person, 'isthing': 1},
                {**kite, 'isthing': 1},
                {'id': 187, 'name': 'sky-other-merged', 'isthing': 0},
            ],
        },
    )
    return tmp_path


def test_coco(coco: Path) -> None:
    dataset = read_split('coco', coco, 'val2017')
    assert dataset.classes.detection == ('person', 'kite')
    assert dataset.classes.segmentation == ('person', 'kite', 'sky-other-merged')
    assert dataset.classes.values == ()
    first, second = dataset.images
    assert first.image().shape == (HEIGHT, WIDTH, 3)
    # Clipped at the border; the box without width is left out.
    np.testing.assert_array_equal(first.boxes, [[1.5, 2, 5.5, 7], [28, 8, 32, 12]])
    assert first.class_ids.tolist() == [1, 0]
    assert first.iscrowd.tolist() == [False, True]
    assert first.label()[0, [0, 8, 20]].tolist() == [0, 2, VOID]
    assert second.has_boxes
    assert len(second.boxes) == 0
    assert second.label_map is None
    assert (second.label() == VOID).all()


def test_coco_with_one_of_the_two_files(coco: Path) -> None:
    panoptic, instances = (
        coco / f'annotations/{n}_val2017.json' for n in ('panoptic', 'instances')
    )
    kept = panoptic.rename(coco / 'elsewhere.json')
    dataset = read_split('coco', coco, 'val2017')
    assert dataset.classes.segmentation == ()
    kept.rename(panoptic)
    instances.unlink()
    dataset = read_split('coco', coco, 'val2017')
    assert dataset.classes.detection == ('person', 'kite')
    np.testing.assert_array_equal(dataset.images[0].boxes, [[0, 0, 8, 16]])
    assert [sample.has_boxes for sample in dataset.images] == [True, False]
    panoptic.unlink()
    with pytest.raises(DataError, match=r'instances_val2017\.json and panoptic_.* are missing'):
        read_split('coco', coco, 'val2017')


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda d: (d / 'val2017/000000000285.jpg').unlink(), ['000000000285.jpg is missing']),
        (
            lambda d: (d / 'annotations/panoptic_val2017/000000000139.png').unlink(),
            ['000000000139.png is missing'],
        ),
        (
            lambda d: edit(
                d / 'annotations/panoptic_val2017.json',
                lambda c: c['annotations'][0]['segments_info'].pop(),
            ),
            ['000000000139.png holds segment 258'],
        ),
        (
            lambda d: edit(
                d / 'annotations/panoptic_val2017.json',
                lambda c: c['annotations'][0]['segments_info'][0].update(category_id=77),
            ),
            ['annotations[0]', '77'],
        ),
        (
            lambda d: edit(
                d / 'annotations/instances_val2017.json', lambda c: c['annotations'].clear()
            ),
            ['instances_val2017.json', '`annotations` is empty'],
        ),
        (
            lambda d: edit(
                d / 'annotations/panoptic_val2017.json', lambda c: c['annotations'].clear()
            ),
            ['panoptic_val2017.json', '`annotations` is empty', 'take the file away'],
        ),
        (
            lambda d: edit(
                d / 'annotations/instances_val2017.json',
                lambda c: c['annotations'][0].update(category_id=5),
            ),
            ['category_id 5', '[1, 38]'],
        ),
    ],
)
def test_coco_damage(coco: Path, damage: Callable[[Path], object], words: list[str]) -> None:
    damage(coco)
    with pytest.raises(DataError) as caught:
        read_split('coco', coco, 'val2017')
    for word in words:
        assert word in str(caught.value)


@pytest.fixture
def bdd(tmp_path: Path) -> Path:
    """Frame a has boxes alone, b boxes and both masks, c is of the 10k pictures with a mask."""
    for name in ('a', 'b'):
        write(tmp_path / f'images/100k/train/{name}.jpg')
    write(tmp_path / 'images/10k/train/c.jpg')
    box = {'x1': 2.0, 'y1': 3.0, 'x2': 12.5, 'y2': 9.0}
    frames = [
        {
            'name': 'a.jpg',
            'attributes': {'weather': 'clear', 'scene': 'highway', 'timeofday': 'night'},
            'timestamp': 10000,
            'labels': [
                {'id': '0', 'category': 'traffic light', 'attributes': {}, 'box2d': box},
                {'id': '1', 'category': 'other vehicle', 'attributes': {}, 'box2d': box},
                {'id': '2', 'category': 'rider', 'attributes': {'crowd': True}, 'box2d': box},
            ],
        },
        {'name': 'b.jpg', 'attributes': {'timeofday': 'undefined'}, 'timestamp': 10000},
    ]
    write_json(tmp_path / 'labels/det_20/det_train.json', frames)
    for name in ('b', 'c'):
        write(tmp_path / f'labels/sem_seg/masks/train/{name}.png', halves(13, 255))
    write(tmp_path / 'labels/drivable/masks/train/b.png', halves(1, 2))
    return tmp_path


def test_bdd100k(bdd: Path) -> None:
    dataset = read_split('bdd100k', bdd, 'train')
    a, b, c = dataset.images
    assert dataset.classes.segmentation[13] == dataset.classes.detection[2] == 'car'
    assert dataset.classes.attribute == 'time_of_day'
    assert (a.has_boxes, b.has_boxes, c.has_boxes) == (True, True, False)
    assert (a.label_map is None, b.label_map is None, c.label_map is None) == (True, False, False)
    assert (a.attribute, b.attribute, c.attribute) == ('night', None, None)
    assert [dataset.categories[i] for i in a.class_ids] == ['traffic light', 'car', 'rider']
    assert a.iscrowd.tolist() == [False, True, True]
    np.testing.assert_array_equal(a.boxes[0], [2, 3, 12.5, 9])
    assert c.image().shape == (HEIGHT, WIDTH, 3)
    assert c.label()[0, [0, -1]].tolist() == [13, VOID]


def test_bdd100k_drivable(bdd: Path) -> None:
    dataset = read_split('bdd100k_drivable', bdd, 'train')
    assert dataset.classes.segmentation == ('direct', 'alternative', 'background')
    assert [sample.name for sample in dataset.images] == ['a', 'b']
    assert dataset.images[1].label()[0, [0, -1]].tolist() == [1, 2]


def test_bdd100k_damage(bdd: Path) -> None:
    annotations = bdd / 'labels/det_20/det_train.json'
    write(bdd / 'labels/sem_seg/masks/train/b.png', halves(13, 19))
    with pytest.raises(DataError, match=r'b\.png holds class id 19; .*18 and 255 for void'):
        read_split('bdd100k', bdd, 'train')
    write(bdd / 'labels/sem_seg/masks/train/b.png', halves(13, 255)[:, :-2])
    with pytest.raises(DataError, match=r'b\.png is 30x16.*32x16'):
        read_split('bdd100k', bdd, 'train')
    (bdd / 'images/10k/train/c.jpg').unlink()
    with pytest.raises(DataError, match=r'c\.jpg is missing.*c\.png labels it'):
        read_split('bdd100k', bdd, 'train')
    edit(annotations, lambda c: c[0]['labels'][0].update(category='tram'))
    with pytest.raises(DataError, match=r"labels\[0\] of a is 'tram'; known"):
        read_split('bdd100k', bdd, 'train')
    edit(annotations, lambda c: c[0].pop('labels'))
    with pytest.raises(DataError, match=r'det_train\.json has no labels in any frame'):
        read_split('bdd100k', bdd, 'train')
    with pytest.raises(DataError, match=r'det_val\.json is missing and .*masks/val holds no PNG'):
        read_split('bdd100k', bdd, 'val')


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    """Aachen with labelIds and instances, Bremen with labelTrainIds alone."""
    for city, name in (('aachen', 'aachen_000000_000019'), ('bremen', 'bremen_000000_000019')):
        write(tmp_path / f'leftImg8bit/train/{city}/{name}_leftImg8bit.png')
    label = halves(26, 7)
    label[0], label[1] = 4, 29  # static and caravan have no trainId
    gt = tmp_path / 'gtFine/train'
    write(gt / 'aachen/aachen_000000_000019_gtFine_labelIds.png', label)
    instances = halves(26, 7, np.uint16)
    instances[2:6, 3:9] = 26001
    instances[8:10, 20:30] = 24000
    write(gt / 'aachen/aachen_000000_000019_gtFine_instanceIds.png', instances)
    write(gt / 'bremen/bremen_000000_000019_gtFine_labelTrainIds.png', halves(18, 255))
    return tmp_path


def test_cityscapes(cityscapes: Path) -> None:
    dataset = read_split('cityscapes', cityscapes, 'train')
    aachen, bremen = dataset.images
    assert len(dataset.classes.segmentation) == 19
    assert dataset.classes.segmentation[13] == 'car'
    assert aachen.label()[:3, 0].tolist() == [VOID, VOID, 13]
    assert aachen.label()[2, -1] == 0
    # The group of cars fills the left half around the one that stands out of it.
    assert [dataset.categories[i] for i in aachen.class_ids] == ['car', 'person', 'car']
    np.testing.assert_array_equal(aachen.boxes, [[0, 0, 16, 16], [20, 8, 30, 10], [3, 2, 9, 6]])
    assert aachen.iscrowd.tolist() == [True, False, False]
    assert not bremen.has_boxes
    assert bremen.label()[0, [0, -1]].tolist() == [18, VOID]


def test_cityscapes_damage(cityscapes: Path) -> None:
    labels = cityscapes / 'gtFine/train/bremen/bremen_000000_000019_gtFine_labelTrainIds.png'
    write(labels, halves(18, 40))
    with pytest.raises(DataError, match=r'labelTrainIds\.png holds class id 40'):
        read_split('cityscapes', cityscapes, 'train')
    with pytest.raises(DataError, match=r'leftImg8bit/val has no CITY/\*_leftImg8bit\.png'):
        read_split('cityscapes', cityscapes, 'val')
    (cityscapes / 'gtFine').rename(cityscapes / 'elsewhere')
    with pytest.raises(DataError, match='unpack gtFine'):
        read_split('cityscapes', cityscapes, 'train')


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'data folder .*none does not exist; give --data'):
        read_split('coco', tmp_path / 'none', 'train2017')
