# SPDX-License-Identifier: Apache-2.0
"""`mtl-split demo` with real processes: its files, Ctrl-C, children that fail, bad input."""

import json
import os
import shutil
import signal
import stat
import time
from pathlib import Path

import av
import cv2
import pytest
from rosbags.rosbag2 import StoragePlugin
from tests.allowance import within
from tests.ros.harness import PATIENCE_S, wait_for
from tests.tiny_bundle import street_image
from tests.tools.commands import (
    TYPES,
    environment,
    fails,
    image_message,
    stamp,
    started,
    write_points,
)

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import MtlSplitError
from mtl_split_tools.bags import message_stamp, open_bag, write_bag
from mtl_split_tools.cli import main
from mtl_split_tools.demo.processes import Children

pytestmark = pytest.mark.ros

WIDTH, HEIGHT = 81, 60  # an odd width, which H.264 does not take
SUMMARY_KEYS = {
    *('frames_in', 'frames_out', 'bundle', 'rate', 'bytes_per_frame', 'edge_ms', 'server_ms'),
    *('end_to_end_ms', 'metrics'),
}
TOPICS = {
    *('/image/compressed', '/camera_info', '/features', '/contract', '/link_report'),
    *('/detections', '/detections/label_info', '/segmentation/mask', '/segmentation/label_info'),
    *('/classification', '/diagnostics', '/frame_status'),
}


def make_data(directory: Path, count: int) -> Path:
    """Write a data folder with one car in every picture."""
    (directory / 'images').mkdir(parents=True)
    (directory / 'labels').mkdir()
    numbers = range(1, count + 1)
    for number in numbers:
        image = street_image(WIDTH, HEIGHT, number)
        cv2.imwrite(str(directory / f'images/f{number:04}.png'), image)
        cv2.imwrite(str(directory / f'labels/f{number:04}.png'), image[:, :, 0] // 24)
    size = {'width': WIDTH, 'height': HEIGHT, 'time_of_day': 'day'}
    box = {'bbox': [20, 20, 24, 24], 'area': 576, 'iscrowd': 0, 'category_id': 1}
    names = ('car', 'pedestrian', 'bicyclist', 'sign')
    content = {
        'images': [{'id': i, 'file_name': f'f{i:04}.png', **size} for i in numbers],
        'annotations': [{'id': i, 'image_id': i, **box} for i in numbers],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(names, 1)],
    }
    (directory / 'annotations.json').write_text(json.dumps(content))
    return directory


def make_clip(directory: Path, count: int, fps: float = 15) -> Path:
    data = make_data(directory / 'data', count)
    clip = directory / 'clip'
    given = ['record', data, '--out', clip / 'bag', '--annotations', clip, '--fps', fps]
    assert main([str(argument) for argument in given]) == 0
    return clip


@pytest.fixture(scope='module')
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Slow, so that a pause of a busy machine does not let a newer frame replace one.
    return make_clip(tmp_path_factory.mktemp('short'), 8, fps=5)


@pytest.fixture(scope='module')
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp('long'), 300)


@pytest.fixture(scope='module')
def fast_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp('fast'), 200, fps=100)


def processes_of(path: Path) -> list[str]:
    """Return the command lines of running processes that name a path, without this one."""
    found = []
    for entry in Path('/proc').iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode()
            except OSError:
                continue
            if str(path) in line:
                found.append(line)
    return found


def test_writes_what_it_promises(clip: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    options = ('--bundle', tiny_bundle.path, '--bag', clip / 'bag', '--out', out, '--rate', 0)
    env = environment()
    del env['ROS_DOMAIN_ID']
    with started('demo', *options, env=env) as process:
        text, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert 'ROS_DOMAIN_ID' in text
    for name in ('summary.json', 'results.mcap', 'overlay.mp4', 'overlay.png'):
        assert str(out / name) in text

    summary = json.loads((out / 'summary.json').read_text())
    assert summary.keys() >= SUMMARY_KEYS
    assert (summary['frames_in'], summary['frames_out']) == (8, 8)
    assert (summary['bundle'], summary['rate']) == ('tiny', 0)
    assert 0 < summary['bytes_per_frame'] < summary['jpeg_bytes_per_frame']
    for key in ('edge_ms', 'server_ms', 'end_to_end_ms'):
        assert 0 < summary[key]['p50'] <= summary[key]['p95'] <= summary[key]['p99']
    assert summary['server_ms']['p50'] < summary['end_to_end_ms']['p50']
    for key in ('miou', 'map50', 'accuracy'):
        assert 0 <= summary['metrics'][key] <= 1
    assert 30 < summary['edge_rss_mb'] < 300
    assert not processes_of(tmp_path)

    with open_bag(clip / 'bag') as bag:
        stamps = [message_stamp(d) for _, _, d in bag.messages([bag.image_connection()])]
    with open_bag(out / 'results.mcap') as bag:
        assert {c.topic for c in bag.connections} == TOPICS
        for connection in bag.connections:
            if connection.topic in ('/detections', '/segmentation/mask', '/classification'):
                found = [message_stamp(data) for _, _, data in bag.messages([connection])]
                assert found == stamps
        (states,) = (c for c in bag.connections if c.topic == '/frame_status')
        modes = {bag.deserialize(data, states.msgtype).mode for *_, data in bag.messages([states])}  # type: ignore[attr-defined]
        assert modes == {'split'}
        (mask,) = (c for c in bag.connections if c.topic == '/segmentation/mask')
        message = bag.deserialize(next(bag.messages([mask]))[2], mask.msgtype)
        assert (message.width, message.height, message.encoding) == (WIDTH, HEIGHT, 'mono8')  # type: ignore[attr-defined]

    assert cv2.imread(str(out / 'overlay.png')).shape == (HEIGHT, WIDTH, 3)
    with av.open(str(out / 'overlay.mp4')) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ('h264', 'yuv420p')
        assert stream.average_rate == 5
        assert len(list(video.decode(video=0))) == 8


def test_the_recording_is_an_mcap_to_others(
    clip: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    reader = pytest.importorskip('mcap.reader')
    out = tmp_path / 'out'
    given = [
        'demo',
        '--bundle',
        tiny_bundle.path,
        '--bag',
        clip / 'bag',
        '--out',
        out,
        '--no-video',
    ]
    with started(*given) as process:
        process.communicate(timeout=60)
    assert not (out / 'overlay.mp4').exists()
    with (out / 'results.mcap').open('rb') as file:
        made = reader.make_reader(file, validate_crcs=True)
        assert made.get_header().profile == 'ros2'
        counts = made.get_summary().statistics.channel_message_counts
        assert sum(counts.values()) == sum(1 for _ in made.iter_messages())
        schemas = {schema.name: schema.encoding for schema in made.get_summary().schemas.values()}
    assert schemas['vision_msgs/msg/Detection2DArray'] == 'ros2msg'


@pytest.mark.parametrize('moment', ['starting', 'running', 'drawing'])
def test_ctrl_c_ends_everything_and_keeps_what_was_written(
    long_clip: Path, fast_clip: Path, tiny_bundle: Bundle, tmp_path: Path, moment: str
) -> None:
    out = tmp_path / 'out'
    bag = (fast_clip if moment == 'drawing' else long_clip) / 'bag'
    with started('demo', '--bundle', tiny_bundle.path, '--bag', bag, '--out', out) as process:
        if moment == 'starting':
            wait_for((out / 'logs/server.log').exists, 'the server')
        elif moment == 'running':
            report = out / 'logs/published.jsonl'
            wait_for(lambda: report.exists() and len(report.read_text()) > 3000, 'pictures')
        else:
            wait_for((out / 'summary.json').exists, 'the summary', 2 * PATIENCE_S)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        wait_for(lambda: not [p for p in processes_of(out) if 'tools demo' not in p], 'the end')
        wait_for(lambda: not processes_of(tiny_bundle.path), 'the end of the nodes')
        took = time.monotonic() - began
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert took < within(2.0)
    assert process.returncode == 130
    assert errors.strip().endswith('mtl-split: interrupted')
    assert 'Traceback' not in errors
    assert not list(out.glob('.*'))
    if moment == 'running':
        assert not (out / 'summary.json').exists()
        with open_bag(out / 'results.mcap') as found:
            assert sum(1 for _ in found.messages(found.connections)) > 10
    elif moment == 'drawing' and (out / 'overlay.mp4').exists():
        with av.open(str(out / 'overlay.mp4')) as video:
            assert list(video.decode(video=0))


def test_a_child_that_fails_ends_the_demo_with_its_line(
    clip: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    fake = tmp_path / 'prefix/lib/mtl_split/edge'
    fake.parent.mkdir(parents=True)
    fake.write_text('#!/bin/sh\necho "edge: the lens is dirty: clean it" >&2\nexit 2\n')
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    env = environment()
    env['AMENT_PREFIX_PATH'] = f'{tmp_path / "prefix"}{os.pathsep}{env["AMENT_PREFIX_PATH"]}'
    out = tmp_path / 'out'
    given = ('--bundle', tiny_bundle.path, '--bag', clip / 'bag', '--out', out)
    with started('demo', *given, env=env) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    line = errors.strip().splitlines()[-1]
    assert line.startswith('mtl-split: edge ended with 2: edge: the lens is dirty: clean it')
    assert not processes_of(out)


def test_a_stubborn_child_is_killed_in_time(tmp_path: Path) -> None:
    children = Children(tmp_path, os.environ)
    script = 'trap "" INT TERM; echo up; while true; do sleep 0.1; done'
    children.start('stubborn', ['bash', '-c', script])
    wait_for(lambda: 'up' in (tmp_path / 'stubborn.log').read_text(), 'the child')
    began = time.monotonic()
    children.stop()
    assert time.monotonic() - began < within(2.0)
    assert children.ended('stubborn')
    with pytest.raises(MtlSplitError, match='stubborn ended with -9: up'):
        children.check()


def test_bad_input_starts_nothing(
    clip: Path, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'

    def complaint(*options: object) -> str:
        line = fails(capsys, 'demo', '--out', out, '--bundle', tiny_bundle.path, *options)
        assert not out.exists()
        return line

    assert 'no pictures' in complaint('--bag', write_points(tmp_path / 'points'))
    assert 'rates 0 to 1' in complaint('--bag', clip / 'bag', '--rate', 9)
    assert 'does not exist' in complaint('--bag', tmp_path / 'nowhere')
    assert 'no pictures on /cam' in complaint('--bag', clip / 'bag', '--image-topic', '/cam')

    fewer = make_data(tmp_path / 'fewer', 3)
    line = complaint('--bag', clip / 'bag', '--labels', fewer)
    assert 'labels 3 pictures' in line
    assert 'has 8' in line

    with write_bag(tmp_path / 'other', StoragePlugin.SQLITE3) as writer:
        kind = 'sensor_msgs/msg/Image'
        connection = writer.add_connection('/image', kind, typestore=TYPES)
        for number in range(8):
            message = image_message(stamp(number), street_image(40, 30))
            writer.write(connection, stamp(number), message)
        twice = writer.add_connection('/twice', kind, typestore=TYPES)
        for number in range(9):
            message = image_message(stamp(0), street_image(40, 30))
            writer.write(twice, stamp(number), message)
    other = ('--bag', tmp_path / 'other', '--image-topic')
    assert 'share a stamp' in complaint(*other, '/twice')
    line = complaint(*other, '/image', '--labels', clip)
    assert f'{WIDTH}x{HEIGHT}' in line
    assert '40x30' in line

    renamed = tmp_path / 'renamed'
    shutil.copytree(clip, renamed)
    path = renamed / 'annotations.json'
    path.write_text(path.read_text().replace('"car"', '"bus"'))
    assert 'bicyclist, bus' in complaint('--bag', renamed / 'bag')
    (renamed / 'labels/f0002.png').unlink()
    assert 'f0002.png is missing' in complaint('--bag', renamed / 'bag')

    broken = tmp_path / 'broken'
    shutil.copytree(tiny_bundle.path, broken)
    (broken / 'encoder.onnx').write_bytes(b'')
    line = fails(capsys, 'demo', '--bundle', broken, '--bag', clip / 'bag', '--out', out)
    assert 'encoder.onnx' in line
    assert not out.exists()


def test_uncompressed_pictures_without_labels(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with write_bag(tmp_path / 'bag') as writer:
        kind = 'sensor_msgs/msg/Image'
        connection = writer.add_connection('/front/image_raw', kind, typestore=TYPES)
        for number in range(4):
            # slow, so that a pause of a busy machine does not let a newer frame replace one
            moment = stamp(number, 5)
            message = image_message(moment, street_image(WIDTH, HEIGHT, number))
            writer.write(connection, moment, message)
    out = tmp_path / 'out'
    given = ('--bundle', tiny_bundle.path, '--bag', tmp_path / 'bag', '--out', out, '--no-video')
    with started('demo', *given) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    summary = json.loads((out / 'summary.json').read_text())
    assert (summary['frames_in'], summary['frames_out']) == (4, 4)
    assert summary['metrics'] == {'miou': None, 'map50': None, 'accuracy': None}
    assert summary['jpeg_bytes_per_frame'] is None
