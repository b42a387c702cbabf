# SPDX-License-Identifier: Apache-2.0
"""Data sets of classification tasks: made scenes, and files in the layouts that are published."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.tiny_dataset import make_dataset

from mtl_split_core.errors import DataError
from mtl_split_train.attributes import READERS, read_attributes
from mtl_split_train.attributes.scene import Shape, scene_maps
from mtl_split_train.attributes.shapes import (
    FACTORS,
    SCENES,
    SPLITS,
    draw_scene,
    scene_values,
    split_scenes,
)

COUNTS = (10, 10, 10, 8, 4, 15)  # of 3D Shapes, in its order


def scene(*places: int) -> int:
    return int(np.ravel_multi_index(places, COUNTS))


def object_share(shape: Shape, scale: float = 1.0, orientation: float = 0.0) -> float:
    return float((scene_maps(shape, scale, orientation)[:, 2] > 0).mean())


def test_scenes_have_the_factors_of_3d_shapes_in_their_order() -> None:
    assert tuple(map(len, FACTORS.values())) == COUNTS
    assert SCENES == 480_000
    assert scene_values(scene(9, 0, 3, 7, 2, 14)) == {
        'floor_hue': 9, 'wall_hue': 0, 'object_hue': 3, 'scale': 7, 'shape': 2, 'orientation': 14,
    }  # fmt: skip


def test_each_hue_colours_its_own_part() -> None:
    grey = draw_scene(scene(0, 0, 0, 4, 0, 7)).astype(int)
    places = {'floor': (60, 8), 'wall': (4, 8), 'object': (34, 32)}
    for number, part in enumerate(places):
        hues = [0, 0, 0]
        hues[number] = 4
        changed = np.abs(draw_scene(scene(*hues, 4, 0, 7)).astype(int) - grey).sum(2) > 0
        assert {name: bool(changed[place]) for name, place in places.items()} == {
            name: name == part for name in places
        }


def test_a_larger_scale_is_larger_and_no_shape_is_another() -> None:
    for shape in Shape:
        sizes = [object_share(shape, 0.75 + step * 0.5 / 7) for step in range(8)]
        assert sizes == sorted(sizes)
        assert sizes[-1] > 2 * sizes[0]  # area: about the square of 1.25 / 0.75
    pictures = [draw_scene(scene(0, 3, 6, 4, shape, 7)).astype(int) for shape in range(4)]
    for first in range(4):
        for second in range(first):
            assert (np.abs(pictures[first] - pictures[second]).sum(2) > 0).mean() > 0.02


def test_orientation_turns_room_and_object_alike_on_both_sides() -> None:
    left, right = (scene_maps(Shape.SPHERE, 1.0, angle).reshape(64, 64, 4) for angle in (-30, 30))
    # Light and shadow are not symmetric, but what is where is.
    for part in range(3):
        assert ((left[..., part] > 0) == (right[:, ::-1, part] > 0)).mean() > 0.99
    front = draw_scene(scene(0, 3, 6, 4, 0, 7)).astype(int)
    turned = draw_scene(scene(0, 3, 6, 4, 0, 14)).astype(int)
    assert (np.abs(front - turned).sum(2) > 20).mean() > 0.1


def test_perspective_by_hand() -> None:
    """The upper rim of a cylinder is as far below the middle as the pinhole puts it."""
    rows = np.flatnonzero(
        (scene_maps(Shape.CYLINDER, 1.0, 0.0).reshape(64, 64, 4)[..., 2] > 0).any(1)
    )
    eye, aim = np.array([-5.2, 3.0]), np.array([0, 0.55])
    ahead = (aim - eye) / np.linalg.norm(aim - eye)
    down = np.array([ahead[1], -ahead[0]])
    # The rim's far edge is the highest, the bottom's near edge the lowest point that is seen.
    for point, row in ((np.array([0.62, 1.3]), rows[0]), (np.array([-0.62, 0]), rows[-1])):
        away = point - eye
        place = 32 + 32 * (away @ down) / (away @ ahead) / np.tan(np.radians(19))
        assert place == pytest.approx(row + 0.5, abs=0.7)


def test_splits_are_those_of_the_published_code() -> None:
    found = {split: split_scenes(split) for split in SPLITS}
    assert len(found['test']) == 120_000
    assert len(found['val']) == 36_000
    assert len(np.unique(np.concatenate(list(found.values())))) == SCENES
    floor, wall, *_ = np.unravel_index(found['test'], COUNTS)
    assert floor.min() == wall.min() == 5
    # Shuffled: the first few have every value of the tasks.
    assert len({scene_values(int(place))['scale'] for place in found['train'][:200]}) == 8


@pytest.mark.parametrize(
    ('name', 'share'), [('shapes', 0.16), ('shapes_published_noise', 0.5319 + 0.1788)]
)
def test_shapes_are_always_alike_with_as_much_noise_as_said(name: str, share: float) -> None:
    samples = read_attributes(name, Path('nowhere'), 'train').samples
    place = int(split_scenes('train')[3])
    picture = samples[3].image()
    np.testing.assert_array_equal(picture, samples[1:5][2].image())
    assert samples[3].values == scene_values(place)
    assert (picture.dtype, picture.shape) == (np.uint8, (64, 64, 3))
    hit = (picture != draw_scene(place)).mean()
    assert hit == pytest.approx(share, abs=0.015)
    assert (picture != samples[4].image()).any()


def test_camvid_gives_its_time_of_day(tmp_path: Path) -> None:
    make_dataset(tmp_path / 'val')
    data = read_attributes('camvid', tmp_path, 'val')
    assert data.tasks == {'time_of_day': ('day', 'dusk')}
    assert [sample.values['time_of_day'] for sample in data.samples] == [0, 1, 0]
    assert data.samples[0].image().shape == (16, 24, 3)


def write_picture(path: Path, color: tuple[int, int, int] = (10, 20, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((6, 8, 3), color, np.uint8))


MEDIC = (
    'image_id\tevent_name\timage_path\tdamage_severity\tinformative\thumanitarian\tdisaster_types\n'
    '917\thurricane_irma\tdata/a/1.png\tmild\tinformative\tnot_humanitarian\thurricane\n'
    '918\tnone\tdata/a/2.png\tlittle_or_none\tnot_informative\tnot_humanitarian\tnot_disaster\n'
    '919\tnone\tdata/a/2.png\tsevere\tinformative\tnot_humanitarian\tother_disaster\n'
    '920\tfires\tdata/a/2.png\t\tinformative\tnot_humanitarian\tfire\n'
)


def make_medic(root: Path) -> Path:
    write_picture(root / 'data/a/1.png')
    write_picture(root / 'data/a/2.png')
    for name in ('train', 'dev', 'test'):
        (root / f'MEDIC_{name}.tsv').write_text(MEDIC)
    return root


def test_medic(tmp_path: Path) -> None:
    data = read_attributes('medic', make_medic(tmp_path), 'val')
    assert data.path.name == 'MEDIC_dev.tsv'
    assert [len(classes) for classes in data.tasks.values()] == [3, 5]
    hurricane = data.tasks['disaster_types'].index('hurricane')
    fire = data.tasks['disaster_types'].index('fire')
    assert [dict(sample.values) for sample in data.samples] == [
        {'damage_severity': 1, 'disaster_types': hurricane},
        {'damage_severity': None, 'disaster_types': fire},
    ]
    assert data.samples[0].image()[0, 0].tolist() == [30, 20, 10]  # RGB


def make_faces(root: Path) -> Path:
    for name in ('004_o_m_a_a', '168_m_f_s_b'):
        for split in ('train', 'val'):
            write_picture(root / split / f'{name}.jpg')
    return root


def test_faces(tmp_path: Path) -> None:
    data = read_attributes('faces', make_faces(tmp_path), 'train')
    assert {name: len(classes) for name, classes in data.tasks.items()} == {
        'age': 3, 'gender': 2, 'expression': 6,
    }  # fmt: skip
    named = [
        {
            task: data.tasks[task][value]
            for task, value in sample.values.items()
            if value is not None
        }
        for sample in data.samples
    ]
    assert named == [
        {'age': 'old', 'gender': 'male', 'expression': 'anger'},
        {'age': 'middle', 'gender': 'female', 'expression': 'sadness'},
    ]
    assert data.samples[1].image().shape == (6, 8, 3)


@pytest.fixture(scope='module')
def h5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of the real file: all labels, but only a few pictures have pixels."""
    h5py = pytest.importorskip('h5py', reason='needs the train extra')
    folder: Path = tmp_path_factory.mktemp('3dshapes')
    values = [np.arange(10) / 10] * 3 + [np.linspace(0.75, 1.25, 8), np.arange(4.0)]
    grid = np.meshgrid(*values, np.linspace(-30, 30, 15), indexing='ij')
    with h5py.File(folder / '3dshapes.h5', 'w') as file:
        pictures = file.create_dataset('images', (SCENES, 64, 64, 3), 'u1', chunks=(1, 64, 64, 3))
        pictures[int(split_scenes('test')[0])] = 128
        file['labels'] = np.stack(grid, -1).reshape(-1, 6)
    return folder


def test_3dshapes(h5_folder: Path) -> None:
    data = read_attributes('3dshapes', h5_folder, 'test')
    assert len(data.samples) == 120_000
    assert data.tasks == read_attributes('shapes', Path(), 'test').tasks
    assert data.samples[0].values == scene_values(int(split_scenes('test')[0]))
    picture = data.samples[0].image()
    assert (picture == 128).mean() == pytest.approx(0.84, abs=0.015)  # the rest is noise
    assert (picture != data.samples[1].image()).any()


def test_3dshapes_with_wrong_labels(h5_folder: Path, tmp_path: Path) -> None:
    import h5py  # noqa: PLC0415

    path = Path(shutil.copy(h5_folder / '3dshapes.h5', tmp_path))
    with h5py.File(path, 'r+') as file:
        file['labels'][7, 4] = 3
    with pytest.raises(DataError, match=r'3dshapes.h5: label shape of picture 7 is 3,'):
        read_attributes('3dshapes', tmp_path, 'train')
    with h5py.File(path, 'r+') as file:
        del file['labels']
    with pytest.raises(DataError, match=r'`labels` is missing, not \(480000, 6\): take'):
        read_attributes('3dshapes', tmp_path, 'train')
    path.write_bytes(b'no HDF5')
    with pytest.raises(DataError, match='cannot be read as HDF5'):
        read_attributes('3dshapes', tmp_path, 'train')
    path.rename(tmp_path / 'shapes.h5')
    with pytest.raises(DataError, match=r'is missing; .*gs://3d-shapes; it holds shapes\.h5$'):
        read_attributes('3dshapes', tmp_path, 'train')


def rewrite(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / name
        path.write_text(path.read_text().replace(old, new))

    return change


WRONG: list[tuple[str, str, Callable[[Path], None], str]] = [
    ('medic', 'train', lambda root: (root / 'MEDIC_train.tsv').unlink(), 'must hold MEDIC_train'),
    ('medic', 'train', rewrite('MEDIC_train.tsv', '_types\n', '\n'), "no column 'disaster_types'"),
    ('medic', 'train', rewrite('MEDIC_train.tsv', 'mild', 'bad'), ":2: damage_severity is 'bad'"),
    ('medic', 'train', rewrite('MEDIC_train.tsv', 'a/1.png', 'a/3.png'), ':2: image_path'),
    ('medic', 'train', rewrite('MEDIC_train.tsv', 'data/a/1', '../x'), 'which is no file in'),
    ('medic', 'train', lambda root: (root / 'MEDIC_train.tsv').write_bytes(b'\xff'), 'must hold'),
    ('medic', 'dev', lambda _root: None, "no split 'dev'; it has train, val, test"),
    ('faces', 'test', lambda _root: None, 'test has no pictures; '),
    ('faces', 'train', lambda root: write_picture(root / 'train/me.jpg'), 'me.jpg is not named'),
    ('shapes', 'dev', lambda _root: None, "shapes has no split 'dev'"),
    ('moon', 'train', lambda _root: None, f'known are: {", ".join(READERS)}'),
    ('camvid', 'train', lambda _root: None, 'annotations.json'),
]


@pytest.mark.parametrize(('name', 'split', 'change', 'said'), WRONG)
def test_what_does_not_fit_is_named(
    name: str, split: str, change: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    make_medic(make_faces(tmp_path))
    change(tmp_path)
    with pytest.raises(DataError) as caught:
        read_attributes(name, tmp_path, split)
    assert said in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('name', 'tree'),
    [('medic', 'MEDIC_train.tsv, MEDIC_dev.tsv'), ('faces', 'train/004_o_m_a_a.jpg, val/')],
)
def test_another_folder_is_told_what_should_be_there_and_what_is(
    name: str, tree: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r'; it holds nothing$'):
        read_attributes(name, tmp_path, 'train')
    for number in range(8):
        (tmp_path / f'other{number}').touch()
    (tmp_path / 'album').mkdir()
    with pytest.raises(DataError) as caught:
        read_attributes(name, tmp_path, 'train')
    deviation, told, found = str(caught.value).split('; ')
    assert str(tmp_path) in deviation
    assert told.startswith(f'{tmp_path} must hold {tree}')
    assert found == 'it holds album/, other0, other1, other2, other3, other4 and 3 more'


def test_a_missing_folder_and_damaged_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='nowhere does not exist; give the folder of faces'):
        read_attributes('faces', tmp_path / 'nowhere', 'train')
    data = read_attributes('faces', make_faces(tmp_path), 'train')
    (tmp_path / 'train/004_o_m_a_a.jpg').write_bytes(b'')
    with pytest.raises(DataError, match='is not a picture that can be read'):
        data.samples[0].image()
    (tmp_path / 'train/004_o_m_a_a.jpg').unlink()
    with pytest.raises(DataError, match='cannot be read'):
        data.samples[0].image()
