# SPDX-License-Identifier: Apache-2.0
"""A reader that is slow, a socket that is full: the edge goes on taking images."""

import threading
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.publisher import Publisher
from tests.domains import own_domain
from tests.ros.harness import PATIENCE_S, header, image_msg, wait_for
from tests.tiny_bundle import street_image

from mtl_split_core.bundle import Bundle
from mtl_split_edge.node import EdgeNode

pytestmark = pytest.mark.ros
IMAGES = 30


@pytest.fixture
def edge(tiny_bundle: Bundle) -> Iterator[EdgeNode]:
    rclpy.init(args=['--ros-args', '-p', f'bundle:={tiny_bundle.path}'], domain_id=own_domain())
    node = EdgeNode()
    yield node
    node.destroy_node()
    rclpy.shutdown()


def test_no_callback_waits_for_a_publish_that_blocks(
    edge: EdgeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, waiting = threading.Event(), set[str]()
    publish = Publisher.publish

    def blocked(publisher: Publisher, message: object) -> None:
        waiting.add(publisher.topic_name)
        gate.wait(PATIENCE_S)
        publish(publisher, message)

    def callbacks() -> None:
        for number in range(IMAGES):
            edge._on_image(image_msg(street_image(64, 48), header(number)))
            for timer in edge.timers:
                timer.callback()

    monkeypatch.setattr(Publisher, 'publish', blocked)
    edge._on_image(image_msg(street_image(64, 48), header(-1)))
    wait_for(lambda: '/features' in waiting, 'the worker to be held up')
    executor = threading.Thread(target=callbacks, daemon=True)
    executor.start()
    executor.join(PATIENCE_S / 2)
    done = not executor.is_alive()
    gate.set()
    executor.join(PATIENCE_S)
    assert done
    assert edge._figures.replaced == IMAGES - 1
