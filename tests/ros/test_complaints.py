# SPDX-License-Identifier: Apache-2.0
"""The usual complaints, each made to happen: they are said as in docs/troubleshooting.md."""

import io
import json
import re
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from mtl_split.msg import FeatureMap, LinkReport, SplitContract
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from tests.ros.harness import (
    BEST_EFFORT,
    LATCHED,
    RELIABLE,
    Diagnostics,
    Graph,
    header,
    image_msg,
    wait_for,
)
from tests.tiny_bundle import street_image

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_ros.packets import contract_msg, packet_to_msg
from mtl_split_tools.cli import main

pytestmark = [pytest.mark.ros(beside=True), pytest.mark.slow]

DOCUMENT = Path(__file__).parents[2] / 'docs/troubleshooting.md'
# Where each complaint happens: a namespace of the world below.
NAMES = ('name', 'car', 'packed', 'other', 'bayer', 'bad', 'other', 'car', 'bad', 'lossy', 'large')
PLACES = dict(enumerate(NAMES, 1))
PERIOD_S = 0.15
TRIES = 3
PIXELS = street_image(90, 70)
LARGE = street_image(1280, 720)
"""Five times what Fast DDS has shared memory for."""


@dataclass(frozen=True)
class Section:
    """A complaint in the document."""

    diagnostics: tuple[tuple[str, str], ...]
    doctor: tuple[str, ...]


def sections() -> dict[int, Section]:
    found = {}
    for part in re.split(r'^## ', DOCUMENT.read_text(), flags=re.MULTILINE)[1:]:
        if number := re.match(r'(\d+)\. ', part):
            found[int(number[1])] = Section(
                tuple(re.findall(r'^- `/diagnostics`, `([^`]+)`: `(.+)`$', part, re.MULTILINE)),
                tuple(re.findall(r'^- `mtl-split doctor`: `(.+)`$', part, re.MULTILINE)),
            )
    return found


SECTIONS = sections()


def pattern(message: str) -> re.Pattern[str]:
    """What the document writes, with anything in place of each ellipsis."""
    return re.compile('.*'.join(map(re.escape, message.split('…'))))


class Sender:
    """An edge and cameras that do what no good ones do, until the end."""

    def __init__(self, graph: Graph, bundle: Bundle) -> None:
        self._cut = graph.node.create_publisher(Image, '/bad/image', RELIABLE)
        self._bayer = graph.node.create_publisher(Image, '/bayer/image', RELIABLE)
        self._large = graph.node.create_publisher(Image, '/large/image', BEST_EFFORT)
        # a node of its own, with all that an edge has
        self._edge = edge = Node('edge', namespace='/lossy', context=graph.node.context)
        self._features = edge.create_publisher(FeatureMap, 'features', RELIABLE)
        contracts = edge.create_publisher(SplitContract, 'contract', LATCHED)
        edge.create_subscription(LinkReport, 'link_report', lambda _: None, BEST_EFFORT)
        contracts.publish(contract_msg(bundle, 1, edge.get_clock().now().to_msg()))
        stage = EncodeStage(bundle, load_network(bundle.encoder_path))
        self._frame = packet_to_msg(stage.encode(PIXELS, 1, CodecId.ENTROPY, 0), header(0))
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        number = 0
        large = image_msg(LARGE, header(0))
        while not self._done.wait(PERIOD_S):
            number += 1
            # an hour ago, and each tenth before the one before it
            moment = time.time_ns() - 3600 * 10**9 - (number % 10 == 0) * 10**9
            stamp = Header(frame_id='bad')
            stamp.stamp.sec, stamp.stamp.nanosec = divmod(moment, 10**9)
            image = image_msg(PIXELS, stamp)
            image.encoding = 'bayer_rggb8'
            self._bayer.publish(image)
            image.encoding, image.data = 'rgb8', array('B', bytes(1000))
            self._cut.publish(image)
            large.header = header(number)
            self._large.publish(large)
            self._frame.header = header(number, 'lossy')
            self._frame.sequence = 3 * number
            self._features.publish(self._frame)

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        self._edge.destroy_node()


@pytest.fixture(scope='module')
def world(graph: Graph, tiny_bundle: Bundle, other_bundle: Bundle) -> Iterator[Graph]:
    """Every complaint at once, each in its own namespace."""
    tiny, other = tiny_bundle.path, other_bundle.path
    places: tuple[tuple[str, str, Path, dict[str, object]], ...] = (
        ('edge', 'name', tiny, {}),
        ('edge', 'car', tiny, {'qos_overrides./car/image.subscription.reliability': 'reliable'}),
        ('edge', 'packed', tiny, {}),
        ('edge', 'other', other, {}),
        ('edge', 'bad', tiny, {'use_sim_time': True}),
        ('edge', 'bayer', tiny, {}),
        ('edge', 'large', tiny, {}),
        ('server', 'other', tiny, {}),
        ('server', 'base', tiny, {}),
        ('server', 'lossy', tiny, {}),
    )
    # one after the other: all at once, none is ready in time on a busy machine
    for name, place, bundle, settings in places:
        graph.start(name, '-r', f'__ns:=/{place}', bundle=bundle, **settings).ready()
    publishers = [
        graph.node.create_publisher(Image, '/name/camera/image_raw', RELIABLE),
        graph.node.create_publisher(Image, '/car/image', BEST_EFFORT),
        graph.node.create_publisher(CompressedImage, '/packed/image/compressed', RELIABLE),
        graph.node.create_publisher(Image, '/other/image', RELIABLE),
    ]
    sender = Sender(graph, tiny_bundle)
    try:
        yield graph
    finally:
        sender.close()
        for publisher in publishers:
            graph.node.destroy_publisher(publisher)


@pytest.fixture(scope='module')
def findings(world: Graph, diagnostics: Diagnostics, tiny_bundle: Bundle) -> list[dict[str, str]]:
    """What the doctor says of that world."""
    # when the nodes have begun to complain
    diagnostics.message_with('base/server: features', 'no message on /base/features')
    found: list[dict[str, str]] = []
    for _ in range(TRIES):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv('ROS_DOMAIN_ID', str(world.domain))
            patch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', '')  # else what it sets would stay
            arguments = ['doctor', '--json', '--seconds', '6', '--bundle', str(tiny_bundle.path)]
            printed = io.StringIO()
            with redirect_stdout(printed):
                assert main(arguments) == 1
        found = json.loads(printed.getvalue())['findings']
        if all(
            said(found, number, text) for number in SECTIONS for text in SECTIONS[number].doctor
        ):
            break  # else a busy machine had no time for one of them
    return found


def said(findings: list[dict[str, str]], number: int, message: str) -> bool:
    """Whether a complaint is said where it belongs, with what helps."""
    return any(
        finding['level'] != 'ok'
        and finding['remedy']
        and f'{PLACES[number]}/' in finding['what']
        and pattern(message).search(finding['what'])
        for finding in findings
    )


def test_the_document_has_all_complaints() -> None:
    assert list(SECTIONS) == list(PLACES) == list(range(1, len(NAMES) + 1))
    assert all(section.doctor for section in SECTIONS.values())


@pytest.mark.parametrize('number', SECTIONS)
def test_the_nodes_say_it(world: Graph, diagnostics: Diagnostics, number: int) -> None:
    place = PLACES[number]
    for name, message in SECTIONS[number].diagnostics:
        node = 'base/server' if (place, name[:6]) == ('car', 'server') else None
        status = f'{node}: {name.partition(": ")[2]}' if node else f'{place}/{name}'

        def complains(status: str = status, message: str = message) -> bool:
            found = diagnostics.status(status)
            return found.level != b'\0' and bool(pattern(message).search(found.message))

        wait_for(complains, f'{message!r} from {status}')


@pytest.mark.parametrize('number', SECTIONS)
def test_the_doctor_says_it(findings: list[dict[str, str]], number: int) -> None:
    for message in SECTIONS[number].doctor:
        texts = json.dumps([finding['what'] for finding in findings], indent=1)
        assert said(findings, number, message), f'{message!r} is not in {texts}'


def test_the_doctor_says_each_thing_once(findings: list[dict[str, str]]) -> None:
    texts = [finding['what'] for finding in findings]
    assert len(texts) == len(set(texts))
