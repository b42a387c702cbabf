# SPDX-License-Identifier: Apache-2.0
"""`ros2 param` and `ros2 service call` of the documents, asked of running nodes as written.

The program `ros2` is not everywhere; what it sends is: the values are read by the parser that it
uses.
"""

import shutil
import time
from pathlib import Path

import pytest
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters
from rclpy.parameter import get_parameter_value, parameter_value_to_python
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from tests.docs.test_commands import PAGES, ROOT, blocks, commands
from tests.ros.harness import Graph, header, image_msg, wait_for
from tests.tiny_bundle import street_image
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle

pytestmark = pytest.mark.ros(beside=True)

ASKED = [
    pytest.param(words[1:], id=f'{page.relative_to(ROOT)}: {" ".join(words)}')
    for page in PAGES
    for block in blocks(page)
    for words in commands(block)
    if words[:2] in (['ros2', 'param'], ['ros2', 'service'])
]


@pytest.fixture(scope='module')
def nodes(graph: Graph, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """Edge and server."""
    place = tmp_path_factory.mktemp('named') / 'bundle'
    shutil.copytree(tiny_bundle.path, place)
    shots = tmp_path_factory.mktemp('shots')
    started = [graph.start(name, bundle=place, snapshot_dir=shots) for name in ('edge', 'server')]
    for node in started:
        node.ready()
    return graph


def answer_a_frame(graph: Graph) -> None:
    """So that there is something to look at."""
    images = graph.publisher(Image, 'image')
    with graph.recording(Detection2DArray, 'detections') as answers:

        def answered() -> bool:
            images.publish(image_msg(street_image(96, 64), header(1)))
            time.sleep(0.05)
            return bool(answers)

        wait_for(answered, 'an answer')
    graph.node.destroy_publisher(images)


@pytest.mark.parametrize('words', ASKED)
def test_nodes_do_it(nodes: Graph, words: list[str]) -> None:
    match words:
        case ['param', 'set', node, name, value]:
            typed = parameter_value_to_python(get_parameter_value(value))
            (result,) = nodes.set(node.lstrip('/'), **{name: typed})
            assert result.successful, result.reason
        case ['param', 'get', node, name]:
            request = GetParameters.Request(names=[name])
            found = nodes.call(GetParameters, f'{node}/get_parameters', request)
            assert found.values[0].type
        case ['param', 'list', node]:
            found = nodes.call(ListParameters, f'{node}/list_parameters', ListParameters.Request())
            assert 'score_thresholds' in found.result.names
        case ['param', 'describe', node, name]:
            request = DescribeParameters.Request(names=[name])
            found = nodes.call(DescribeParameters, f'{node}/describe_parameters', request)
            assert found.descriptors[0].description
        case ['param', 'dump', node]:
            # tests/ros/test_live.py starts a node by what it prints
            assert node in ('/edge', '/server')
        case ['service', 'call', name, 'std_srvs/srv/Trigger']:
            answer_a_frame(nodes)
            answer = nodes.call(Trigger, name, Trigger.Request())
            assert answer.success, answer.message
            assert 'snapshot' not in name or Path(answer.message).is_dir()
        case _:
            pytest.fail(f'this test does not know: {words}')


def test_there_are_some() -> None:
    assert len(ASKED) >= 8
