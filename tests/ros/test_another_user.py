# SPDX-License-Identifier: Apache-2.0
"""A camera that runs as another user: by shared memory nothing arrives, by the network all does."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest
from tests.ros.harness import Diagnostics, Graph, wait_for

from mtl_split_core.bundle import Bundle
from mtl_split_ros.shared_memory import REMEDY
from mtl_split_tools.cli import main

NOBODY = 65534
CAMERA = f"""
import os, sys, time
import rclpy
from mtl_split.msg import LinkReport
from sensor_msgs.msg import Image

def publish(context, domain, seconds):
    quiet = ['--ros-args', '--disable-external-lib-logs']
    rclpy.init(context=context, domain_id=domain, args=quiet)
    node = rclpy.create_node('camera', context=context)
    images = node.create_publisher(Image, '/image', 10)
    node.create_publisher(LinkReport, '/link_report', 10)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        images.publish(Image(height=1, width=1, step=3, encoding='rgb8', data=[1, 2, 3]))
        time.sleep(0.1)
    rclpy.shutdown(context=context)

# once as who may read all files of this Python, so that they are loaded
publish(rclpy.Context(), int(sys.argv[2]), 0.2)
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
print('begins', flush=True)
publish(rclpy.Context(), int(sys.argv[1]), 300)
"""

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(os.geteuid() != 0, reason='only root may start a process of another user'),
]


@pytest.fixture(scope='module')
def camera(graph: Graph) -> Iterator[None]:
    command = [sys.executable, '-c', CAMERA, str(graph.domain), str(graph.domain + 101)]
    environment = {**os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}
    environment.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == 'begins\n'
        yield
        process.kill()
    # whoever is killed leaves it behind, and all that comes later would be told of it
    for path in Path('/dev/shm').iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_uid == NOBODY:
                path.unlink()


@pytest.mark.usefixtures('camera')
def test_silence_names_the_user_and_the_remedy(
    graph: Graph, diagnostics: Diagnostics, tiny_bundle: Bundle
) -> None:
    arguments = ('-r', '__ns:=/memory', '-r', 'image:=/image')
    graph.start('edge', *arguments, bundle=tiny_bundle.path).ready()
    said = diagnostics.message_with('memory/edge: image', 'another user')
    assert 'publishers: 1' in said.message
    assert f'(nobody) runs them, and the messages do not arrive: {REMEDY}' in said.message
    assert diagnostics.values('memory/edge: image')['received'] == '0'


@pytest.mark.usefixtures('camera')
def test_the_network_on_one_side_is_enough(
    graph: Graph, diagnostics: Diagnostics, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
    arguments = ('-r', '__ns:=/udp', '-r', 'image:=/image')
    graph.start('edge', *arguments, bundle=tiny_bundle.path).ready()
    wait_for(lambda: int(diagnostics.values('udp/edge: image')['received']) > 2, 'images')


@pytest.mark.usefixtures('camera')
def test_the_doctor_says_so(
    graph: Graph, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    printed = io.StringIO()
    with redirect_stdout(printed):
        main(['doctor', '--json', '--seconds', '4', '--bundle', str(tiny_bundle.path)])
    findings = {found['what']: found for found in json.loads(printed.getvalue())['findings']}
    users = 'shared memory of Fast DDS here is also that of nobody: '
    (warning,) = (found for what, found in findings.items() if what.startswith(users))
    assert warning['level'] == 'warn'
    unheard = findings['/link_report: nothing arrives of nodes that are there']
    assert unheard['level'] == 'error'
    silent = findings[
        '/image has publishers (1, of which not even the name arrives), but no image came in 4 s'
    ]
    assert all(REMEDY in found['remedy'] for found in (warning, unheard, silent))
    assert not [what for what in findings if 'UNKNOWN' in what]
