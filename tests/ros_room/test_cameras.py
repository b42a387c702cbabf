# SPDX-License-Identifier: Apache-2.0
"""The cameras of a launch: names and files, and what is said of wrong ones."""

from pathlib import Path

import pytest

from mtl_split_edge.parameters import EDGE_PARAMETERS
from mtl_split_ros.cameras import (
    MAX_CAMERAS,
    CameraError,
    CameraSettings,
    check_names,
    read_cameras,
)

PARAMETERS = [spec.name for spec in EDGE_PARAMETERS]
SHIPPED = Path(__file__).parents[2] / 'config/cameras.yaml'


def test_names_with_commas_between() -> None:
    assert read_cameras('', PARAMETERS) == read_cameras('  ', PARAMETERS) == ()
    found = read_cameras('front, truck/left,right', PARAMETERS)
    assert [camera.name for camera in found] == ['front', 'truck/left', 'right']
    assert {camera.image_topic for camera in found} == {''}


def test_a_file_gives_topics_and_parameters(tmp_path: Path) -> None:
    file = tmp_path / 'cameras.yaml'
    file.write_text('front: {image_topic: /cam/raw, rate: 2, mode: auto}\nleft:\n')
    front, left = read_cameras(str(file), PARAMETERS)
    assert front == CameraSettings('front', '/cam/raw', {'rate': 2, 'mode': 'auto'})
    assert left == CameraSettings('left')
    assert front.image_in('image') == '/cam/raw'
    assert left.image_in('image') == 'left/image'
    assert CameraSettings('left', 'raw').image_in('image') == 'left/raw'


def test_the_file_that_ships() -> None:
    found = read_cameras(str(SHIPPED), PARAMETERS)
    assert [camera.name for camera in found] == ['front', 'left', 'right']
    assert found[0].image_in('image') == 'front/image_raw'


@pytest.mark.parametrize('name', ['', '/front', 'front/', '1st', 'a b', 'a//b', 'ä', 'a-b'])
def test_names_that_are_no_namespaces(name: str) -> None:
    with pytest.raises(CameraError, match=f'camera {name!r} is no namespace'):
        check_names(['front', name])


def test_names_twice_and_too_many() -> None:
    with pytest.raises(CameraError, match="'front' is named twice"):
        read_cameras('front,left,front', PARAMETERS)
    with pytest.raises(CameraError, match=f'{MAX_CAMERAS + 1} cameras'):
        check_names([f'c{n}' for n in range(MAX_CAMERAS + 1)])


@pytest.mark.parametrize(
    ('text', 'line'),
    [
        ('', 'holds no cameras'),
        ('- front', 'holds no cameras'),
        ('front: [', 'cannot be read'),
        ('front: 1', 'camera front is 1; give settings'),
        ('front: {ratte: 1}', "camera front has 'ratte', which is none of image_topic, backend"),
        ('front: {image_topic: 3}', 'image_topic is 3; give a text'),
        ('front: {rate: [1]}', r'rate is \[1\]; give a text or a number'),
        ('/front: {}', "camera '/front' is no namespace"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / 'cameras.yaml'
    file.write_text(text)
    with pytest.raises(CameraError, match=line):
        read_cameras(str(file), PARAMETERS)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(CameraError, match=r'nowhere\.yaml cannot be read'):
        read_cameras('nowhere.yaml', PARAMETERS)
