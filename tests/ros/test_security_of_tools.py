# SPDX-License-Identifier: Apache-2.0
"""Told to be secure, a tool is or says why not; and a node goes on without what it can spare."""

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tests.ros.harness import PATIENCE_S, Graph, NodeProcess, image_msg, wait_for
from tests.ros.secured import (
    SECURITY,
    Keystore,
    Right,
    empty_keystore,
    on_the_graph,
    policy,
    refused,
)
from tests.tiny_bundle import street_image
from tests.tools.commands import write_points
from tests.tools.recordings import STEP, header, write_messages
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle

pytestmark = pytest.mark.ros(beside=True)
TOOLS = ['-m', 'mtl_split_tools']
RECORDER = [
    *('-m', 'mtl_split_tools.demo.recorder', '--out', 'a.mcap', '--report', 'a.jsonl'),
    *('--image', '/image', '--results', '/detections'),
]


@pytest.mark.parametrize(
    ('enclave', 'words'),
    [
        ('mtl_split_replay', [*TOOLS, 'replay', 'BAG']),
        (
            'mtl_split_view',
            [*TOOLS, 'view', '--no-browser', '--port', 'FREE', '--data-port', 'FREE'],
        ),
        ('recorder', RECORDER),
    ],
)
def test_a_tool_refuses_to_start_in_the_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, enclave: str, words: list[str]
) -> None:
    """By its own enclave; also where the middleware refuses only once there is a node."""
    if 'view' in words:
        pytest.importorskip('rerun', reason='the view group is not installed')
    bag = write_points(tmp_path / 'bag')
    given = {'BAG': lambda: str(bag), 'FREE': free_port}
    program = [given[word]() if word in given else word for word in words]
    for settings, text in (
        ({'KEYSTORE': '/nowhere'}, f"'/nowhere/enclaves/{enclave}' does not exist"),
        ({}, 'check keys, policy and ROS_DOMAIN_ID of this enclave'),
    ):
        place = tmp_path / f'keys{len(settings)}'
        values = {**empty_keystore(place, enclave), **settings}
        code, lines = refused(monkeypatch, tmp_path, enclave, *program, **values)
        assert code == 2, lines
        assert 'Traceback' not in '\n'.join(lines)
        assert text in lines[-1]


def test_the_doctor_says_that_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = empty_keystore(tmp_path, 'mtl_split_doctor')
    program = [*TOOLS, 'doctor', '--json', '--seconds', '1']
    code, lines = refused(monkeypatch, tmp_path, 'doctor', *program, **settings)
    assert code == 1
    findings = json.loads('\n'.join(lines[lines.index('{') :]))['findings']
    (found,) = (it['what'] for it in findings if it['what'].startswith('does not start'))
    assert 'check keys, policy and ROS_DOMAIN_ID of this enclave' in found


@contextmanager
def running(graph: Graph, log: Path, *words: object) -> Iterator[NodeProcess]:
    """A tool for the time of a block."""
    process = NodeProcess([*TOOLS, *map(str, words)], graph.domain, log)
    try:
        yield process
        assert process.alive(), process.log
    finally:
        process.end()


def free_port() -> str:
    with socket.socket() as free:
        free.bind(('', 0))
        return str(free.getsockname()[1])


def viewing() -> list[str]:
    return ['view', '--no-browser', '--port', free_port(), '--data-port', free_port()]


def recording(path: Path) -> Path:
    """What a camera gives, by both transports."""
    pixels = street_image(96, 64)
    made, data = cv2.imencode('.jpg', pixels)
    assert made
    messages: list[tuple[str, int, Any]] = []
    for number in range(20):
        stamp = header(number)
        packed = CompressedImage(header=stamp, format='jpeg', data=data.tobytes())
        messages += [
            ('/image', number * STEP, image_msg(pixels, stamp)),
            ('/image/compressed', number * STEP, packed),
            ('/camera_info', number * STEP, CameraInfo(header=stamp)),
        ]
    return write_messages(path, messages)


def test_policy_is_what_the_tools_have(graph: Graph, tiny_bundle: Bundle, tmp_path: Path) -> None:
    """Each endpoint is granted; and each grant is used, but for the other way of images."""
    pytest.importorskip('rerun', reason='the view group is not installed')
    for name in ('edge', 'server'):
        graph.start(name, bundle=tiny_bundle.path).ready()
    text = (SECURITY / 'tools.xml').read_text()
    bag = recording(tmp_path / 'bag')
    doctor = ('doctor', '--seconds', 60, '--bundle', tiny_bundle.path)
    spare = {('topics', 'subscribe', name) for name in ('/image', '/image/compressed')}
    with (
        running(graph, tmp_path / 'replay', 'replay', bag, '--loop', '--clock') as replay,
        running(graph, tmp_path / 'view', *viewing()) as view,
        running(graph, tmp_path / 'doctor', *doctor) as listening,
    ):
        names = {
            'mtl_split_replay': ('mtl_split_replay', replay),
            'mtl_split_view': ('mtl_split_view', view),
            'mtl_split_doctor': (f'mtl_split_doctor_{listening.process.pid}', listening),
        }
        for tool, (node, process) in names.items():
            rights = policy(text, tool, '/')

            def unused(node: str = node, rights: set[Right] = rights) -> set[Right]:
                return rights - on_the_graph(graph.node, node, '/')

            with suppress(AssertionError):
                wait_for(lambda check=unused: not check() - spare and not spare <= check(), node)
            assert unused() - spare == set(), process.log
            assert not spare <= unused(), process.log
            assert on_the_graph(graph.node, node, '/') - rights == set()


def test_secure_tools_play_look_and_judge(
    secured: Graph, tiny_bundle: Bundle, keystore: Keystore, tmp_path: Path
) -> None:
    """Each by its own enclave, and the doctor also where it may not listen to everything."""
    for name in ('edge', 'server'):
        secured.start(name, '--enclave', f'/{name}', bundle=tiny_bundle.path).ready()
    answers = secured.record(Detection2DArray, 'detections')
    bag = recording(tmp_path / 'bag')
    narrow = tmp_path / 'narrow.xml'
    text = (SECURITY / 'tools.xml').read_text()
    with running(secured, tmp_path / 'replay', 'replay', bag, '--loop', '--clock') as replay:
        wait_for(lambda: answers, 'an answer')
        assert replay.alive()
        document = examined(secured, tiny_bundle, tmp_path)
        assert document['counts']['error'] == 0, document['findings']
        for words in ('edge /edge: mode split, images from /image', 'Hz answered, 0.0% of frames'):
            assert any(words in it['what'] for it in document['findings']), document['findings']
        assert not any('the doctor may not' in it['what'] for it in document['findings'])

        profile = text[text.index('mtl_split_doctor"') :]
        for line in ('<topic>contract</topic>', '<service>edge/get_parameters</service>'):
            profile = profile.replace(line, line.replace('>c', '>no_c').replace('>e', '>no_e'))
        narrow.write_text(text[: text.index('mtl_split_doctor"')] + profile)
        keystore.permit('/mtl_split_doctor', narrow)
        try:
            document = examined(secured, tiny_bundle, tmp_path)
        finally:
            keystore.permit('/mtl_split_doctor', SECURITY / 'tools.xml')
        denied = [it for it in document['findings'] if 'the doctor may not' in it['what']]
        assert [re.findall(r'/\S+(?=,)', it['what']) for it in denied] == [
            ['/contract'],
            ['/edge/get_parameters'],
        ]
        assert all('/mtl_split_doctor (security/README.md)' in it['remedy'] for it in denied)
        assert document['counts']['error'] == 0, document['findings']

        pytest.importorskip('rerun', reason='the view group is not installed')
        with running(secured, tmp_path / 'view', *viewing()) as view:
            wait_for(lambda: 'boxes: /detections' in view.log, 'the view')
            wait_for(lambda: 'features: /features' in view.log, 'the view')


def examined(graph: Graph, bundle: Bundle, directory: Path) -> dict[str, Any]:
    """What the doctor says as a process of its own."""
    words = ['doctor', '--json', '--seconds', '6', '--bundle', str(bundle.path)]
    process = NodeProcess([*TOOLS, *words], graph.domain, directory / 'doctor.log')
    assert process.process.wait(PATIENCE_S) in (0, 1), process.log
    document: dict[str, Any] = json.loads(process.log[process.log.index('\n{\n') :])
    return document


def test_a_secure_tool_without_the_right_ends_with_one_line(
    secured: Graph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bag = write_points(tmp_path / 'bag')
    replay = NodeProcess([*TOOLS, 'replay', str(bag)], secured.domain, tmp_path / 'replay')
    assert replay.process.wait(PATIENCE_S) == 2
    assert 'Traceback' not in replay.log
    assert replay.log.splitlines()[-1].startswith("mtl-split: no right to '/points'")
    assert 'grant it in the policy' in replay.log.splitlines()[-1]


def test_a_secure_server_goes_on_without_the_right_to_the_images(
    secured: Graph, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    """As with a camera topic that was remapped and not granted under its name."""
    secured.start('edge', '--enclave', '/edge', bundle=tiny_bundle.path).ready()
    words = ('--enclave', '/server', '-r', 'image:=elsewhere')
    server = secured.start('server', *words, bundle=tiny_bundle.path)
    server.ready()
    secured.record(Image, 'overlay')
    wait_for(lambda: 'no overlay' in server.log, 'the line')
    (line,) = (line for line in server.log.splitlines() if 'no overlay' in line)
    assert "no right to '/elsewhere'" in line
    assert 'grant it in the policy of this enclave (security/README.md)' in line
    assert '.c:' not in line
    assert '.cpp:' not in line
    answers = secured.record(Detection2DArray, 'detections')
    with running(secured, tmp_path / 'replay', 'replay', recording(tmp_path / 'bag'), '--loop'):
        wait_for(lambda: answers, 'an answer')
    assert server.alive()
    assert server.log.count('no overlay') == 1


def test_an_operator_by_the_commands_of_ros(
    secured: Graph, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of the README, and those beside it."""
    secured.start('edge', '--enclave', '/edge', bundle=tiny_bundle.path).ready()
    text = (SECURITY / 'README.md').read_text()
    found = re.search(
        r'^(ROS_SECURITY_ENCLAVE_OVERRIDE)=(\S+) ros2 (param get .*)$', text, re.MULTILINE
    )
    assert found
    monkeypatch.setenv(found[1], found[2])
    for words, printed in (
        (found[3], 'String value is: split'),
        ('param set /edge mode local', 'Set parameter successful'),
        ('node list', '/edge'),
        ('topic list', '/features'),
        ('service call /edge/snapshot std_srvs/srv/Trigger', 'no image has come yet'),
    ):
        wait_for(lambda words=words, printed=printed: printed in said(words), words)


def said(words: str) -> str:
    """What `ros2` prints; what it asks is known to it a moment after its start, or not."""
    verb = [] if words.startswith('service call') else ['--no-daemon']
    first, second, *rest = words.split()
    done = subprocess.run(
        ['ros2', first, second, *verb, *rest], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert 'Traceback' not in done.stderr, done.stderr
    return done.stdout + done.stderr
