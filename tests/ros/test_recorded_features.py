# SPDX-License-Identifier: Apache-2.0
"""Features of a recording, replayed into a server later, with another threshold."""

from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from tests.ros.harness import Diagnostics, Graph, NodeProcess, wait_for
from tests.tiny_bundle import street_image
from tests.tools.commands import TYPES, environment, image_message, stamp, started
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle
from mtl_split_tools.bags import offered_qos, open_bag, write_bag
from mtl_split_tools.cli import main

pytestmark = pytest.mark.ros

PICTURES = 4
LOW = 0.05
TOPICS = ('/features', '/contract')


@pytest.fixture(scope='module')
def recorded(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a car has recorded, with boxes of a low threshold."""
    place = tmp_path_factory.mktemp('recorded')
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
    options = ['--bundle', str(tiny_bundle.path), '--score-threshold', str(LOW), '--no-video']
    assert main(['annotate', str(place / 'bag'), '--out', str(place / 'out'), *options]) == 0
    return place / 'out' / 'results.mcap'


def boxes(message: Detection2DArray, least: float = 0.0) -> list[tuple[str, float, float]]:
    """Class, score and centre of the boxes with at least this score."""
    found = [(box.results[0].hypothesis, box.bbox.center.position) for box in message.detections]
    return [(it.class_id, it.score, place.x) for it, place in found if it.score >= least]


@pytest.fixture(scope='module')
def first(recorded: Path) -> dict[int, Detection2DArray]:
    """The recorded answers by their stamps."""
    with open_bag(recorded) as bag:
        messages = [
            deserialize_message(data, Detection2DArray)
            for connection, _, data in bag.messages(bag.connections)
            if connection.topic == '/detections'
        ]
    assert len(messages) == PICTURES
    return {message.header.stamp.nanosec: message for message in messages}


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
