# SPDX-License-Identifier: Apache-2.0
"""`ros2 bag` of the documents, as it stands there, through the real `ros2`."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from mtl_split.msg import FeatureMap
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import Image
from tests.docs.made_clone import make_bag
from tests.docs.runners import BAGS, of
from tests.ros.harness import Graph, header, image_msg, received, wait_for
from tests.tiny_bundle import street_image
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle
from mtl_split_tools.cli import main

pytest.importorskip('ros2bag', reason='`ros2 bag` comes with an installed ROS 2 only')
pytestmark = pytest.mark.ros

FRAMES = 5
PLAYED = 200
"""Ten seconds, since `ros2 bag play` waits for no subscriber."""


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    graph = Graph(tmp_path)
    yield graph
    assert set(graph.close()) <= {0}


@contextmanager
def running(words: list[str], graph: Graph, directory: Path, log: str) -> Iterator[Path]:
    """A command of the documents, ended by Ctrl-C; gives the file of what it prints."""
    output = directory / log
    with output.open('w') as file:
        process = subprocess.Popen(
            words,
            cwd=directory,
            env={**os.environ, 'ROS_DOMAIN_ID': str(graph.domain), 'PYTHONUNBUFFERED': '1'},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield output
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def test_record(graph: Graph, tiny_bundle: Bundle, tmp_path: Path) -> None:
    """Every frame, and the contract, which was announced before the recorder came."""
    graph.start('edge', bundle=tiny_bundle.path).ready()
    publisher = graph.publisher(Image, '/image')
    sent = graph.record(FeatureMap, '/features')
    (words,) = of(BAGS)['docs/changing.md']
    with running(words, graph, tmp_path, 'record.log') as output:
        for topic in ('/features', '/contract'):
            said = f"Subscribed to topic '{topic}'"
            wait_for(lambda text=said: text in output.read_text(), said)
        wait_for(lambda: graph.node.count_subscribers('/features') > 1, 'the recorder')
        for number in range(FRAMES):
            publisher.publish(image_msg(street_image(90, 70), header(number)))
            received(sent, header(number))
    (bag,) = tmp_path.glob('rosbag2_*')
    with AnyReader([bag]) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
    assert counts == {'/features': FRAMES, '/contract': 1}


def test_play_recording_and_results(graph: Graph, tiny_bundle: Bundle, tmp_path: Path) -> None:
    make_bag(tmp_path / 'my_bag', '/image', pictures=PLAYED)
    annotate = ['annotate', str(tmp_path / 'my_bag'), '--bundle', str(tiny_bundle.path)]
    assert main([*annotate, '--out', str(tmp_path / 'out/my_bag')]) == 0
    images = graph.record(Image, '/image', writers=0)
    detections = graph.record(Detection2DArray, '/detections', writers=0)
    with ExitStack() as stack:
        for number, words in enumerate(of(BAGS)['docs/viewing.md']):
            stack.enter_context(running(words, graph, tmp_path, f'play{number}.log'))
        wait_for(lambda: images and detections, 'pictures and results')
        wait_for(
            lambda: (
                {(m.header.stamp.sec, m.header.stamp.nanosec) for m in list(images)}
                & {(m.header.stamp.sec, m.header.stamp.nanosec) for m in list(detections)}
            ),
            'a picture and its result',
        )
