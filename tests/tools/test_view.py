# SPDX-License-Identifier: Apache-2.0
"""`mtl-split view`: what the viewer gets, read back from its file; the page that is served."""

import json
import re
import signal
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from tests.tools.commands import environment, fails, started

pytest.importorskip('mtl_split.msg', reason='the workspace is not sourced')
pytest.importorskip('rerun', reason='the view group is not installed')

from mtl_split.msg import FeatureMap, FrameStatus, LinkReport
from rclpy.serialization import deserialize_message
from rerun.chunk import RrdReader
from sensor_msgs.msg import Image
from tests.tools.recordings import START, header, raw_bag, write_messages
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_tools.bags import open_bag
from mtl_split_tools.cli import main
from mtl_split_tools.view.topics import Role, camera_of, choose_topics

COUNT = 4
PATIENCE_S = 60.0
ROOT = Path(__file__).parents[2]


class Rows:
    """What a file of the viewer has."""

    def __init__(self, path: Path) -> None:
        self._chunks = list(RrdReader(path).stream())

    def of(self, entity: str, component: str, timeline: str = 'stamp') -> list[tuple[int, Any]]:
        """Nanoseconds and values of an entity, in the order of time; 0 for what is static."""
        found = []
        for chunk in self._chunks:
            if str(chunk.entity_path) != f'/{entity}':
                continue
            batch = chunk.to_record_batch()
            if component not in batch.schema.names:
                continue
            values = batch.column(component).to_pylist()
            times = [0] * len(values)
            if timeline in batch.schema.names:
                times = [moment.value for moment in batch.column(timeline)]
            found += list(zip(times, values, strict=True))
        return sorted(found, key=lambda row: row[0])

    def single(self, entity: str, component: str) -> list[Any]:
        """The first values of each row."""
        return [values[0] for _, values in self.of(entity, component)]


def save(out: Path, *arguments: object) -> Rows:
    assert main(['view', *map(str, arguments), '--save', str(out / 'a.rrd')]) == 0
    return Rows(out / 'a.rrd')


@pytest.fixture
def results(
    tmp_path: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """Pictures and what `annotate` makes of them."""
    monkeypatch.setenv('MTL_SPLIT_BUNDLES', str(tiny_bundle.path.parent))
    bag = raw_bag(tmp_path / 'bag', COUNT)
    command = ['annotate', str(bag), '--bundle', str(tiny_bundle.path), '--no-video']
    assert main([*command, '--out', str(tmp_path / 'out')]) == 0
    return tmp_path / 'out/results.mcap', bag


def recorded(path: Path, topic: str, kind: type) -> list[Any]:
    with open_bag(path) as bag:
        connections = [c for c in bag.connections if c.topic == topic]
        return [deserialize_message(data, kind) for *_, data in bag.messages(connections)]


def test_results_meet_their_pictures(
    tmp_path: Path, tiny_bundle: Bundle, results: tuple[Path, Path]
) -> None:
    path, bag = results
    rows = save(tmp_path, path, '--beside', bag)
    stamps = [(START + number) * 10**9 for number in range(COUNT)]

    pictures = rows.of('camera/image', 'EncodedImage:blob')
    assert [moment for moment, _ in pictures] == stamps
    assert bytes(pictures[0][1][0][:2]) == b'\xff\xd8'

    masks = rows.of('camera/mask', 'SegmentationImage:buffer')
    assert [moment for moment, _ in masks] == stamps
    for (_, (pixels,)), message in zip(
        masks, recorded(path, '/segmentation/mask', Image), strict=True
    ):
        assert bytes(pixels) == bytes(message.data)

    labels = rows.of('camera/boxes', 'Boxes2D:labels')
    centers = rows.of('camera/boxes', 'Boxes2D:centers')
    halves = rows.of('camera/boxes', 'Boxes2D:half_sizes')
    ids = rows.of('camera/boxes', 'Boxes2D:class_ids')
    detection = tiny_bundle.task(TaskType.DETECTION)
    assert detection
    names = [info.name for info in detection.classes]
    seen = 0
    for number, message in enumerate(recorded(path, '/detections', Detection2DArray)):
        for place, found in enumerate(message.detections):
            hypothesis = found.results[0].hypothesis
            assert labels[number][1][place] == f'{hypothesis.class_id} {hypothesis.score:.2f}'
            assert ids[number][1][place] == names.index(hypothesis.class_id)
            center, size = found.bbox.center.position, (found.bbox.size_x, found.bbox.size_y)
            assert centers[number][1][place] == pytest.approx([center.x, center.y], abs=1e-3)
            half = np.array(size) / 2
            assert halves[number][1][place] == pytest.approx(half.tolist(), abs=1e-3)
            seen += 1
    assert seen


def test_curves_states_and_legend_of_results(
    tmp_path: Path, tiny_bundle: Bundle, results: tuple[Path, Path]
) -> None:
    path, bag = results
    rows = save(tmp_path, path, '--beside', bag)
    sizes = [len(message.data) for message in recorded(path, '/features', FeatureMap)]
    assert rows.single('plots/bytes', 'Scalars:scalars') == sizes
    for curve in ('latency/edge_until_sent', 'rate/camera', 'rate/answered'):
        assert len(rows.of(f'plots/{curve}', 'Scalars:scalars')) == COUNT
    assert rows.single('states/way', 'StateChange:state') == [f'split:{tiny_bundle.default_rate}']
    assert f'bundle: tiny {tiny_bundle.version}' in rows.single('events', 'TextLog:text')
    (context,) = rows.single('camera/mask', 'AnnotationContext:context')[:1]
    segmentation = tiny_bundle.task(TaskType.SEGMENTATION)
    assert segmentation
    for info, entry in zip(segmentation.classes, context, strict=False):
        red, green, blue = info.color
        assert entry['class_description']['info']['label'] == info.name
        color = entry['class_description']['info']['color']
        assert color == red << 24 | green << 16 | blue << 8 | 255
    assert len(rows.of('legend/mask', 'Image:buffer')) == 1
    assert len(rows.of('legend/boxes', 'Image:buffer')) == 1
    assert RrdReader(tmp_path / 'a.rrd').blueprints()


def status(number: int, mode: str, way: str, outcome: int, reason: str = '') -> FrameStatus:
    made = FrameStatus(header=header(number), outcome=outcome, mode=mode, way=way, reason=reason)
    made.elapsed_ms, made.expected_ms = 40.0 + number, float('nan')
    return made


def test_mode_changes_are_events(tmp_path: Path) -> None:
    server, edge = FrameStatus.ANSWERED_BY_SERVER, FrameStatus.ANSWERED_BY_EDGE
    messages = [
        status(0, 'split', 'split:2', server),
        status(1, 'split', 'split:2', server),
        status(2, 'auto', 'jpeg:80', server, 'best in time'),
        status(3, 'auto', '', FrameStatus.DROPPED, 'a newer image came'),
        status(4, 'auto', 'local', edge, 'link is gone'),
        status(5, 'auto', 'from the future', 77),
    ]
    report = LinkReport(header=header(9), refusal='crc is wrong')
    hostile = FeatureMap(header=header(6), codec=99, rate=200)
    entries = [('/front/frame_status', 10**9 + i, m) for i, m in enumerate(messages)]
    entries += [('/front/link_report', 2 * 10**9, report), ('/front/features', 3 * 10**9, hostile)]
    rows = save(tmp_path, write_messages(tmp_path / 'bag', entries))
    seconds = [
        (moment // 10**9 - START, values[0])
        for moment, values in rows.of('states/mode', 'StateChange:state')
    ]
    assert seconds == [(0, 'split'), (2, 'auto')]
    assert rows.single('states/way', 'StateChange:state') == [
        *('split:2', 'jpeg:80', 'local', 'from the future'),
    ]
    assert rows.single('states/answer', 'StateChange:state') == [
        *('server', 'dropped', 'edge', 'outcome 77'),
    ]
    levels = dict(
        zip(
            rows.single('events', 'TextLog:text'),
            rows.single('events', 'TextLog:level'),
            strict=True,
        )
    )
    assert levels['mode: auto'] == 'INFO'
    assert levels['way: jpeg:80 (best in time)'] == 'INFO'
    assert levels['dropped: a newer image came'] == 'WARN'
    assert levels['server refused: crc is wrong'] == 'WARN'
    assert rows.single('plots/latency/answer', 'Scalars:scalars') == [40, 41, 42, 44]
    assert not rows.of('plots/latency/expected', 'Scalars:scalars')


def test_pictures_that_cannot_be_shown_are_an_event(tmp_path: Path) -> None:
    bag = raw_bag(tmp_path / 'bag', 3, topics=('/image',), bad=(1,))
    rows = save(tmp_path, bag)
    assert len(rows.of('camera/image', 'EncodedImage:blob')) == 2
    texts = rows.single('events', 'TextLog:text')
    assert len(texts) == 2
    assert 'bayer' in texts[0]


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--save', 'a.rrd'), 'go with a recording'),
        (('nothing.mcap', '--save', 'a.txt'), '.rrd'),
        (('nothing.mcap', '--save', 'a.rrd'), 'does not exist'),
        (('--port', '99999'), 'port 99999 cannot be used'),
    ],
)
def test_wrong_options(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in fails(capsys, 'view', *options)
    assert not list(tmp_path.iterdir())


def test_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(('', 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f'port {port} cannot be used' in fails(capsys, 'view', '--port', port)


def test_several_cameras_have_to_be_chosen_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Detection2DArray(header=header(0))
    entries = [('/left/detections', 0, made), ('/right/detections', 1, made)]
    bag = write_messages(tmp_path / 'bag', entries)
    text = fails(capsys, 'view', bag, '--save', tmp_path / 'a.rrd')
    assert '/left, /right' in text
    assert save(tmp_path, bag, '--namespace', 'right').of('camera/boxes', 'Boxes2D:labels')


def test_nothing_to_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_messages(tmp_path / 'bag', [('/header', 0, header(0))])
    assert 'no topics that are shown' in fails(capsys, 'view', bag, '--save', tmp_path / 'a.rrd')
    assert [path.name for path in tmp_path.iterdir()] == ['bag']


def test_choice_of_topics() -> None:
    found = {
        '/front/image': 'sensor_msgs/msg/Image',
        '/front/image/compressed': 'sensor_msgs/msg/CompressedImage',
        '/front/detections': 'vision_msgs/msg/Detection2DArray',
        '/front/classification/weather': 'vision_msgs/msg/Classification',
        '/back/detections': 'vision_msgs/msg/Detection2DArray',
        '/front/frame_status': 'other_msgs/msg/FrameStatus',
        '/chatter': 'std_msgs/msg/String',
    }
    assert camera_of(found) == ['/back', '/front']
    shown = {(s.topic, s.role) for s in choose_topics(found, '/front', None)}
    assert shown == {
        ('/front/image/compressed', Role.IMAGE),
        ('/front/detections', Role.BOXES),
        ('/front/classification/weather', Role.CLASSES),
    }
    assert choose_topics(found, '/front', '/front/image')[-1].topic == '/front/image'


@pytest.mark.real_time
def test_page_is_served_from_here(tmp_path: Path) -> None:
    bag = raw_bag(tmp_path / 'bag', 2, topics=('/image',))
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(('', 0))
            ports.append(free.getsockname()[1])
    options = ['--no-browser', '--port', ports[0], '--data-port', ports[1]]
    with started('view', bag, *options, env=environment()) as process:
        assert process.stdout
        line = process.stdout.readline()
        address = re.search(r'http://\S+', line)
        assert address
        data = f'rerun+http://127.0.0.1:{ports[1]}/proxy'
        assert address[0] == f'http://localhost:{ports[0]}/?url={quote(data, safe="")}'
        deadline = time.monotonic() + PATIENCE_S
        while 'messages' not in line:
            assert time.monotonic() < deadline
            line = process.stdout.readline()
        for name, kind in (('', b'<html'), ('re_viewer_bg.wasm', b'\0asm')):
            with urllib.request.urlopen(f'http://localhost:{ports[0]}/{name}') as answer:
                assert kind in answer.read(4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


def test_foxglove_layout_holds_together() -> None:
    text = (ROOT / 'foxglove/mtl_split.json').read_text()
    layout = json.loads(text)

    def panels(node: Any) -> list[str]:
        if isinstance(node, str):
            return [node]
        assert node['direction'] in ('row', 'column')
        assert 0 < node['splitPercentage'] < 100
        return panels(node['first']) + panels(node['second'])

    assert sorted(panels(layout['layout'])) == sorted(layout['configById'])
    listed = (ROOT / 'README.md').read_text().partition('\n## Topics\n')[2].partition('\n## ')[0]
    names = set(re.findall(r'`(/?[a-z_]+(?:/[a-z_]+)*)`', listed))
    shown = re.findall(r'"(?:imageTopic|topic|topicToRender|topicPath)": "([^".]+)', text)
    assert len(shown) == 5
    assert all(topic in names or topic.removeprefix('/') in names for topic in shown)
    # with one, the panel waits for a calibration, and that of a clip may be none
    assert 'calibrationTopic' not in text
    fields = {
        '/frame_status': set(FrameStatus.get_fields_and_field_types()),
        '/link_report': set(LinkReport.get_fields_and_field_types()),
    }
    for config in layout['configById'].values():
        for path in config.get('paths', ()):
            topic, name = path['value'].split('.')[:2]
            assert name in fields[topic]
