# SPDX-License-Identifier: Apache-2.0
"""Features of a recording, replayed into a server later: another threshold, another tail."""

from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from tests.ros.harness import Diagnostics, Graph, NodeProcess, wait_for
from tests.tiny_bundle import street_image, with_other_tail
from tests.tools.commands import TYPES, environment, image_message, stamp, started
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle
from mtl_split_tools.bags import offered_qos, open_bag, write_bag
from mtl_split_tools.cli import main

pytestmark = pytest.mark.ros(beside=True)

PICTURES = 4
LOW = 0.05
TOPICS = ('/features', '/contract')


@pytest.fixture(scope='module')
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp('pictures')
    with write_bag(place / 'bag') as writer:
        connection = writer.add_connection(
            '/image',
            'sensor_msgs/msg/Image',
            typestore=TYPES,
            offered_qos_profiles=[offered_qos()],
        )
        for number in range(PICTURES):
            moment = stamp(number, 5)
            picture = np.ascontiguousarray(street_image(121, 50, number + 1))
            writer.write(connection, moment, image_message(moment, picture))
    return place / 'bag'


def annotated(pictures: Path, bundle: Bundle, out: Path) -> Path:
    """Features and answers of a bundle, with boxes of a low threshold."""
    options = ['--bundle', str(bundle.path), '--score-threshold', str(LOW), '--no-video']
    assert main(['annotate', str(pictures), '--out', str(out), *options]) == 0
    return out / 'results.mcap'


def answers_of(path: Path) -> dict[int, Detection2DArray]:
    """The recorded answers by their stamps."""
    with open_bag(path) as bag:
        messages = [
            deserialize_message(data, Detection2DArray)
            for connection, _, data in bag.messages(bag.connections)
            if connection.topic == '/detections'
        ]
    assert len(messages) == PICTURES
    return {message.header.stamp.nanosec: message for message in messages}


@pytest.fixture(scope='module')
def recorded(pictures: Path, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a car has recorded."""
    return annotated(pictures, tiny_bundle, tmp_path_factory.mktemp('recorded') / 'out')


@pytest.fixture(scope='module')
def other(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same encoder and tables, another tail."""
    return with_other_tail(tiny_bundle, tmp_path_factory.mktemp('bundles') / 'other')


def boxes(message: Detection2DArray, least: float = 0.0) -> list[tuple[str, float, float]]:
    """Class, score and centre of the boxes with at least this score."""
    found = [(box.results[0].hypothesis, box.bbox.center.position) for box in message.detections]
    return [(it.class_id, it.score, place.x) for it, place in found if it.score >= least]


@pytest.fixture(scope='module')
def first(recorded: Path) -> dict[int, Detection2DArray]:
    return answers_of(recorded)


@pytest.fixture(scope='module')
def high(first: dict[int, Detection2DArray]) -> float:
    """A score between two of them, so that rounding moves none across."""
    scores = sorted({score for message in first.values() for _, score, _ in boxes(message)})
    return sum(scores[len(scores) // 2 :][:2]) / 2


@pytest.fixture(scope='module')
def server(graph: Graph, tiny_bundle: Bundle, high: float) -> NodeProcess:
    period = {'diagnostic_updater.period': 0.1}
    return graph.start('server', bundle=tiny_bundle.path, score_threshold=high, **period)


@pytest.mark.parametrize('topics', [TOPICS[:1], TOPICS], ids=['without contract', 'with it'])
def test_another_threshold(
    graph: Graph,
    server: NodeProcess,
    diagnostics: Diagnostics,
    recorded: Path,
    first: dict[int, Detection2DArray],
    high: float,
    topics: tuple[str, ...],
) -> None:
    server.ready()
    with graph.recording(Detection2DArray, '/detections') as answers:

        def all_came() -> bool:
            return {message.header.stamp.nanosec for message in answers} >= first.keys()

        words = ('replay', recorded, '--loop', '--topics', *topics, '--wait-for-subscribers', 1)
        with started(*words, env=environment(graph.domain)):
            wait_for(all_came, 'an answer to each recorded frame')
            # a bag without the latched contract: nothing for the answers, which is said
            text = 'both ends run tiny' if '/contract' in topics else 'no edge has announced its'
            diagnostics.message_with('server: contract', text)
    for message in answers:
        assert boxes(message) == boxes(first[message.header.stamp.nanosec], high)
    kept = sum(len(boxes(message)) for message in answers)
    assert 0 < kept < sum(len(boxes(first[m.header.stamp.nanosec])) for m in answers)


def test_another_tail(
    graph: Graph,
    diagnostics: Diagnostics,
    pictures: Path,
    recorded: Path,
    tiny_bundle: Bundle,
    other: Bundle,
    tmp_path: Path,
) -> None:
    """First refused with the remedy, then taken: it answers as if it had seen the pictures."""
    settings = {'bundle': other.path, 'score_threshold': LOW, 'diagnostic_updater.period': 0.1}
    names = [f'{topic}:=/later{topic}' for topic in TOPICS]
    replay = ('replay', recorded, '--loop', '--topics', *TOPICS, '--remap', *names)
    place = ('-r', '__ns:=/later')
    first = graph.start('server', *place, **settings).ready()
    with started(*replay, env=environment(graph.domain)):
        text = 'where its tail alone is another, the server with features_of'
        diagnostics.message_with('later/server: features', text)
        assert first.end() == 0
        gone = ('server', '/later')
        wait_for(lambda: gone not in graph.node.get_node_names_and_namespaces(), 'its end')

        expected = answers_of(annotated(pictures, other, tmp_path / 'out'))
        later = graph.start('server', *place, features_of=tiny_bundle.path, **settings).ready()
        assert 'bundle other 1.0.0 for features of tiny 1.0.0 (' in later.log
        with graph.recording(Detection2DArray, '/later/detections') as answers:
            wait_for(
                lambda: {it.header.stamp.nanosec for it in answers} >= expected.keys(),
                'an answer to each recorded frame',
            )
        text = 'its features are answered by other 1.0.0 for features of tiny 1.0.0'
        diagnostics.message_with('later/server: contract', text)
    for message in answers:
        assert boxes(message) == boxes(expected[message.header.stamp.nanosec])
    tails = [answers_of(recorded), expected]
    assert len({str([boxes(it) for it in found.values()]) for found in tails}) == 2


def test_another_encoder_cannot_be_told_to(
    graph: Graph, tiny_bundle: Bundle, other_bundle: Bundle
) -> None:
    server = graph.start('server', bundle=other_bundle.path, features_of=tiny_bundle.path)
    wait_for(lambda: not server.alive(), 'its end')
    assert server.end() == 2
    assert server.log.count('\n') == 1
    assert 'they differ in encoder.onnx, tables.npz; take a bundle that was exp' in server.log
