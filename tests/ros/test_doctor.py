# SPDX-License-Identifier: Apache-2.0
"""`mtl-split doctor` on a graph in order, and on one with two servers and a clock that is ahead.

What it says of the usual faults is in test_complaints.py.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from mtl_split.msg import LinkReport
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tests.ros.harness import BEST_EFFORT, Graph, image_msg, wait_for
from tests.tiny_bundle import street_image

from mtl_split_core.bundle import Bundle
from mtl_split_tools.cli import main

pytestmark = pytest.mark.ros

HZ = 10.0
FAST = 'rmw_fastrtps_cpp'


def examine(
    graph: Graph,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: object,
) -> tuple[int, dict[str, Any]]:
    """Run the doctor in the graph's domain; return its exit status and what it printed."""
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', '')  # else what it sets would stay
    capsys.readouterr()
    status = main(['doctor', '--json', *map(str, arguments)])
    return status, json.loads(capsys.readouterr().out)


def found(document: dict[str, Any], level: str, *words: str) -> dict[str, str]:
    """Return the finding of this level with these words; fail if there is none."""
    for finding in document['findings']:
        if finding['level'] == level and all(word in finding['what'] for word in words):
            return dict(finding)
    raise AssertionError(json.dumps(document['findings'], indent=1))


@contextmanager
def camera(graph: Graph, topic: str, ahead_s: float = 0.0) -> Iterator[None]:
    """Publish images at HZ with stamps of now."""
    publisher = graph.node.create_publisher(Image, topic, BEST_EFFORT)
    pixels = street_image(120, 80)
    done = threading.Event()

    def publish() -> None:
        while not done.wait(1 / HZ):
            header = Header(frame_id='front')
            stamp = time.time_ns() + int(ahead_s * 1e9)
            header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
            publisher.publish(image_msg(pixels, header))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        graph.node.destroy_publisher(publisher)


def receive_buffers() -> Iterator[int]:
    """The sizes of this process's UDP sockets, as the kernel has them."""
    for entry in Path('/proc/self/fd').iterdir():
        if not entry.is_socket():
            continue
        with suppress(OSError), closing(socket.socket(fileno=os.dup(int(entry.name)))) as found:
            if found.type == socket.SOCK_DGRAM and found.family == socket.AF_INET:
                yield found.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def test_sockets_have_the_size_that_the_doctor_reads(graph: Graph) -> None:
    """And that its remedy changes: a node of Fast DDS asks the kernel for none."""
    if (
        'FASTRTPS_DEFAULT_PROFILES_FILE' in os.environ
        or get_rmw_implementation_identifier() != FAST
    ):
        pytest.skip('not what Fast DDS does by itself')
    setting = Path('/proc/sys/net/core/rmem_default')
    if not setting.is_file():
        pytest.skip('this container does not show rmem_default')
    assert graph.node.get_name()
    size = int(setting.read_text())
    assert set(receive_buffers()) == {size}


def test_all_is_well(
    graph: Graph,
    tiny_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nodes = [
        graph.start(name, '-r', '__ns:=/well', bundle=tiny_bundle.path)
        for name in ('edge', 'server')
    ]
    for node in nodes:
        node.ready()
    with camera(graph, '/well/image'), graph.recording(LinkReport, '/well/link_report') as reports:
        wait_for(lambda: sum(report.answered for report in reports) >= HZ, 'answers')
        status, document = examine(
            graph, monkeypatch, capsys, '--bundle', tiny_bundle.path, '--hz', HZ
        )
    for words in (
        ('edge /well/edge: mode split, images from /well/image, features to /well/features',),
        ('server /well/server: features from /well/features',),
        ('/well/image: ', ' Hz'),
        ('/well/features: ', ' Hz', 'kB a frame'),
        (f'/well/edge and its server run tiny 1.0.0 ({tiny_bundle.fingerprint:016x})',),
        ('/well/edge: ', 'Hz answered, 0.0% of frames lost', 'round trip '),
        ('images on /well/image are stamped', 'before the clock of this machine'),
    ):
        found(document, 'ok', *words)
    assert document['counts']['error'] == 0
    assert status == 0
    topics = {topic['name']: topic for topic in document['topics']}
    assert topics['/well/image']['types'] == 'sensor_msgs/msg/Image'
    assert topics['/well/image']['hz'] == pytest.approx(HZ, rel=0.5)
    counts = {name: topics['/well/features'][name] for name in ('publishers', 'subscribers')}
    assert counts == {'publishers': 1, 'subscribers': 1}


def test_two_servers_and_a_camera_of_tomorrow(
    graph: Graph,
    tiny_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    second = graph.start('server', '-r', '__ns:=/well', bundle=tiny_bundle.path)
    second.ready()
    wrong = graph.node.create_publisher(Header, '/well/detections', BEST_EFFORT)
    try:
        with camera(graph, '/well/image', ahead_s=60.0):
            status, document = examine(
                graph, monkeypatch, capsys, '--bundle', tiny_bundle.path, '--seconds', 4
            )
    finally:
        second.end()
        graph.node.destroy_publisher(wrong)
    types = found(document, 'error', '/well/detections has 2 types: ')
    assert '/observer publishes std_msgs/msg/Header' in types['what']
    assert status == 1
    remedy = found(document, 'error', '2 servers share /well/link_report')['remedy']
    assert 'namespace' in remedy
    found(document, 'warn', '2 nodes are called /well/server')
    found(document, 'error', 'well/edge: link', '2 servers report to this edge')
    ahead = found(document, 'warn', 'images on /well/image are stamped', 's ahead of')
    assert 'chronyc' in ahead['remedy']


def test_the_table_is_for_people(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(graph.domain))
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', '')
    assert main(['doctor', '--seconds', '2']) == 1  # nobody plays the camera
    text = capsys.readouterr().out
    for words in ('topics of edge and server', '/well/features', 'findings', 'what helps'):
        assert words in text
    assert 'nobody publishes /well/image' in ' '.join(text.split())
