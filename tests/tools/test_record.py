# SPDX-License-Identifier: Apache-2.0
"""`mtl-split record`: folders, data folders and videos become recordings, or nothing at all."""

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from tests.tiny_bundle import street_image
from tests.tiny_dataset import HEIGHT, WIDTH, make_dataset
from tests.tools.commands import fails

from mtl_split_tools.bags import message_stamp, open_bag
from mtl_split_tools.cli import main

SIZE = (64, 48)


def make_pictures(directory: Path, count: int = 5) -> Path:
    directory.mkdir()
    for number in range(count):
        image = street_image(*SIZE, seed=number)
        cv2.imwrite(str(directory / f'frame_{number:03}.png'), image)
    (directory / 'notes.txt').write_text('not a picture')
    return directory


def make_video(path: Path, count: int = 8, rate: Fraction = Fraction(25)) -> Path:
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate)
        stream.width, stream.height, stream.pix_fmt = *SIZE, 'yuv420p'
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(street_image(*SIZE, seed=number), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def record(source: Path, out: Path, *options: object) -> None:
    arguments = ['record', source, '--out', out, '--start-time', 100, *options]
    assert main([str(argument) for argument in arguments]) == 0


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_folder_becomes_pictures_and_camera_info(tmp_path: Path, storage: str) -> None:
    source = make_pictures(tmp_path / 'pictures')
    topic = '/cam/front/image/compressed'
    record(source, tmp_path / 'bag', '--topic', topic, '--frame-id', 'front', '--storage', storage)
    with open_bag(tmp_path / 'bag') as bag:
        names = {c.topic: (c.msgtype, c.msgcount) for c in bag.connections}
        assert names == {
            topic: ('sensor_msgs/msg/CompressedImage', 5),
            '/cam/front/camera_info': ('sensor_msgs/msg/CameraInfo', 5),
        }
        image = bag.image_connection()
        for number, (_, moment, data) in enumerate(bag.messages([image])):
            message = bag.deserialize(data, image.msgtype)
            assert moment == 100 * 10**9 + round(number * 1e9 / 15)
            assert message_stamp(data) == divmod(moment, 10**9)
            assert (message.format, message.header.frame_id) == ('jpeg', 'front')  # type: ignore[attr-defined]
            pixels = cv2.imdecode(message.data, cv2.IMREAD_COLOR)  # type: ignore[attr-defined]
            wanted = cv2.imread(str(source / f'frame_{number:03}.png')).astype(int)
            assert np.abs(pixels - wanted).mean() < 4
        (info,) = (c for c in bag.connections if c.topic.endswith('camera_info'))
        _, _, data = next(bag.messages([info]))
        message = bag.deserialize(data, info.msgtype)
        assert (message.width, message.height) == SIZE  # type: ignore[attr-defined]
        assert not message.k.any()  # type: ignore[attr-defined]


def test_video_keeps_its_own_times(tmp_path: Path) -> None:
    record(make_video(tmp_path / 'drive.mp4'), tmp_path / 'bag', '--limit', 6)
    with open_bag(tmp_path / 'bag') as bag:
        moments = [moment for _, moment, _ in bag.messages([bag.image_connection()])]
    assert moments == [100 * 10**9 + number * 40_000_000 for number in range(6)]


def test_video_at_another_rate(tmp_path: Path) -> None:
    record(make_video(tmp_path / 'drive.mp4'), tmp_path / 'bag', '--fps', 10)
    with open_bag(tmp_path / 'bag') as bag:
        moments = [moment for _, moment, _ in bag.messages([bag.image_connection()])]
    assert np.diff(moments).tolist() == [10**8] * 7


def test_data_folder_brings_its_labels(tmp_path: Path) -> None:
    source = make_dataset(tmp_path / 'data')
    record(source, tmp_path / 'clip/bag', '--annotations', tmp_path / 'clip', '--limit', 2)
    content = json.loads((tmp_path / 'clip/annotations.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['f1.png', 'f2.png']
    assert {box['image_id'] for box in content['annotations']} == {1, 2}
    labels = sorted(path.name for path in (tmp_path / 'clip/labels').iterdir())
    assert labels == ['f1.png', 'f2.png']
    copied = cv2.imread(str(tmp_path / 'clip/labels/f2.png'), cv2.IMREAD_UNCHANGED)
    assert copied.shape == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(
        copied, cv2.imread(str(source / 'labels/f2.png'), cv2.IMREAD_UNCHANGED)
    )


def test_bad_sources_leave_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'empty').mkdir()
    pictures = make_pictures(tmp_path / 'pictures')
    broken = pictures / 'frame_003.png'
    broken.write_bytes(broken.read_bytes()[:40])
    (tmp_path / 'text.mp4').write_text('this is no video')
    cut = make_video(tmp_path / 'cut.mp4')
    cut.write_bytes(cut.read_bytes()[:1000])
    before = sorted(path.name for path in tmp_path.iterdir())
    for source, words in (
        ('nowhere', 'does not exist'),
        ('empty', 'has no pictures'),
        ('pictures', 'frame_003.png is not a picture'),
        ('text.mp4', 'is not a video that can be read'),
        ('cut.mp4', 'is not a video that can be read'),
    ):
        assert words in fails(capsys, 'record', tmp_path / source, '--out', tmp_path / 'bag')
        assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--quality', 0], '--quality 0'),
        (['--fps', 0], '--fps 0'),
        (['--limit', 0], '--limit 0'),
        (['--start-time', 0], '--start-time 0'),
        (['--topic', 'image'], '--topic image'),
        (['--annotations', 'somewhere'], 'no annotations.json to copy'),
    ],
)
def test_bad_options_name_the_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[object], words: str
) -> None:
    pictures = make_pictures(tmp_path / 'pictures', 1)
    assert words in fails(capsys, 'record', pictures, '--out', tmp_path / 'bag', *options)
    assert not (tmp_path / 'bag').exists()


def test_an_existing_recording_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = make_pictures(tmp_path / 'pictures', 2)
    record(pictures, tmp_path / 'bag')
    before = (tmp_path / 'bag/bag.mcap').read_bytes()
    assert 'exists' in fails(capsys, 'record', pictures, '--out', tmp_path / 'bag')
    assert (tmp_path / 'bag/bag.mcap').read_bytes() == before
