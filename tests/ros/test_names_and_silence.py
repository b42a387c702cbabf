# SPDX-License-Identifier: Apache-2.0
"""Namespaces, remaps, parameter files and compressed images; and what a silent topic says."""

import time
from array import array
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
from mtl_split.msg import FeatureMap
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from tests.ros.harness import (
    BEST_EFFORT,
    RELIABLE,
    Diagnostics,
    Graph,
    header,
    received,
    wait_for,
)
from tests.tiny_bundle import street_image
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle
from mtl_split_edge.parameters import EDGE_PARAMETERS
from mtl_split_ros import topic_watch
from mtl_split_ros.image_topic import ImageTopic
from mtl_split_ros.parameters import config_file
from mtl_split_ros.status import Status
from mtl_split_server.parameters import SERVER_PARAMETERS

pytestmark = pytest.mark.ros


def compressed(suffix: str, number: int) -> CompressedImage:
    picture = cv2.cvtColor(street_image(120, 80, number), cv2.COLOR_RGB2BGR)
    data = cv2.imencode(suffix, picture)[1].tobytes()
    message = CompressedImage(header=header(number), format=suffix[1:])
    message.data = array('B', data)
    return message


def test_a_camera_in_its_namespace_with_compressed_images(
    graph: Graph, diagnostics: Diagnostics, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    for name, specs in (('edge', EDGE_PARAMETERS), ('server', SERVER_PARAMETERS)):
        text = config_file(name, specs).replace('camvid', str(tiny_bundle.path))
        (tmp_path / f'{name}.yaml').write_text(
            text.replace('transport: raw', 'transport: compressed')
        )
    nodes = [
        graph.start(
            name,
            *('-r', '__ns:=/front', '-r', 'image:=camera/image_raw'),
            *('--params-file', str(tmp_path / f'{name}.yaml')),
        )
        for name in ('edge', 'server')
    ]
    edge, server = (node.ready() for node in nodes)
    assert 'images from /front/camera/image_raw/compressed' in edge.log
    assert 'features from /front/features' in server.log
    images = graph.publisher(CompressedImage, '/front/camera/image_raw/compressed')
    overlays = graph.record(Image, '/front/overlay')
    detections = graph.record(Detection2DArray, '/front/detections')
    wait_for(lambda: images.get_subscription_count() == 2, 'the server to want images')
    number = 0

    def answered() -> bool:
        nonlocal number
        number += 1
        images.publish(compressed('.jpg', number))
        time.sleep(0.1)
        return bool(detections and overlays)

    wait_for(answered, 'an overlay')
    bad = compressed('.jpg', 2000)
    bad.data = bad.data[: len(bad.data) // 2]
    images.publish(bad)
    wait_for(lambda: 'no end marker' in edge.log, 'the line about a truncated image')
    for later, suffix in ((2001, '.jpg'), (2002, '.png')):
        images.publish(compressed(suffix, later))
        overlay = received(overlays, header(later))
        assert (overlay.width, overlay.height) == (120, 80)
        assert received(detections, header(later))
    assert np.frombuffer(overlay.data, np.uint8).std() > 0
    values = diagnostics.values('front/edge: image')
    assert values['topic'] == '/front/camera/image_raw/compressed'
    assert diagnostics.values('front/server: features')['topic'] == '/front/features'


@pytest.mark.parametrize(
    ('transport', 'remedy'),
    [
        ('raw', 'set image_transport to compressed, and give the topic as /side/image'),
        ('compressed', 'give the topic as /side/image, image_transport appends /compressed'),
    ],
)
def test_the_whole_name_of_a_compressed_topic(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, transport: str, remedy: str
) -> None:
    """As `ros2 topic list` has it; both transports lead to the name without the end."""
    monkeypatch.setattr(topic_watch, 'SILENT_AFTER_S', 0.0)
    name = '/side/image/compressed'
    # a participant of its own: one cannot have a topic with two types
    context = Context()
    rclpy.init(context=context, domain_id=graph.domain)
    camera = Node('camera', context=context)
    camera.create_publisher(CompressedImage, name, RELIABLE)
    images = ImageTopic(graph.node, transport, 'best_available', lambda _: None, name)
    images.subscribe()

    def said() -> str:
        status = Status()
        images.fill(status)
        return status.message

    try:
        wait_for(lambda: remedy in said(), remedy)
    finally:
        images.unsubscribe()
        camera.destroy_node()
        rclpy.shutdown(context=context)


def test_silence_says_what_is_wrong(
    graph: Graph, diagnostics: Diagnostics, tiny_bundle: Bundle
) -> None:
    edge = graph.start('edge', '-r', '__ns:=/rear', bundle=tiny_bundle.path)
    override = 'qos_overrides./rear/features.subscription.reliability:=reliable'
    server = graph.start('server', '-r', '__ns:=/rear', '-p', override, bundle=tiny_bundle.path)
    elsewhere = graph.node.create_publisher(CompressedImage, '/rear/image/compressed', RELIABLE)
    incompatible = graph.node.create_publisher(FeatureMap, '/rear/features', BEST_EFFORT)
    edge.ready()
    server.ready()
    wait_for(lambda: 'offers an incompatible QoS' in server.log, 'the event line')
    status = diagnostics.message_with('rear/edge: image', 'no message on /rear/image')
    assert status.level == b'\1'
    assert 'publishers: 0' in status.message
    assert '/rear/image/compressed has 1: set image_transport to compressed' in status.message
    status = diagnostics.message_with('rear/server: features', 'with incompatible QoS: 1')
    assert 'publishers: 2' in status.message
    assert 'qos_overrides./rear/features.subscription' in status.message
    assert diagnostics.values('rear/server: features')['incompatible publishers'] == '1'
    assert edge.log.count('no message on /rear/image') == 1
    graph.node.destroy_publisher(elsewhere)
    graph.node.destroy_publisher(incompatible)
    # the edge is there, and without images it has nothing to send
    diagnostics.message_with('rear/server: features', 'an edge in mode local asks no server')
