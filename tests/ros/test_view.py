# SPDX-License-Identifier: Apache-2.0
"""`mtl-split view` on a running graph: it finds what there is, also what comes later."""

from typing import Any

import pytest
from mtl_split.msg import FeatureMap, FrameStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from tests.ros.harness import BEST_EFFORT, LATCHED, RELIABLE, Graph, header, image_msg, wait_for
from tests.tiny_bundle import street_image
from vision_msgs.msg import LabelInfo

from mtl_split_tools.view.live import Live
from mtl_split_tools.view.topics import Role

pytestmark = pytest.mark.ros
Seen = list[tuple[str, Role, Any, int]]


def test_topics_are_found_as_they_appear(graph: Graph) -> None:
    seen: Seen = []
    live = Live(graph.node, '/front', None, lambda *message: seen.append(message))
    live.look()
    assert live.nothing

    labels = graph.node.create_publisher(LabelInfo, '/front/detections/label_info', LATCHED)
    labels.publish(LabelInfo(threshold=0.5))
    camera = graph.node.create_publisher(Image, '/front/image', BEST_EFFORT)
    other = graph.node.create_publisher(Image, '/back/image', BEST_EFFORT)
    wait_for(lambda: (live.look(), camera.get_subscription_count())[1], 'the view to subscribe')
    image = image_msg(street_image(64, 48), header(1))
    other.publish(image)
    camera.publish(image)
    statuses = graph.node.create_publisher(FrameStatus, '/front/frame_status', 10)
    wait_for(lambda: (live.look(), statuses.get_subscription_count())[1], 'the view once more')
    statuses.publish(FrameStatus(header=header(1), mode='split'))
    wait_for(lambda: len(seen) >= 3, 'three messages')

    assert {(topic, role) for topic, role, _, _ in seen} == {
        ('/front/detections/label_info', Role.BOX_LABELS),
        ('/front/image', Role.IMAGE),
        ('/front/frame_status', Role.STATUS),
    }
    assert not live.nothing


def test_one_camera_has_one_picture(graph: Graph) -> None:
    seen: Seen = []
    live = Live(graph.node, '/twice', None, lambda *message: seen.append(message))
    raw = graph.node.create_publisher(Image, '/twice/image', BEST_EFFORT)
    wait_for(lambda: (live.look(), raw.get_subscription_count())[1], 'the view to subscribe')
    packed = graph.node.create_publisher(CompressedImage, '/twice/image/compressed', BEST_EFFORT)
    wait_for(lambda: graph.node.count_publishers('/twice/image/compressed'), 'the other topic')
    live.look()
    assert packed.get_subscription_count() == 0


@pytest.mark.parametrize('offered', [RELIABLE, BEST_EFFORT], ids=['reliable', 'best effort'])
def test_given_topic_is_taken_as_it_is_offered(graph: Graph, offered: QoSProfile) -> None:
    seen: Seen = []
    topic = f'/usb_cam_{offered.reliability.name.lower()}/image_raw'
    live = Live(graph.node, '', topic, lambda *message: seen.append(message))
    camera = graph.node.create_publisher(Image, topic, offered)
    wait_for(lambda: (live.look(), camera.get_subscription_count())[1], 'the view to subscribe')
    camera.publish(image_msg(street_image(64, 48), header(2)))
    wait_for(lambda: seen, 'the picture')
    assert seen[0][:2] == (topic, Role.IMAGE)
    (reader,) = graph.node.get_subscriptions_info_by_topic(topic)
    assert reader.qos_profile.reliability == offered.reliability


@pytest.mark.parametrize('packed', [False, True], ids=['raw', 'compressed beside it'])
def test_the_picture_is_that_of_the_edge(graph: Graph, packed: bool) -> None:
    """Whatever its topic was remapped to."""
    space, name = f'/mapped{int(packed)}', f'/usb{int(packed)}/image_raw'
    edge = Node('edge', namespace=space, context=graph.node.context)
    edge.create_publisher(FeatureMap, 'features', BEST_EFFORT)
    edge.create_subscription(Image, name, lambda _: None, BEST_EFFORT)
    camera = graph.node.create_publisher(Image, name, BEST_EFFORT)
    readers = 2  # the edge, and the view
    if packed:
        packed_name = f'{name}/compressed'
        camera = graph.node.create_publisher(CompressedImage, packed_name, BEST_EFFORT)
        wait_for(lambda: graph.node.count_publishers(packed_name), 'the other topic')
        readers = 1
    live = Live(graph.node, space, None, lambda *_: None)

    def subscribed() -> bool:
        live.look()
        return camera.get_subscription_count() == readers

    try:
        wait_for(subscribed, 'the view to subscribe')
    finally:
        edge.destroy_node()


def test_nothing_here_but_in_the_namespaces_of_cameras(graph: Graph) -> None:
    """As with `cameras:=left,right`, where the doctor finds nothing wrong."""
    live = Live(graph.node, '/nowhere', None, lambda *_: None)
    live.look()
    assert live.why_nothing() == 'no topics yet in /nowhere; `mtl-split doctor` says why'
    for name in ('left', 'right'):
        graph.node.create_publisher(FeatureMap, f'/{name}/features', BEST_EFFORT)

    def says() -> bool:
        live.look()
        return 'but in /left, /right: choose one by --namespace' in live.why_nothing()

    wait_for(says, 'both cameras')
