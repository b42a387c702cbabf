# SPDX-License-Identifier: Apache-2.0
"""What `mtl-split annotate` writes is what the live nodes publish, byte for byte."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import pytest
from mtl_split.msg import FeatureMap
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image
from tests.ros.harness import BEST_EFFORT, LATCHED, Graph, header, received
from tests.tiny_bundle import street_image
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo

from mtl_split_core.bundle import Bundle
from mtl_split_tools.bags import jazzy_types, offered_qos, open_bag, write_bag
from mtl_split_tools.cli import main

pytestmark = pytest.mark.ros(beside=True)

RESULTS = {
    '/detections': Detection2DArray,
    '/segmentation/mask': Image,
    '/classification': Classification,
}
LABELS = ('/detections/label_info', '/segmentation/label_info')
TIMES = ('wait_us', 'convert_us', 'letterbox_us', 'encode_us', 'entropy_us')
OF_THE_SENDER = (*TIMES, 'sequence', 'answer_session', 'answer_until_us')


def pictures(size: tuple[int, int], count: int) -> list[CompressedImage]:
    made = []
    for number in range(1, count + 1):
        _, data = cv2.imencode('.jpg', street_image(*size, seed=number))
        made.append(
            CompressedImage(header=header(number), format='jpeg', data=data.tobytes()),
        )
    return made


def write(path: Path, messages: Sequence[CompressedImage]) -> Path:
    kind = 'sensor_msgs/msg/CompressedImage'
    with write_bag(path) as writer:
        connection = writer.add_connection(
            '/camera/compressed',
            kind,
            typestore=jazzy_types(),
            offered_qos_profiles=[offered_qos()],
        )
        for number, message in enumerate(messages):
            writer.write(connection, 10**9 + number, serialize_message(message))
    return path


def read(path: Path) -> dict[str, list[Any]]:
    kinds = {**RESULTS, '/features': FeatureMap, **dict.fromkeys(LABELS, LabelInfo)}
    found: dict[str, list[Any]] = {topic: [] for topic in kinds}
    with open_bag(path) as bag:
        for connection, _, data in bag.messages(bag.connections):
            if connection.topic in kinds:
                message = deserialize_message(data, kinds[connection.topic])
                found[connection.topic].append(message)
    return found


@pytest.mark.parametrize('codec', ['entropy', 'float16'])
@pytest.mark.parametrize('shipped', [False, True], ids=['tiny', 'camvid'])
def test_same_as_live(tmp_path: Path, tiny_bundle: Bundle, shipped: bool, codec: str) -> None:
    bundle, size = ('camvid', (640, 480)) if shipped else (str(tiny_bundle.path), (121, 50))
    messages = pictures(size, 4)
    bag = write(tmp_path / 'bag', messages)
    options = ['--bundle', bundle, '--rate', '1', '--codec', codec, '--score-threshold', '0.2']
    assert main(['annotate', str(bag), '--out', str(tmp_path / 'out'), *options]) == 0
    offline = read(tmp_path / 'out/results.mcap')

    graph = Graph(tmp_path)
    try:
        edge = graph.start('edge', bundle=bundle, rate=1, codec=codec, image_transport='compressed')
        server = graph.start('server', bundle=bundle, score_threshold=0.2)
        edge.ready()
        server.ready()
        live = {topic: graph.record(kind, topic) for topic, kind in RESULTS.items()}
        live['/features'] = graph.record(FeatureMap, '/features', BEST_EFFORT)
        labels = {topic: graph.record(LabelInfo, topic, LATCHED) for topic in LABELS}
        images = graph.publisher(CompressedImage, '/image/compressed')
        for message in messages:
            for _ in range(20):  # the first ones may come before everybody has found everybody
                images.publish(message)
                try:
                    for kept in live.values():
                        received(kept, message.header, timeout=2.0)
                except AssertionError:
                    continue
                break
    finally:
        graph.close()

    found = 0
    for topic, kept in live.items():
        assert [m.header for m in offline[topic]] == [m.header for m in messages]
        for message, result in zip(messages, offline[topic], strict=True):
            alike = received(kept, message.header)
            if topic == '/features':
                for name in OF_THE_SENDER:
                    setattr(alike, name, getattr(result, name))
            assert alike == result
            found += len(getattr(result, 'detections', ()))
    assert found
    for topic, kept in labels.items():
        (label,) = offline[topic]
        assert label.class_map == kept[0].class_map
        assert label.threshold == kept[0].threshold
