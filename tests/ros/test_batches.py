# SPDX-License-Identifier: Apache-2.0
"""Frames of several cameras in one run of the network: each answered as if it were alone."""

import time
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mtl_split.msg import FeatureMap, LinkReport
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from tests.counted_network import CountedNetwork
from tests.ros.harness import (
    Diagnostics,
    Graph,
    NodeProcess,
    header,
    image_msg,
    received,
    wait_for,
)
from tests.tiny_bundle import FEATURE_SHAPE, make_tiny_bundle, street_image
from vision_msgs.msg import Classification

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.codecs import make_codecs
from mtl_split_core.encode import EncodeStage
from mtl_split_core.packet import FeaturePacket
from mtl_split_core.results import FrameResults
from mtl_split_core.tail import TailStage
from mtl_split_ros.packets import packet_to_msg
from mtl_split_ros.parameters import Parameters
from mtl_split_server.batch import Batches
from mtl_split_server.camera import Camera
from mtl_split_server.loading import most_at_once
from mtl_split_server.parameters import SERVER_PARAMETERS
from mtl_split_server.schedule import NO_DEADLINE, CameraQueue
from mtl_split_server.turn import clock_us
from mtl_split_server.waiting import Common, Drawing, Frame

pytestmark = pytest.mark.ros

NAMES = ('front', 'left', 'right')
THREADS = 2
"""The server's default."""
SESSION = 7


def wild(packet: FeaturePacket, bundle: Bundle) -> FeaturePacket:
    """The same frame with features that drive the network out of its range."""
    z = np.full(FEATURE_SHAPE, 3e38, np.float32)
    z[::2] *= -1
    data = make_codecs(bundle)[CodecId.LOSSLESS].encode(z, 0)
    return replace(packet, data=data, crc32=zlib.crc32(data))


def shared(node: Node, bundle: Bundle, network: CountedNetwork) -> Common:
    """What the cameras of a server share."""
    settings, tail = Parameters(node, SERVER_PARAMETERS), TailStage(bundle, network)
    return Common(settings, bundle, tail, SESSION, CameraQueue(), lambda: 0.0)


@pytest.fixture
def node(graph: Graph) -> Iterator[Node]:
    node = Node('shared', context=graph.node.context)
    yield node
    node.destroy_node()


def test_what_is_wrong_with_one_costs_no_other(
    graph: Graph, node: Node, tiny_bundle: Bundle
) -> None:
    """One is late, one drives the network out of its range; the other two are answered."""
    network = CountedNetwork(load_network(tiny_bundle.tail_path))
    common = shared(node, tiny_bundle, network)
    tail = common.tail
    cameras = {name: Camera(node, common, name) for name in (*NAMES, 'rear')}
    answers = {name: graph.record(Classification, f'/{name}/classification') for name in cameras}
    reports = {name: graph.record(LinkReport, f'/{name}/link_report') for name in cameras}
    encode = EncodeStage(tiny_bundle, load_network(tiny_bundle.encoder_path))
    packet = encode.encode(street_image(90, 70), 0, CodecId.LOSSLESS, 0)
    messages = {name: packet_to_msg(packet, header(n)) for n, name in enumerate(cameras)}
    messages['left'] = packet_to_msg(wild(packet, tiny_bundle), header(1))
    failed: list[tuple[Camera, Exception]] = []
    batches = Batches(lambda camera, error: failed.append((camera, error)))

    def answer() -> None:
        for name, message in messages.items():
            late = name == 'rear'
            message.answer_session = SESSION
            message.answer_until_us = clock_us() + (-1 if late else 60_000_000)
        now = time.monotonic()
        frames = [Frame(cameras[name], messages[name], None, now, NO_DEADLINE) for name in cameras]
        network.runs.clear()
        batches.answer(frames, tail)
        assert network.runs == [3]

    def answered() -> bool:
        # until publishers and subscriptions have found each other
        answer()
        time.sleep(0.05)
        return bool(answers['front'] and answers['right'] and reports['front'])

    wait_for(answered, 'answers')
    assert not failed
    assert not answers['left']
    assert not answers['rear']
    cameras['left'].report_in_time(0)
    cameras['rear'].report_in_time(0)
    refusal = wait_for(lambda: [r.refusal for r in reports['left'] if r.refused], 'a refusal')
    assert 'finite' in refusal[0]
    assert wait_for(lambda: [r.late for r in reports['rear'] if r.late], 'a late one')
    network.broken = True
    now = time.monotonic()
    batches.answer([Frame(cameras[n], messages[n], None, now, NO_DEADLINE) for n in NAMES], tail)
    assert [camera for camera, _ in failed] == [cameras[name] for name in NAMES]


@pytest.mark.parametrize(
    ('values', 'batched', 'most'),
    [
        ({}, True, 1),
        ({'batch': 2}, True, 2),
        ({'batch': 8}, True, 3),
        ({'batch': 8, 'cameras': ['']}, True, 1),
        ({'providers': ['CUDAExecutionProvider'], 'cameras': list('abcdef')}, True, 4),
        ({'providers': ['CUDAExecutionProvider'], 'batch': 1}, True, 1),
        ({'batch': 8}, False, 1),
    ],
)
def test_how_many_go_together(
    graph: Graph,
    tiny_bundle: Bundle,
    tmp_path: Path,
    values: dict[str, Any],
    batched: bool,
    most: int,
) -> None:
    bundle = tiny_bundle if batched else make_tiny_bundle(tmp_path / 'older', batched=False)
    given = [Parameter(k, value=v) for k, v in {'cameras': list(NAMES), **values}.items()]
    node = Node('chosen', context=graph.node.context, parameter_overrides=given)
    tail = TailStage(bundle, load_network(bundle.tail_path))
    assert most_at_once(Parameters(node, SERVER_PARAMETERS), tail) == most
    node.destroy_node()


def test_nobody_is_made_late_by_another(node: Node, tiny_bundle: Bundle) -> None:
    network = CountedNetwork(load_network(tiny_bundle.tail_path), pause_s=0.1)
    common = shared(node, tiny_bundle, network)
    front, left = Camera(node, common, 'front'), Camera(node, common, 'left')
    encode = EncodeStage(tiny_bundle, load_network(tiny_bundle.encoder_path))
    packet = encode.encode(street_image(90, 70), 0, CodecId.ENTROPY, 0)
    message = packet_to_msg(packet, header(0))
    batches = Batches(lambda _camera, error: pytest.fail(str(error)))
    before = time.monotonic()
    batches.answer([Frame(front, message, None, before, NO_DEADLINE)], common.tail)
    took = time.monotonic() - before

    def joins(patience_s: float) -> bool:
        now = time.monotonic()
        until = (now + patience_s) * 1e6
        first = Frame(front, message, None, now, until)
        return batches.joins([first], Frame(left, message, None, now, NO_DEADLINE))

    # late by the second one; late anyway; in time anyway
    assert [joins(seconds) for seconds in (took + 0.02, 0.0, 60.0)] == [False, True, True]
    image, letterbox = image_msg(street_image(90, 70), header(0)), packet.letterbox
    results = common.tail.run_features(np.zeros(FEATURE_SHAPE, np.float32), letterbox)
    drawing = Drawing(left, image, results, tiny_bundle)
    frame = Frame(front, message, None, before, NO_DEADLINE)
    assert not batches.joins([frame], drawing)
    assert not batches.joins([drawing], frame)


@pytest.fixture(scope='module')
def server(graph: Graph) -> NodeProcess:
    """A server whose network takes long enough for frames to meet."""
    return graph.start(
        'server', cameras=f'[{", ".join(NAMES)}]', batch=4, feature_reliability='reliable'
    ).ready()


def frames_of(bundle: Bundle, number: int) -> dict[str, tuple[FeatureMap, FrameResults]]:
    """One frame of each camera, and what the tail answers to each alone."""
    encode = EncodeStage(bundle, load_network(bundle.encoder_path))
    tail = TailStage(bundle, load_network(bundle.tail_path, options=BackendOptions(THREADS)))
    found = {}
    for index, name in enumerate(NAMES):
        image = street_image(320 + 40 * index, 240, len(NAMES) * number + index)
        rate = (number + index) % len(bundle.rates)
        packet = encode.encode(image, rate, CodecId.ENTROPY, number)
        found[name] = packet_to_msg(packet, header(number)), tail.run(packet)
    return found


def test_frames_that_meet_are_answered_together_as_each_alone(
    graph: Graph, diagnostics: Diagnostics, server: NodeProcess
) -> None:
    assert 'up to 3 in one run' in server.log
    bundle = load_bundle('camvid')
    features = {name: graph.publisher(FeatureMap, f'/{name}/features') for name in NAMES}
    masks = {name: graph.record(Image, f'/{name}/segmentation/mask') for name in NAMES}
    classes = {name: graph.record(Classification, f'/{name}/classification') for name in NAMES}
    first = frames_of(bundle, 0)

    def found() -> bool:
        for name in NAMES:
            features[name].publish(first[name][0])
        time.sleep(0.2)
        return all(masks[name] and classes[name] for name in NAMES)

    wait_for(found, 'answers of all')
    for number in range(1, 5):
        frames = frames_of(bundle, number)
        for name in NAMES:
            features[name].publish(frames[name][0])
        for name, (message, results) in frames.items():
            mask = received(masks[name], message.header)
            assert results.segmentation is not None
            pixels = np.frombuffer(mask.data, np.uint8).reshape(mask.height, mask.width)
            np.testing.assert_array_equal(pixels, results.segmentation.mask)
            says = received(classes[name], message.header).results
            scores = sorted(results.classifications[0].scores, reverse=True)
            np.testing.assert_allclose([c.score for c in says], scores, rtol=1e-6)
    # the first one that comes is answered alone, the other two meet
    wait_for(
        lambda: float(diagnostics.values('server: right results').get('batch mean', 0)) > 1,
        'frames that met',
    )
    damaged = frames_of(bundle, 5)
    message = damaged['right'][0]
    message.data = array('B', bytes(len(message.data)))
    message.crc32 = zlib.crc32(bytes(message.data))
    reports = graph.record(LinkReport, '/right/link_report')
    for name in NAMES:
        features[name].publish(damaged[name][0])
    for name in ('front', 'left'):
        received(masks[name], damaged[name][0].header)
    wait_for(lambda: [r for r in list(reports) if r.refused], 'a refusal')


def test_a_tail_for_one_frame_says_that_it_takes_no_batch(
    graph: Graph, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    older = make_tiny_bundle(tmp_path_factory.mktemp('older') / 'older', batched=False)
    server = graph.start(
        'server', '-r', '__ns:=/older', bundle=older.path, cameras='[a, b]', batch=2
    ).ready()
    assert f'the tail of {older.title} takes one frame at a time' in server.log
    assert 'in one run' not in server.log
    assert older.fingerprint != tiny_bundle.fingerprint
