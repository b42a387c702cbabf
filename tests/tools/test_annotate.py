# SPDX-License-Identifier: Apache-2.0
"""`mtl-split annotate`: a folder with results and a video, or nothing; what it refuses, and how."""

import signal
import time
from collections.abc import Generator
from pathlib import Path

import av
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from tests.tools.commands import fails, started

pytest.importorskip('mtl_split.msg', reason='the workspace is not sourced')

from rclpy.serialization import deserialize_message
from tests.tools.recordings import START, raw_bag
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle
from mtl_split_tools.annotate.ahead import ahead
from mtl_split_tools.bags import jazzy_types, message_stamp, open_bag, write_bag
from mtl_split_tools.cli import main

KIND = 'sensor_msgs/msg/Image'


def annotate(bundle: Bundle, bag: Path, out: Path, *options: str) -> list[str]:
    return ['annotate', str(bag), '--bundle', str(bundle.path), '--out', str(out), *options]


def stamps(path: Path, topic: str) -> list[tuple[int, int]]:
    with open_bag(path) as bag:
        connections = [c for c in bag.connections if c.topic == topic]
        return [(moment, message_stamp(data)[0]) for _, moment, data in bag.messages(connections)]


@pytest.mark.parametrize('storage', list(StoragePlugin))
def test_results_lie_at_the_moments_of_the_pictures(
    tmp_path: Path, tiny_bundle: Bundle, storage: StoragePlugin
) -> None:
    bag = raw_bag(tmp_path / 'bag', 7, storage=storage)
    assert main(annotate(tiny_bundle, bag, tmp_path / 'a/out')) == 0
    wanted = [(number * 10**8, START + number) for number in range(7)]
    for topic in ('/features', '/detections', '/segmentation/mask', '/classification'):
        assert stamps(tmp_path / 'a/out/results.mcap', topic) == wanted
    for topic in ('/contract', '/detections/label_info', '/segmentation/label_info'):
        assert len(stamps(tmp_path / 'a/out/results.mcap', topic)) == 1
    with av.open(str(tmp_path / 'a/out/overlay.mp4')) as video:
        stream = video.streams.video[0]
        assert (stream.frames, float(stream.average_rate or 0)) == (7, 10)
        assert (stream.width, stream.height) == (122, 52)
    assert [path.name for path in (tmp_path / 'a').iterdir()] == ['out']


def test_threshold_and_no_video(tmp_path: Path, tiny_bundle: Bundle) -> None:
    bag = raw_bag(tmp_path / 'bag')
    options = ('--score-threshold', '1', '--no-video', '--codec', 'lossless', '--rate', '0')
    assert main(annotate(tiny_bundle, bag, tmp_path / 'out', *options)) == 0
    with open_bag(tmp_path / 'out/results.mcap') as results:
        connections = [c for c in results.connections if c.topic == '/detections']
        found = [
            deserialize_message(d, Detection2DArray) for *_, d in results.messages(connections)
        ]
    assert len(found) == 5
    assert not any(message.detections for message in found)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['results.mcap']


def test_pictures_that_cannot_be_read_are_left_out(
    tmp_path: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = raw_bag(tmp_path / 'bag', 5, bad=(0, 3))
    assert main(annotate(tiny_bundle, bag, tmp_path / 'out')) == 0
    kept = [stamp - START for _, stamp in stamps(tmp_path / 'out/results.mcap', '/detections')]
    assert kept == [1, 2, 4]
    text = capsys.readouterr().out
    assert '2 left out' in text
    assert 'image_proc' in text


def test_message_that_is_none_is_left_out(tmp_path: Path, tiny_bundle: Bundle) -> None:
    bag = raw_bag(tmp_path / 'bag', 3)
    with open_bag(bag) as source, write_bag(tmp_path / 'cut') as writer:
        (camera,) = source.connections
        connection = writer.add_connection(camera.topic, KIND, typestore=jazzy_types())
        for number, (_, moment, data) in enumerate(source.messages([camera])):
            writer.write(connection, moment, data[:40] if number == 1 else data)
    assert main(annotate(tiny_bundle, tmp_path / 'cut', tmp_path / 'out')) == 0
    kept = [stamp - START for _, stamp in stamps(tmp_path / 'out/results.mcap', '/detections')]
    assert kept == [0, 2]


def test_several_topics_have_to_be_chosen_from(
    tmp_path: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = raw_bag(tmp_path / 'bag', 2, topics=('/left/image', '/right/image'))
    text = fails(capsys, *annotate(tiny_bundle, bag, tmp_path / 'out'))
    assert '/left/image' in text
    assert '/right/image' in text
    assert '--topic' in text
    command = annotate(tiny_bundle, bag, tmp_path / 'out', '--topic', '/right/image')
    assert main(command) == 0


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--rate', '7'), '--rate 7: bundle tiny has rates 0 to 1'),
        (('--score-threshold', '1.5'), 'not from 0 to 1'),
        (('--topic', '/nothing'), 'no pictures on /nothing; it has /camera/image_raw'),
        (('--bundle', 'nowhere'), 'nowhere'),
    ],
)
def test_wrong_options_write_nothing(
    tmp_path: Path,
    tiny_bundle: Bundle,
    options: tuple[str, ...],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bag = raw_bag(tmp_path / 'bag')
    assert words in fails(capsys, *annotate(tiny_bundle, bag, tmp_path / 'out', *options))
    assert [path.name for path in tmp_path.iterdir()] == ['bag']


def test_nothing_is_overwritten(
    tmp_path: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = raw_bag(tmp_path / 'bag')
    (tmp_path / 'out').mkdir()
    assert 'exists; delete it' in fails(capsys, *annotate(tiny_bundle, bag, tmp_path / 'out'))
    assert not list((tmp_path / 'out').iterdir())


def test_nothing_of_use_writes_nothing(
    tmp_path: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = raw_bag(tmp_path / 'bag', 2, bad=(0, 1))
    assert 'bayer' in fails(capsys, *annotate(tiny_bundle, bag, tmp_path / 'out'))
    assert [path.name for path in tmp_path.iterdir()] == ['bag']


def test_damaged_recording_writes_nothing(
    tmp_path: Path, tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = raw_bag(tmp_path / 'bag', 400, compression=CompressionMode.MESSAGE)
    (file,) = bag.glob('*.mcap')
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200_000] = b'\xff' * 200_000
    file.write_bytes(data)
    assert 'cannot be read' in fails(capsys, *annotate(tiny_bundle, bag, tmp_path / 'out'))
    assert [path.name for path in tmp_path.iterdir()] == ['bag']


@pytest.mark.real_time
def test_ctrl_c_writes_nothing(tmp_path: Path, tiny_bundle: Bundle) -> None:
    bag = raw_bag(tmp_path / 'bag', 3000)
    with started(*annotate(tiny_bundle, bag, tmp_path / 'out')) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob('.out.*/out/.overlay.mp4.part')):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert [path.name for path in tmp_path.iterdir()] == ['bag']


def test_ahead_keeps_the_order_passes_errors_on_and_closes() -> None:
    closed = []

    def numbers() -> Generator[int, None, None]:
        try:
            yield from range(1, 8)
            msg = 'eight'
            raise ValueError(msg)
        finally:
            closed.append(True)

    seen = []
    with pytest.raises(ValueError, match='eight'):
        seen.extend(ahead(ahead(numbers())))
    again = ahead(ahead(numbers()))
    assert next(again) == 1
    again.close()
    assert len(closed) == 2
    assert np.array_equal(list(ahead(i for i in range(1, 30))), np.arange(1, 30))
