# SPDX-License-Identifier: Apache-2.0
"""Denial by volume: a thousand bad messages a second, and the camera's frames are answered."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from mtl_split.msg import FeatureMap, LinkReport
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message
from tests.ros.harness import BEST_EFFORT, Graph, NodeProcess, header, wait_for
from tests.tiny_bundle import street_image
from vision_msgs.msg import Classification

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codecs import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_ros.packets import packet_to_msg
from mtl_split_tools.fuzz.server import ServerDoor
from mtl_split_tools.fuzz.target import outcome

pytestmark = pytest.mark.ros

BAD_PER_S = 1000
GOOD_PER_S = 12
SECONDS = 5
KINDS = 400
ANSWERED = 0.9


@pytest.fixture(scope='module')
def server(graph: Graph, tiny_bundle: Bundle) -> NodeProcess:
    return graph.start('server', bundle=tiny_bundle.path).ready()


@pytest.fixture(scope='module')
def bad(tiny_bundle: Bundle) -> list[FeatureMap | bytes]:
    """Messages that are refused, at every check, and some that are none at all."""
    door = ServerDoor(tiny_bundle, networks_share=0.0)
    made: list[FeatureMap | bytes] = []
    for number in range(4 * KINDS):
        random = Random(number)
        message = door.corpus.message(random)
        if len(message.data) < 2**17 and outcome(door, serialize_message(message))[:7] == 'refused':
            made.append(message)
        elif outcome(door, data := door.corpus.serialized(random)) == 'no message':
            made.append(data)
    assert len(made) > KINDS
    return made


@contextmanager
def flood(publisher: Publisher, messages: list[FeatureMap | bytes]) -> Iterator[list[float]]:
    """Publish them again and again; the list gets the rate."""
    stop, rate = threading.Event(), list[float]()

    def publish() -> None:
        began, count = time.monotonic(), 0
        while not stop.is_set():
            due = int((time.monotonic() - began) * BAD_PER_S)
            while count < due:
                publisher.publish(messages[count % len(messages)])
                count += 1
            stop.wait(0.002)
        rate.append(count / (time.monotonic() - began))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield rate
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize('camera', ['front', 'another'])
def test_frames_are_answered_in_a_flood(
    graph: Graph,
    server: NodeProcess,
    tiny_bundle: Bundle,
    bad: list[FeatureMap | bytes],
    camera: str,
) -> None:
    stage = EncodeStage(tiny_bundle, load_network(tiny_bundle.encoder_path))
    frame = packet_to_msg(stage.encode(street_image(90, 70), 1, CodecId.ENTROPY, 0), header(0))
    good = graph.publisher(FeatureMap, 'features', BEST_EFFORT)
    flooding = graph.publisher(FeatureMap, 'features', BEST_EFFORT)
    for message in bad:
        if isinstance(message, FeatureMap):
            message.header.frame_id = camera
    serialized = [m if isinstance(m, bytes) else serialize_message(m) for m in bad]
    with (
        graph.recording(Classification, 'classification') as answers,
        graph.recording(LinkReport, 'link_report') as reports,
    ):

        def first() -> bool:
            good.publish(frame)
            time.sleep(0.1)
            return bool(answers)

        wait_for(first, 'the first answer')
        reports.clear()
        with flood(flooding, serialized) as rate:
            headers = [header(number + 1, 'front') for number in range(SECONDS * GOOD_PER_S)]
            began = time.monotonic()
            for number, stamp in enumerate(headers):
                frame.header, frame.sequence = stamp, number + 1
                good.publish(frame)
                time.sleep(max(0.0, began + (number + 1) / GOOD_PER_S - time.monotonic()))
        time.sleep(0.5)
        times = {answer.header.stamp.sec for answer in list(answers)}
        heard = list(reports)
    graph.node.destroy_publisher(good)
    graph.node.destroy_publisher(flooding)
    # The edge chooses by these: the flood has to stand in them as refused, and as nothing else.
    known = {r.done_sequence - bit for r in heard for bit in range(64) if r.done_mask >> bit & 1}
    reported = sum(number + 1 in known for number in range(len(headers))) / len(headers)
    usable = sum(r.received - r.refused for r in heard)
    lost = sum(r.lost for r in heard)
    assert server.alive()
    assert rate[0] > BAD_PER_S / 2
    answered = sum(stamp.stamp.sec in times for stamp in headers) / len(headers)
    print(f'{rate[0]:.0f} bad a second: {answered:.0%} answered, {reported:.0%} reported')
    assert answered >= ANSWERED
    assert reported >= ANSWERED
    assert usable <= 1.1 * len(headers)
    assert lost <= (1 - ANSWERED) * len(headers)
    assert 'internal error' not in server.log
    assert 'Traceback' not in server.log
