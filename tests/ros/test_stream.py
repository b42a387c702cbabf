# SPDX-License-Identifier: Apache-2.0
"""A clip through both nodes: what comes out, how often, with which header, for whom."""

import time
from dataclasses import dataclass

import numpy as np
import pytest
from mtl_split.msg import FeatureMap, LinkReport, SplitContract
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tests.ros.harness import (
    BEST_EFFORT,
    LATCHED,
    Diagnostics,
    Graph,
    NodeProcess,
    header,
    image_msg,
    received,
    wait_for,
)
from tests.tiny_bundle import street_image
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.tail import TailStage

pytestmark = pytest.mark.ros


@dataclass
class Stream:
    edge: NodeProcess
    server: NodeProcess
    images: Publisher
    features: list[FeatureMap]
    detections: list[Detection2DArray]
    masks: list[Image]
    classes: list[Classification]


@pytest.fixture(scope='module')
def stream(graph: Graph, tiny_bundle: Bundle) -> Stream:
    nodes = [graph.start(name, bundle=tiny_bundle.path) for name in ('edge', 'server')]
    edge, server = (node.ready() for node in nodes)
    stream = Stream(
        edge,
        server,
        graph.publisher(Image, 'image'),
        graph.record(FeatureMap, 'features', BEST_EFFORT),
        graph.record(Detection2DArray, 'detections'),
        graph.record(Image, 'segmentation/mask'),
        graph.record(Classification, 'classification'),
    )
    # discovery takes its time: from here on, everybody has found everybody
    lists = (stream.features, stream.detections, stream.masks, stream.classes)
    while not all(lists):
        send(stream, header(0))
        time.sleep(0.2)
    # nothing is on its way any more behind the last one
    send(stream, last := header(0, 'last'))
    for messages in lists:
        received(messages, last)
        messages.clear()
    return stream


def send(stream: Stream, stamp: Header, width: int = 120, height: int = 50) -> np.ndarray:
    image = street_image(width, height, stamp.stamp.sec)
    stream.images.publish(image_msg(image, stamp))
    return image


def test_every_frame_arrives_once_with_its_header(stream: Stream) -> None:
    headers = [header(number) for number in range(1, 21)]
    for stamp in headers:
        send(stream, stamp)
        time.sleep(1 / 15)
        # the newest frame wins; on a busy machine give this one its time
        received(stream.masks, stamp)
    for messages in (stream.features, stream.detections, stream.masks, stream.classes):
        received(messages, headers[-1])
        assert [message.header for message in messages] == headers
    first = stream.features[0].sequence
    assert [message.sequence for message in stream.features] == list(range(first, first + 20))
    boxes = [box for message in stream.detections for box in message.detections]
    assert boxes
    assert all(box.header in headers for box in boxes)


@pytest.mark.parametrize(('width', 'height'), [(301, 100), (60, 150), (96, 64)])
def test_results_are_the_stages_own_in_source_pixels(
    stream: Stream, tiny_bundle: Bundle, width: int, height: int
) -> None:
    stamp = header(10_000 + width)
    image = send(stream, stamp, width, height)
    encode = EncodeStage(tiny_bundle, load_network(tiny_bundle.encoder_path))
    tail = TailStage(tiny_bundle, load_network(tiny_bundle.tail_path))
    packet = encode.encode(image, tiny_bundle.default_rate, CodecId.ENTROPY, 0)
    results = tail.run(packet)
    assert results.detections is not None
    assert len(results.detections) > 0
    assert results.segmentation is not None

    assert received(stream.features, stamp).data.tobytes() == bytes(packet.payload)
    detections = received(stream.detections, stamp).detections
    boxes = [
        [
            d.bbox.center.position.x - d.bbox.size_x / 2,
            d.bbox.center.position.y - d.bbox.size_y / 2,
            d.bbox.center.position.x + d.bbox.size_x / 2,
            d.bbox.center.position.y + d.bbox.size_y / 2,
        ]
        for d in detections
    ]
    np.testing.assert_allclose(boxes, results.detections.boxes, atol=1e-4)
    assert np.max(np.array(boxes)[:, [0, 2]]) <= width
    assert np.max(np.array(boxes)[:, [1, 3]]) <= height
    names = [info.name for info in tiny_bundle.tasks[0].classes]
    assert [d.results[0].hypothesis.class_id for d in detections] == [
        names[i] for i in results.detections.class_ids
    ]
    mask = received(stream.masks, stamp)
    assert (mask.width, mask.height, mask.step, mask.encoding) == (width, height, width, 'mono8')
    np.testing.assert_array_equal(
        np.frombuffer(mask.data, np.uint8).reshape(height, width), results.segmentation.mask
    )
    classes = received(stream.classes, stamp).results
    assert [c.score for c in classes] == sorted((c.score for c in classes), reverse=True)
    assert {c.class_id for c in classes} == {'day', 'dusk'}


def test_late_joiner_gets_contract_and_labels(
    graph: Graph, stream: Stream, tiny_bundle: Bundle
) -> None:
    contracts = graph.record(SplitContract, 'contract', LATCHED)
    contract = wait_for(lambda: contracts, 'the contract')[0]
    assert (contract.bundle, contract.fingerprint) == ('tiny', tiny_bundle.fingerprint)
    for topic, task in (('detections', 0), ('segmentation', 1)):
        infos = graph.record(LabelInfo, f'{topic}/label_info', LATCHED)
        info = wait_for(lambda infos=infos: infos, 'label info')[0]
        assert [c.class_name for c in info.class_map] == [
            c.name for c in tiny_bundle.tasks[task].classes
        ]


def test_stamps_of_zero_and_time_that_jumps_back(stream: Stream) -> None:
    for stamp in (Header(frame_id='front'), header(7000), header(6000)):
        send(stream, stamp)
        received(stream.masks, stamp)
    send(stream, Header(frame_id='zero again'))
    received(stream.detections, Header(frame_id='zero again'))
    assert stream.edge.log.count('stamp of zero') == 1


def test_overlay_and_colour_only_while_subscribed(graph: Graph, stream: Stream) -> None:
    def image_readers(count: int) -> bool:
        return bool(stream.images.get_subscription_count() == count)

    assert image_readers(1)
    with (
        graph.recording(Image, 'overlay') as overlays,
        graph.recording(Image, 'segmentation/color') as colors,
    ):
        wait_for(lambda: image_readers(2), 'the server to subscribe image')

        def drawn() -> bool:
            send(stream, header(199))
            time.sleep(0.1)
            return bool(overlays and colors)

        wait_for(drawn, 'a first picture of both')
        image = send(stream, header(200))
        overlay = received(overlays, header(200))
        color = received(colors, header(200))
        for picture in (overlay, color):
            assert (picture.width, picture.height, picture.encoding) == (120, 50, 'rgb8')
        assert overlay.data.tobytes() != image.tobytes()
        # a bag that begins anew goes on giving overlays
        for number in (150, 151):
            send(stream, header(number))
            received(overlays, header(number))
    wait_for(lambda: image_readers(1), 'the server to let image go')


def test_diagnostics_of_both_nodes(stream: Stream, diagnostics: Diagnostics) -> None:
    for name in ('features', 'results', 'contract', 'overlay'):
        assert diagnostics.status(f'server: {name}').hardware_id
    for name in ('image', 'features', 'link'):
        assert diagnostics.status(f'edge: {name}').hardware_id
    edge = diagnostics.values('edge: features')
    server = diagnostics.values('server: results')
    for percent in (50, 95, 99):
        assert float(edge[f'edge ms p{percent}']) > 0
        assert float(edge[f'bytes p{percent}']) > 0
        assert float(server[f'server ms p{percent}']) > 0
        assert float(server[f'tail ms p{percent}']) > 0
    assert diagnostics.status('server: contract').level == b'\0'
    wait_for(lambda: diagnostics.status('edge: link').level == b'\0', 'the link in order')


def test_link_reports_count_every_frame(graph: Graph, stream: Stream) -> None:
    with graph.recording(LinkReport, 'link_report') as reports:
        wait_for(lambda: reports, 'a first report')
        first = len(reports)
        for number in range(5):
            send(stream, header(300 + number))
            received(stream.masks, header(300 + number))
        sequence = stream.features[-1].sequence
        wait_for(lambda: sum(r.answered for r in reports[first - 1 :]) >= 5, 'five answers')
        wait_for(lambda: reports[-1].last_sequence == sequence, 'a report of the last one')
        assert sum(r.lost + r.refused for r in reports) == 0
        assert all(0 <= r.busy_fraction <= 1 and r.interval > 0 for r in reports)
        assert max(r.service_us for r in reports) > 0
        assert max(r.goodput for r in reports) > 0


def test_live_parameters(graph: Graph, stream: Stream) -> None:
    accepted = graph.set('edge', rate=0, codec='float16')
    assert all(result.successful for result in accepted)
    send(stream, header(400))
    message = received(stream.features, header(400))
    assert (message.rate, message.codec) == (0, FeatureMap.CODEC_FLOAT16)
    received(stream.masks, header(400))

    refused = graph.set('edge', rate=9)[0]
    assert not refused.successful
    assert 'rates 0 to 1' in refused.reason
    assert 'entropy, float16, lossless' in graph.set('edge', codec='zip')[0].reason
    assert 'read-only' in graph.set('edge', bundle='other')[0].reason
    send(stream, header(401))
    assert received(stream.features, header(401)).rate == 0

    with graph.recording(LabelInfo, 'detections/label_info', LATCHED) as infos:
        assert graph.set('server', score_threshold=1.0, class_id='index')[0].successful
        send(stream, header(402))
        assert not received(stream.detections, header(402)).detections
        assert {c.class_id for c in received(stream.classes, header(402)).results} == {'0', '1'}
        wait_for(lambda: infos and infos[-1].threshold == 1.0, 'the new threshold')
    assert all(r.successful for r in graph.set('server', score_threshold=-1.0, class_id='name'))
    assert all(r.successful for r in graph.set('edge', rate=-1, codec='entropy'))
    send(stream, header(403))
    assert received(stream.detections, header(403)).detections


def test_qos_of_every_topic(graph: Graph, stream: Stream) -> None:
    def writer(topic: str) -> tuple[str, str]:
        info = graph.node.get_publishers_info_by_topic(topic)[0].qos_profile
        return info.reliability.name, info.durability.name

    def reader(topic: str, node: str) -> tuple[str, str]:
        info = next(
            info
            for info in graph.node.get_subscriptions_info_by_topic(topic)
            if info.node_name == node
        ).qos_profile
        return info.reliability.name, info.durability.name

    # as the publisher of this test offers it
    assert reader('/image', 'edge') == ('RELIABLE', 'VOLATILE')
    assert writer('/features') == ('RELIABLE', 'VOLATILE')
    assert reader('/features', 'server') == ('BEST_EFFORT', 'VOLATILE')
    assert writer('/contract') == ('RELIABLE', 'TRANSIENT_LOCAL')
    assert reader('/contract', 'server') == ('RELIABLE', 'TRANSIENT_LOCAL')
    for topic in ('/detections/label_info', '/segmentation/label_info'):
        assert writer(topic) == ('RELIABLE', 'TRANSIENT_LOCAL')
    for topic in ('/detections', '/segmentation/mask', '/classification', '/link_report'):
        assert writer(topic) == ('RELIABLE', 'VOLATILE')
