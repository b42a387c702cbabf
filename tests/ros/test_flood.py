# SPDX-License-Identifier: Apache-2.0
"""Denial by volume: a thousand bad messages a second, and the camera's frames are answered."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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
from mtl_split_core.codec_ids import CodecId
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
ROUNDS = 3
ENOUGH = 0.7
"""Of a processor: with less, and frames left, others kept the server from its work."""


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


@dataclass(frozen=True, slots=True)
class Round:
    """How much of the flood there was, what became of the camera's frames, what the server took.

    All but the processors are shares of what was to be sent.
    """

    bad: float
    answered: float
    reported: float
    usable: float
    lost: float
    processors: float

    @property
    def good(self) -> bool:
        kept = min(self.answered, self.reported) >= ANSWERED
        return kept and self.usable <= 1.1 and self.lost <= 1 - ANSWERED


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


@contextmanager
def flood(publisher: Publisher, messages: list[bytes], bad_per_s: float) -> Iterator[list[float]]:
    """Publish them again and again, so many a second; the list gets the rate."""
    stop, rate = threading.Event(), list[float]()

    def publish() -> None:
        began, count = time.monotonic(), 0
        while not stop.is_set():
            due = int((time.monotonic() - began) * bad_per_s)
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

        def drive(number: int, bad_per_s: float) -> Round:
            count = SECONDS * GOOD_PER_S
            sequences = range(number * count + 1, (number + 1) * count + 1)
            reports.clear()
            spent, began = cpu_s(server.process.pid), time.monotonic()
            with flood(flooding, serialized, bad_per_s) as rate:
                for sent, sequence in enumerate(sequences, 1):
                    frame.header, frame.sequence = header(sequence, 'front'), sequence
                    good.publish(frame)
                    time.sleep(max(0.0, began + sent / GOOD_PER_S - time.monotonic()))
            spent = (cpu_s(server.process.pid) - spent) / (time.monotonic() - began)
            time.sleep(0.5)
            stamps = {answer.header.stamp.sec for answer in list(answers)}
            heard = list(reports)
            # The edge chooses by these: the flood stands in them as refused, as nothing else.
            bits = [(r.done_sequence, r.done_mask, bit) for r in heard for bit in range(64)]
            known = {newest - bit for newest, mask, bit in bits if mask >> bit & 1}
            return Round(
                rate[0] / bad_per_s,
                sum(header(sequence).stamp.sec in stamps for sequence in sequences) / count,
                sum(sequence in known for sequence in sequences) / count,
                sum(r.received - r.refused for r in heard) / count,
                sum(r.lost for r in heard) / count,
                spent,
            )

        wait_for(first, 'the first answer')
        for number in range(ROUNDS):
            found = drive(number, BAD_PER_S / 2**number)
            print(found)
            if found.good or found.processors > ENOUGH:
                break
    graph.node.destroy_publisher(good)
    graph.node.destroy_publisher(flooding)
    assert server.alive()
    assert found.bad > 0.5
    assert found.good
    assert 'internal error' not in server.log
    assert 'Traceback' not in server.log
