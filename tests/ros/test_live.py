# SPDX-License-Identifier: Apache-2.0
"""What can be set on a running node, over the parameter services, and what becomes of it."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rcl_interfaces.msg import ParameterDescriptor, ParameterType
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters
from rclpy.parameter import get_parameter_value, parameter_value_to_python
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from tests.ros.harness import (
    LATCHED,
    Diagnostics,
    Graph,
    header,
    image_msg,
    wait_for,
)
from tests.tiny_bundle import DETECTION_CLASSES, street_image
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo

from mtl_split_core.bundle import Bundle
from mtl_split_edge.parameters import EDGE_PARAMETERS
from mtl_split_ros.parameters import ParameterSpec
from mtl_split_server.parameters import SERVER_PARAMETERS

pytestmark = pytest.mark.ros(beside=True)

NODES = {'edge': EDGE_PARAMETERS, 'server': SERVER_PARAMETERS}
WAYS = {'server': 'split', 'edge': 'local'}


def values_of(graph: Graph, node: str) -> dict[str, Any]:
    """All parameters of a running node."""
    listed = graph.call(ListParameters, f'{node}/list_parameters', ListParameters.Request())
    names = sorted(listed.result.names)
    request = GetParameters.Request(names=names)
    found = graph.call(GetParameters, f'{node}/get_parameters', request).values
    values = {}
    for name, value in zip(names, found, strict=True):
        plain = parameter_value_to_python(value)
        values[name] = plain if isinstance(plain, str | bool | int | float) else list(plain)
    return values


def dump(graph: Graph, node: str) -> str:
    """What `ros2 param dump` prints, made the way its source makes it (ros2param/verb/dump.py)."""
    tree: dict[str, Any] = {}
    for name, value in values_of(graph, node).items():
        place = tree
        *above, last = name.split('.')
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return yaml.dump({node: {'ros__parameters': tree}}, default_flow_style=False)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both nodes, and an image publisher."""

    graph: Graph
    images: Publisher
    numbers: Iterator[int]

    def send(self) -> None:
        number = next(self.numbers)
        self.images.publish(image_msg(street_image(120, 50, 3), header(number)))

    def answers(self, messages: list[Any]) -> Any:
        """Send images until one is answered on a topic; return that answer."""
        before = len(messages)

        def came() -> bool:
            self.send()
            time.sleep(0.05)
            return len(messages) > before

        wait_for(came, 'an answer')
        return messages[-1]


@pytest.fixture(scope='module')
def pair(graph: Graph, tiny_bundle: Bundle) -> Pair:
    for name in NODES:
        graph.start(name, bundle=tiny_bundle.path, **{'diagnostic_updater.period': 0.1}).ready()
    return Pair(graph, graph.publisher(Image, 'image'), iter(range(10**6)))


@pytest.fixture(params=WAYS)
def answerer(request: pytest.FixtureRequest, pair: Pair) -> str:
    """The node that answers: server or edge."""
    node = str(request.param)
    pair.graph.mode(WAYS[node], pair.send)
    return node


def other_value(spec: ParameterSpec) -> object:
    """Another allowed value of a live parameter."""
    special = {
        'score_thresholds': ['car:0.5'],
        'classes': ['car'],
        'mask_smoothing': 3,
        'rate': 1,
    }
    if spec.name in special:
        return special[spec.name]
    if spec.choices:
        return spec.choices[-1] if spec.name != 'mode' else 'remote'
    assert isinstance(spec.default, float)
    return spec.default + 0.5


def wrong_values(spec: ParameterSpec) -> dict[str, object]:
    """Values that a live parameter must refuse, by a word that the refusal must have."""
    special: dict[str, dict[str, object]] = {
        'score_thresholds': {
            'it has: car, pedestrian, bicyclist, sign': ['bus:0.5'],
            'NAME:VALUE': ['car'],
            '0 to 1': ['car:7'],
        },
        'classes': {'it has: car, pedestrian, bicyclist, sign': ['car', 'bus']},
        'mask_smoothing': {'odd size': 4, 'out of range': 33},
        'rate': {'rates 0 to 1': 2, 'out of range': 300},
    }
    if spec.name in special:
        return special[spec.name]
    if spec.choices:
        return {f'choose one of: {spec.allowed()}': 'nonsense'}
    assert spec.limits
    return {'out of range': spec.limits[1] + 1.0, 'value: nan': math.nan}


@pytest.mark.parametrize('node', NODES)
def test_descriptors_on_the_graph(pair: Pair, node: str) -> None:
    specs = {spec.name: spec for spec in NODES[node]}
    request = DescribeParameters.Request(names=list(specs))
    answer = pair.graph.call(DescribeParameters, f'{node}/describe_parameters', request)
    assert len(answer.descriptors) == len(specs)
    for spec, found in zip(specs.values(), answer.descriptors, strict=True):
        descriptor: ParameterDescriptor = found
        assert descriptor.description == spec.text
        assert descriptor.read_only is not spec.live
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        assert bool(ranges) == bool(spec.limits)
        for found in ranges:
            assert (found.from_value, found.to_value) == spec.limits
        if spec.choices or spec.form:
            assert spec.allowed() in descriptor.additional_constraints
        assert descriptor.type != ParameterType.PARAMETER_NOT_SET


@pytest.mark.parametrize('node', NODES)
def test_each_parameter_is_set_or_refused(pair: Pair, node: str) -> None:
    for spec in NODES[node]:
        default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
        if not spec.live:
            (result,) = pair.graph.set(node, **{spec.name: default})
            assert not result.successful
            assert f'read-only parameter: {spec.name}' in result.reason
            continue
        before = values_of(pair.graph, node)[spec.name]
        for words, value in wrong_values(spec).items():
            (result,) = pair.graph.set(node, **{spec.name: value})
            assert not result.successful, (spec.name, value)
            assert words in result.reason
            assert spec.name in result.reason
        wrong_type = 7 if isinstance(default, str) else 'seven'
        (result,) = pair.graph.set(node, **{spec.name: wrong_type})
        assert not result.successful
        assert 'Wrong parameter type, expected' in result.reason
        assert values_of(pair.graph, node)[spec.name] == before
        for value in (other_value(spec), before):
            (result,) = pair.graph.set(node, **{spec.name: value})
            assert result.successful, result.reason
            assert values_of(pair.graph, node)[spec.name] == value


def test_a_list_as_it_is_typed() -> None:
    """`ros2 param set /server score_thresholds "[car:0.5, sign:0.2]"`, by the parser it uses."""
    for typed, value in {
        '[car:0.5, sign:0.2]': ['car:0.5', 'sign:0.2'],
        "['']": [''],
        '[car]': ['car'],
    }.items():
        assert parameter_value_to_python(get_parameter_value(typed)) == value


def test_boxes_by_class(pair: Pair, answerer: str) -> None:
    graph = pair.graph
    with (
        graph.recording(Detection2DArray, 'detections') as boxes,
        graph.recording(LabelInfo, 'detections/label_info', LATCHED) as labels,
    ):

        def seen() -> dict[str, float]:
            lowest: dict[str, float] = {}
            for detection in pair.answers(boxes).detections:
                found = detection.results[0].hypothesis
                lowest[found.class_id] = min(lowest.get(found.class_id, 1.0), found.score)
            return lowest

        assert graph.set(answerer, score_threshold=0.01)[0].successful
        plain = wait_for(lambda: len(found := seen()) > 1 and found, 'boxes of two classes')
        name, other = sorted(plain)[:2]
        threshold = f'{name}:{plain[name] + 1e-3}'
        assert graph.set(answerer, score_thresholds=[threshold])[0].successful
        wait_for(lambda: seen().get(name, 1.0) > plain[name] + 1e-3, 'fewer boxes')
        assert seen()[other] == plain[other]
        assert graph.set(answerer, classes=[name], score_thresholds=[f'{name}:0.02'])[0].successful
        wait_for(lambda: set(seen()) == {name}, 'boxes of one class')
        wait_for(lambda: labels[-1].threshold == pytest.approx(0.02), 'the label info')
        everything = {'classes': [''], 'score_thresholds': [''], 'score_threshold': -1.0}
        assert all(result.successful for result in graph.set(answerer, **everything))


def test_smooth_mask(pair: Pair, answerer: str) -> None:
    graph = pair.graph
    with graph.recording(Image, 'segmentation/mask') as masks:

        def mask() -> np.ndarray:
            message = pair.answers(masks)
            return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)

        rough = mask()
        assert graph.set(answerer, mask_smoothing=31)[0].successful
        edges = int((rough[:, 1:] != rough[:, :-1]).sum())

        def smooth() -> bool:
            now = mask()
            return int((now[:, 1:] != now[:, :-1]).sum()) < edges

        wait_for(smooth, 'a smoother mask')
        assert graph.set(answerer, mask_smoothing=0)[0].successful
        wait_for(lambda: np.array_equal(mask(), rough), 'the mask as it was')


def test_a_head_that_nobody_subscribes_costs_nothing(
    pair: Pair, answerer: str, diagnostics: Diagnostics
) -> None:
    """Messages are made for those that listen; the frames count as answered all the same."""
    graph = pair.graph
    part = 'server: results' if answerer == 'server' else 'edge: answers'
    topics = ('detections', 'segmentation/mask', 'segmentation/color', 'classification')
    idle = (*(f'published {topic}' for topic in topics[:3]), 'computed detection')
    idle += ('computed segmentation',)
    busy = ('published classification', 'computed time_of_day')

    def counts(keys: tuple[str, ...]) -> list[int]:
        values = diagnostics.values(part)
        return [int(values[key]) for key in keys]

    def answered() -> int:
        key = 'answered' if answerer == 'server' else 'answered by edge'
        return int(diagnostics.values(part)[key])

    wait_for(lambda: idle[0] in diagnostics.values(part), 'the counts')
    with graph.recording(Classification, 'classification') as classes:
        pair.answers(classes)
        for topic in topics[:3]:
            wait_for(lambda t=topic: not graph.node.count_subscribers(t), f'no reader of {topic}')
        # what was published while others still listened has to be in the diagnostics, too
        first = answered()
        pair.answers(classes)
        wait_for(lambda: answered() > first, 'fresh diagnostics')
        before, few = counts(idle), min(counts(busy))
        for _ in range(5):
            pair.answers(classes)
        wait_for(lambda: min(counts(busy)) >= few + 5, 'the counts to go on')
        assert counts(idle) == before
        with graph.recording(Detection2DArray, 'detections') as boxes:
            assert pair.answers(boxes).header.frame_id == 'front'
    wait_for(lambda: not graph.node.count_subscribers('classification'), 'nobody to listen')
    silent = answered()

    def more() -> bool:
        pair.send()
        time.sleep(0.05)
        return answered() >= silent + 3

    wait_for(more, 'frames that count as answered')


@pytest.mark.parametrize('node', NODES)
@pytest.mark.parametrize('form', ['dumped', '/**'])
def test_dump_and_load(
    graph: Graph, tiny_bundle: Bundle, tmp_path: Path, node: str, form: str
) -> None:
    space = f'/{form.strip("/*") or "any"}'
    given = {
        'score_thresholds': "['car:0.25', 'sign:0.75']",
        'classes': '[car]',
        'mask_smoothing': 5,
        'class_id': 'index',
        'qos_overrides./any/detections.publisher.depth': 1,
        'bundle': tiny_bundle.path,
    }
    first = graph.start(node, '-r', f'__ns:={space}', **given).ready()
    live = {'score_threshold': 0.125, 'score_thresholds': ['car:0.5']}
    assert all(result.successful for result in graph.set(f'{space}/{node}', **live))
    before = values_of(graph, f'{space}/{node}')
    assert before['score_thresholds'] == ['car:0.5']
    text = dump(graph, f'{space}/{node}')
    assert first.end() == 0
    # else the next request may go to the node that has ended
    old = (node, space)
    wait_for(lambda: old not in graph.node.get_node_names_and_namespaces(), 'its end')
    if form == '/**':
        text = text.replace(f'{space}/{node}:', "'/**':", 1)
    path = tmp_path / 'dumped.yaml'
    path.write_text(text)
    again = graph.start(node, '-r', f'__ns:={space}', '--params-file', str(path)).ready()
    assert values_of(graph, f'{space}/{node}') == before
    assert again.end() == 0


def test_a_wrong_class_at_the_start(graph: Graph, tiny_bundle: Bundle) -> None:
    for node in NODES:
        process = graph.start(node, bundle=tiny_bundle.path, classes='[bus]')
        wait_for(lambda p=process: not p.alive(), 'the node to end')
        assert process.end() == 2
        names = ', '.join(DETECTION_CLASSES)
        assert f"parameter classes: detection has no class 'bus'; it has: {names}" in process.log
        assert 'Traceback' not in process.log


def test_several_are_set_together_or_not_at_all(pair: Pair) -> None:
    results = pair.graph.set('server', class_id='index', classes=['bus'])
    assert [result.successful for result in results] == [True, False]
    assert pair.graph.set('server', class_id='name')[0].successful
