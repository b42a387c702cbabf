# SPDX-License-Identifier: Apache-2.0
"""What camera drivers give: encodings, shapes and QoS of their own, slowly and irregularly."""

import time

import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from tests.ros.harness import Graph, header, image_msg, received
from tests.tiny_bundle import street_image
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle

pytestmark = pytest.mark.ros(beside=True)

LATCHED = QoSDurabilityPolicy.TRANSIENT_LOCAL
BEST_EFFORT = QoSReliabilityPolicy.BEST_EFFORT
DRIVERS = {
    'v4l2_camera': ('rgb8', (64, 48), QoSProfile(depth=10)),
    'usb_cam': ('rgb8', (80, 60), QoSProfile(depth=100)),
    'GigE, grey, as sensor data': (
        'mono8',
        (61, 127),
        QoSProfile(depth=5, reliability=BEST_EFFORT),
    ),
    'CSI': ('bgr8', (160, 90), QoSProfile(depth=1)),
    'latched test picture': ('bgra8', (40, 90), QoSProfile(depth=1, durability=LATCHED)),
}
"""Encoding, width and height, and QoS; two of the pictures stand upright."""
PAUSES_S = (0.2, 0.02, 0.3)


def test_drivers_and_their_pace(graph: Graph, tiny_bundle: Bundle) -> None:
    """One topic, one driver after the other: after each pause its picture is answered."""
    nodes = [graph.start(name, bundle=tiny_bundle.path) for name in ('edge', 'server')]
    for node in nodes:
        node.ready()
    number = 0
    with graph.recording(Detection2DArray, 'detections') as answers:
        for name, (encoding, (width, height), qos) in DRIVERS.items():
            images = graph.publisher(Image, 'image', qos)
            pixels = street_image(width, height, number)
            if encoding == 'mono8':
                pixels = pixels[..., :1]
            elif encoding == 'bgra8':
                pixels = pixels[..., [2, 1, 0, 0]]
            for pause in PAUSES_S:
                number += 1
                time.sleep(pause)
                stamp = header(number, name)
                images.publish(image_msg(pixels, stamp, encoding))
            answer = received(answers, stamp)
            for box in answer.detections:
                centre = box.bbox.center.position
                assert 0 <= centre.x <= width
                assert 0 <= centre.y <= height
            graph.node.destroy_publisher(images)
    for node in nodes:
        assert 'refused' not in node.log
