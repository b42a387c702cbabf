# SPDX-License-Identifier: Apache-2.0
"""The image subscription asks for what its publishers offer, and follows when they change."""

import time

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from tests.ros.harness import (
    BEST_EFFORT,
    RELIABLE,
    Diagnostics,
    Graph,
    NodeProcess,
    header,
    image_msg,
    wait_for,
)
from tests.tiny_bundle import street_image

from mtl_split_core.bundle import Bundle

pytestmark = pytest.mark.ros

LARGE = street_image(1280, 720)
"""Five times what Fast DDS gives a publisher of shared memory by default."""
COUNT, PERIOD_S = 30, 0.1


@pytest.fixture(scope='module')
def edge(graph: Graph, tiny_bundle: Bundle) -> NodeProcess:
    return graph.start('edge', bundle=tiny_bundle.path).ready()


def values(diagnostics: Diagnostics) -> dict[str, str]:
    return diagnostics.values('edge: image')


def test_it_follows_the_publishers(
    graph: Graph, diagnostics: Diagnostics, edge: NodeProcess
) -> None:
    """Each is heard, the one that was there first and the one that came later."""

    def wanted(reliability: str) -> None:
        wait_for(lambda: values(diagnostics)['reliability'] == reliability, reliability)

    def heard(publisher: Publisher) -> None:
        before = int(values(diagnostics)['received'])

        def more() -> bool:
            publisher.publish(image_msg(street_image(90, 70), header(before)))
            time.sleep(0.05)
            return int(values(diagnostics)['received']) > before

        wait_for(more, 'an image')

    wanted('best_effort')
    careful = graph.publisher(Image, '/image', RELIABLE)
    wanted('reliable')
    heard(careful)
    careless = graph.node.create_publisher(Image, '/image', BEST_EFFORT)
    wanted('best_effort')
    heard(careless)
    heard(careful)
    graph.node.destroy_publisher(careless)
    wanted('reliable')
    heard(careful)
    graph.node.destroy_publisher(careful)
    careless = graph.node.create_publisher(Image, '/image', BEST_EFFORT)
    wanted('best_effort')
    heard(careless)
    graph.node.destroy_publisher(careless)
    # one that does not match at first is matched then, and nobody is told to change anything
    assert 'offers an incompatible QoS' not in edge.log


def test_no_large_image_is_lost_where_both_sides_are_reliable(
    graph: Graph, diagnostics: Diagnostics, edge: NodeProcess
) -> None:
    assert edge.alive()
    publisher = graph.publisher(Image, '/image', RELIABLE)
    wait_for(lambda: values(diagnostics)['reliability'] == 'reliable', 'reliable')
    before = values(diagnostics)
    message = image_msg(LARGE, header(0))
    for number in range(COUNT):
        message.header = header(3000 + number)
        publisher.publish(message)
        time.sleep(PERIOD_S)

    def received() -> int:
        return int(values(diagnostics)['received']) - int(before['received'])

    # a busy machine may take a newer one before an older one was read
    wait_for(lambda: received() >= 0.8 * COUNT, 'most of the images')
    graph.node.destroy_publisher(publisher)


def test_those_that_best_effort_loses_are_counted_and_said(
    graph: Graph, diagnostics: Diagnostics, tiny_bundle: Bundle
) -> None:
    """At once, also after a silence. The standard parameter of the topic wins over the node's."""
    override = 'qos_overrides./rear/image.subscription.reliability:=best_effort'
    arguments = ('-r', '__ns:=/rear', '-p', override)
    edge = graph.start('edge', *arguments, bundle=tiny_bundle.path, image_reliability='reliable')
    edge.ready()
    wait_for(lambda: 'no message on /rear/image' in edge.log, 'the silence')
    publisher = graph.publisher(Image, '/rear/image', RELIABLE)
    message = image_msg(LARGE, header(0))

    def said() -> bool:
        publisher.publish(message)
        time.sleep(PERIOD_S)
        return 'lost on their way here' in diagnostics.status('rear/edge: image').message

    wait_for(said, 'the losses')
    found = diagnostics.values('rear/edge: image')
    assert found['reliability'] == 'best_effort'
    assert int(found['lost on the way']) > 0
    wait_for(lambda: 'let both sides be reliable' in edge.log, 'the line in the log')
    graph.node.destroy_publisher(publisher)


def test_a_server_goes_on_without_images_that_it_cannot_subscribe(
    graph: Graph, diagnostics: Diagnostics, tiny_bundle: Bundle
) -> None:
    """Which it finds out once somebody subscribes `overlay`, long after its start."""
    override = 'qos_overrides./odd/image.subscription.reliability:=nonsense'
    arguments = ('-r', '__ns:=/odd', '-p', override)
    server = graph.start('server', *arguments, bundle=tiny_bundle.path).ready()
    graph.record(Image, '/odd/overlay')
    wait_for(lambda: 'no overlay: topic' in server.log, 'the line')
    status = diagnostics.message_with('odd/server: overlay', 'no overlay: topic')
    assert 'correct its qos_overrides parameters' in status.message
    assert status.level == DiagnosticStatus.ERROR
    assert server.alive()
    assert server.log.count('no overlay: topic') == 1
