# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in: one clear line, a counter, and the next good frame is answered."""

import re
import zlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from mtl_split.msg import FeatureMap, LinkReport, SplitContract
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
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
from vision_msgs.msg import Classification

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_ros.packets import contract_msg, packet_to_msg

pytestmark = pytest.mark.ros(beside=True)

RGB = street_image(90, 70)
Change = Callable[[Image], None]


@dataclass
class Bench:
    edge: NodeProcess
    server: NodeProcess
    images: Publisher
    features: list[FeatureMap]
    answers: list[Classification]
    frame: FeatureMap
    injected: Publisher
    reports: list[LinkReport]
    number: int = 0

    def next_header(self) -> object:
        self.number += 1
        return header(self.number)


@pytest.fixture(scope='module')
def bench(graph: Graph, tiny_bundle: Bundle) -> Bench:
    """An edge on /features, and a server on /wire, to which the test itself speaks."""
    nodes = [
        graph.start('edge', bundle=tiny_bundle.path),
        graph.start(
            'server',
            *('-r', 'features:=wire', '-r', 'contract:=wire_contract'),
            *('-r', 'link_report:=wire_report'),
            bundle=tiny_bundle.path,
            feature_reliability='reliable',
            report_rate=20.0,
        ),
    ]
    edge, server = (node.ready() for node in nodes)
    stage = EncodeStage(tiny_bundle, load_network(tiny_bundle.encoder_path))
    frame = packet_to_msg(stage.encode(RGB, 1, CodecId.ENTROPY, 0), header(0))
    bench = Bench(
        edge,
        server,
        graph.publisher(Image, 'image'),
        graph.record(FeatureMap, 'features', BEST_EFFORT),
        graph.record(Classification, 'classification'),
        frame,
        graph.publisher(FeatureMap, 'wire'),
        graph.record(LinkReport, 'wire_report'),
    )

    def found() -> bool:
        bench.images.publish(image_msg(RGB, header(0)))
        bench.injected.publish(frame)
        return bool(bench.features and bench.answers and bench.reports)

    wait_for(found, 'everybody to find everybody')
    return bench


def change(**fields: object) -> Change:
    def apply(message: Image) -> None:
        for name, value in fields.items():
            setattr(message, name, value)

    return apply


@pytest.mark.parametrize(
    ('damage', 'line'),
    [
        (change(width=0, height=0, data=array('B')), 'image is 0x0 pixels'),
        (change(data=array('B', bytes(1000))), 'image data has 1000 bytes, step 270 x height 70'),
        (change(step=100), 'image step is 100 bytes, 90 pixels of rgb8 take 270'),
        (change(encoding='bayer_rggb8'), "'bayer_rggb8' is not supported.*image_proc"),
        (change(encoding='yuv422'), "'yuv422' is not supported.*image_proc"),
        (change(encoding='8UC3'), "'8UC3' is not supported.*untyped_encoding"),
        (change(encoding='32FC1'), "'32FC1' is not supported"),
    ],
)
def test_a_bad_image_and_then_a_good_one(bench: Bench, damage: Change, line: str) -> None:
    message = image_msg(RGB, bench.next_header())
    damage(message)
    bench.images.publish(message)
    # wait for the line, else the good image may take the bad one's place
    wait_for(lambda: re.search(line, bench.edge.log), f'the line {line!r}')
    good = image_msg(RGB, bench.next_header())
    bench.images.publish(good)
    assert received(bench.features, good.header).data == bench.frame.data
    assert 'Traceback' not in bench.edge.log


def test_bad_images_are_counted(bench: Bench, diagnostics: Diagnostics) -> None:
    bad = image_msg(RGB, bench.next_header(), 'mono16')
    bench.images.publish(bad)
    status = diagnostics.message_with('edge: image', 'mono16')
    assert status.level == b'\2'
    assert int(diagnostics.values('edge: image')['refused: image']) >= 1


def test_every_encoding_gives_the_same_features(bench: Bench) -> None:
    grey = np.asarray(cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY), np.uint8)
    colours = {
        'rgb8': RGB,
        'bgr8': RGB[..., ::-1],
        'rgba8': np.dstack([RGB, RGB[..., 0]]),
        'bgra8': np.dstack([RGB[..., ::-1], RGB[..., 0]]),
    }
    greys = {'mono8': grey, 'rgb8': np.dstack([grey] * 3)}
    for pictures in (colours, greys):
        payloads = set()
        for encoding, pixels in pictures.items():
            for padding in (0, 13):
                message = image_msg(np.ascontiguousarray(pixels), bench.next_header(), encoding)
                rows = np.frombuffer(message.data, np.uint8).reshape(message.height, -1)
                message.step += padding
                message.data = array('B', np.pad(rows, ((0, 0), (0, padding))).tobytes())
                bench.images.publish(message)
                payloads.add(received(bench.features, message.header).data.tobytes())
        assert len(payloads) == 1
        assert all(payloads)


def frame_with(bench: Bench, **fields: object) -> FeatureMap:
    given = {name: getattr(bench.frame, name) for name in FeatureMap.get_fields_and_field_types()}
    return FeatureMap(**{**given, 'header': bench.next_header(), **fields})


def with_crc(data: bytes) -> dict[str, object]:
    return {'data': array('B', data), 'crc32': zlib.crc32(data)}


WRONG: dict[str, tuple[dict[str, object], str]] = {
    'fingerprint': ({'fingerprint': 1}, 'fingerprint'),
    'codec 0': ({'codec': 0}, 'codec'),
    'codec 99': ({'codec': 99}, 'codec'),
    'codec of pictures': ({'codec': 4}, 'codec|shape'),
    'codec_version': ({'codec_version': 9}, 'codec_version'),
    'rate': ({'rate': 200}, 'rate'),
    'channels': ({'channels': 65535}, 'shape'),
    'height': ({'height': 0}, 'shape'),
    'width': ({'width': 11}, 'shape'),
    'source_width 0': ({'source_width': 0}, 'source_width, source_height: image of'),
    'source_width': ({'source_width': 65535}, 'source_width, source_height: image of'),
    'source_height': ({'source_height': 65535}, 'source_width, source_height: image of'),
    'letterbox_scale': ({'letterbox_scale': 3.0}, 'scale'),
    'letterbox_scale nan': ({'letterbox_scale': float('nan')}, 'scale'),
    'letterbox_scale inf': ({'letterbox_scale': float('inf')}, 'scale'),
    'letterbox_left': ({'letterbox_left': 60000}, 'left'),
    'letterbox_top': ({'letterbox_top': 60000}, 'top'),
    'crc32': ({'crc32': 1}, 'crc32'),
    'data empty': ({'data': array('B')}, 'data'),
    'data flipped': ({'data': array('B', bytes(100))}, 'crc32|data'),
    'data of zeros': (with_crc(bytes(400)), 'payload|data'),
    'data of ones': (with_crc(b'\xff' * 400), 'payload|data'),
    'data huge': (with_crc(bytes(3_000_000)), 'data'),
}


@pytest.mark.parametrize('name', WRONG)
def test_a_wrong_field_is_refused_by_name(bench: Bench, name: str) -> None:
    fields, text = WRONG[name]
    bench.reports.clear()
    bench.injected.publish(frame_with(bench, **fields))
    refusal = wait_for(
        lambda: next((r.refusal for r in list(bench.reports) if r.refused), ''), 'a refusal'
    )
    assert re.search(text, refusal)
    good = frame_with(bench)
    bench.injected.publish(good)
    received(bench.answers, good.header)
    assert 'Traceback' not in bench.server.log
    assert 'internal error' not in bench.server.log


def test_another_bundle_is_refused_and_explained(
    graph: Graph, bench: Bench, diagnostics: Diagnostics, other_bundle: Bundle
) -> None:
    contracts = graph.publisher(SplitContract, 'wire_contract', LATCHED)
    contracts.publish(contract_msg(other_bundle, 1, graph.node.get_clock().now().to_msg()))
    status = diagnostics.message_with('server: contract', 'give both the same bundle')
    assert status.level == b'\2'
    assert 'other 1.0.0' in status.message
    stage = EncodeStage(other_bundle, load_network(other_bundle.encoder_path))
    bench.reports.clear()
    bench.injected.publish(
        packet_to_msg(stage.encode(RGB, 1, CodecId.ENTROPY, 0), bench.next_header())
    )
    refusal = wait_for(
        lambda: next((r.refusal for r in list(bench.reports) if r.refused), ''), 'a refusal'
    )
    assert f'{other_bundle.fingerprint:016x}' in refusal
    assert 'announced bundle other 1.0.0' in refusal
    diagnostics.message_with('server: features', 'announced bundle other')
    assert int(diagnostics.values('server: features')['refused: fingerprint']) >= 1
    good = frame_with(bench)
    bench.injected.publish(good)
    received(bench.answers, good.header)
    assert bench.server.alive()
