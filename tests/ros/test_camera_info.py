# SPDX-License-Identifier: Apache-2.0
"""`camera_info` of the camera belongs to the results as it is: same header, same pixels."""

import itertools
import time

import pytest
from sensor_msgs.msg import CameraInfo, Image
from tests.ros.harness import Graph, header, image_msg, wait_for
from tests.tiny_bundle import street_image
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle

pytestmark = pytest.mark.ros(beside=True)

WIDTH, HEIGHT = 50, 121  # portrait, and odd
IMAGE, INFO = '/camera/image_raw', '/camera/camera_info'


def test_results_and_calibration_meet_by_their_headers(graph: Graph, tiny_bundle: Bundle) -> None:
    """Boxes and masks are in the pixels of the picture, rectified or not, as the info has them.

    The nodes neither take nor repeat the calibration: a consumer has it from the camera.
    """
    for name in ('edge', 'server'):
        names = ('-r', '__ns:=/front', '-r', f'image:={IMAGE}')
        graph.start(name, *names, bundle=tiny_bundle.path).ready()
    infos = graph.node.create_publisher(CameraInfo, INFO, 10)
    images = graph.publisher(Image, IMAGE)
    numbers = itertools.count(1)
    with (
        graph.recording(CameraInfo, INFO) as calibrations,
        graph.recording(Detection2DArray, '/front/detections') as boxes,
        graph.recording(Image, '/front/segmentation/mask') as masks,
    ):

        def paired() -> tuple[CameraInfo, Detection2DArray, Image] | None:
            stamp = header(next(numbers), 'lens')
            info = CameraInfo(header=stamp, width=WIDTH, height=HEIGHT)
            info.distortion_model, info.d = 'plumb_bob', [0.1, 0.0, 0.0, 0.0, 0.0]
            infos.publish(info)
            images.publish(image_msg(street_image(WIDTH, HEIGHT), stamp))
            time.sleep(0.05)
            return next(
                (
                    found
                    for found in itertools.product(calibrations, boxes, masks)
                    if found[0].header == found[1].header == found[2].header
                ),
                None,
            )

        info, answer, mask = wait_for(paired, 'results with the header of a camera_info')
    assert answer.header.frame_id == 'lens'
    assert (mask.width, mask.height) == (info.width, info.height) == (WIDTH, HEIGHT)
    for box in answer.detections:
        centre = box.bbox.center.position
        assert 0 <= centre.x <= info.width
        assert 0 <= centre.y <= info.height
    assert info.d[0] == 0.1
    topics = {
        name
        for node in ('edge', 'server')
        for ask in (
            graph.node.get_publisher_names_and_types_by_node,
            graph.node.get_subscriber_names_and_types_by_node,
        )
        for name, _ in ask(node, '/front')
    }
    assert '/front/features' in topics
    assert not [name for name in topics if 'camera_info' in name]
