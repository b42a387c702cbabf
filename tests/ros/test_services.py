# SPDX-License-Identifier: Apache-2.0
"""The services of both nodes: another bundle without a restart, and a folder for a bug report."""

import shutil
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from mtl_split.msg import FeatureMap, SplitContract
from rclpy.publisher import Publisher
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from tests.made_profile import made_profile
from tests.ros.harness import (
    LATCHED,
    Diagnostics,
    Graph,
    NodeProcess,
    header,
    image_msg,
    received,
    wait_for,
)
from tests.ros.test_live import values_of
from tests.tiny_bundle import make_tiny_bundle, street_image
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.profile import machine_name, profile_path, save_profile

pytestmark = pytest.mark.ros(beside=True)

WIDTH, HEIGHT = 120, 50


def trigger(graph: Graph, name: str) -> tuple[bool, str]:
    """Call a service and return whether it did it, and what it says."""
    answer = graph.call(Trigger, name, Trigger.Request())
    return answer.success, answer.message


@dataclass(frozen=True, slots=True)
class Pair:
    """Both nodes on a bundle that can be replaced, an image publisher, and what comes out."""

    graph: Graph
    place: Path
    nodes: dict[str, NodeProcess]
    images: Publisher
    detections: list[Any]
    numbers: Iterator[int]

    def send(self) -> None:
        number = next(self.numbers)
        self.images.publish(image_msg(street_image(WIDTH, HEIGHT, number), header(number)))

    def answer(self) -> Any:
        """Send images until one is answered; return the answer."""
        before = len(self.detections)

        def came() -> bool:
            self.send()
            time.sleep(0.05)
            return len(self.detections) > before

        wait_for(came, 'an answer')
        return self.detections[-1]

    def put(self, bundle: Bundle, *, with_profile: bool = False) -> None:
        """Replace the bundle on the disk."""
        shutil.rmtree(self.place)
        shutil.copytree(bundle.path, self.place)
        if with_profile:
            profile = made_profile(bundle.fingerprint, rates=len(bundle.rates))
            save_profile(profile, self.place / profile_path(bundle, machine_name()).name)


@pytest.fixture(scope='module')
def pair(
    graph: Graph, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    place = tmp_path_factory.mktemp('replaced') / 'bundle'
    shutil.copytree(tiny_bundle.path, place)
    shots = tmp_path_factory.mktemp('shots')
    nodes = {
        node: graph.start(
            node,
            bundle=place,
            snapshot_dir=shots / node,
            score_threshold=0.05,
            **{'diagnostic_updater.period': 0.1},
        ).ready()
        for node in ('edge', 'server')
    }
    images = graph.publisher(Image, 'image')
    detections = graph.record(Detection2DArray, 'detections')
    yield Pair(graph, place, nodes, images, detections, iter(range(10**6)))
    assert all(node.alive() for node in nodes.values())


@pytest.fixture
def at_first(pair: Pair, tiny_bundle: Bundle) -> Pair:
    """Both nodes on the first bundle, the server answers."""
    pair.put(tiny_bundle)
    assert pair.graph.set('edge', mode='split')[0].successful
    for node in pair.nodes:
        done, text = trigger(pair.graph, f'{node}/reload_bundle')
        assert done, text
    return pair


def test_reload_of_another_bundle(
    at_first: Pair, other_bundle: Bundle, diagnostics: Diagnostics
) -> None:
    """One end alone is told apart by the fingerprint; then both go on, and the numbers, too."""
    graph, pair = at_first.graph, at_first
    contracts = graph.record(SplitContract, 'contract', LATCHED)
    features = graph.record(FeatureMap, 'features')
    pair.answer()
    pair.put(other_bundle)
    assert pair.answer()  # nothing changes by itself

    done, text = trigger(graph, 'edge/reload_bundle')
    assert (done, text) == (True, f'bundle other 1.0.0 ({other_bundle.fingerprint:016x})')
    wait_for(lambda: contracts[-1].fingerprint == other_bundle.fingerprint, 'the new contract')
    assert contracts[-1].session == contracts[0].session

    def refused() -> bool:
        pair.send()
        time.sleep(0.05)
        return 'refused: fingerprint' in diagnostics.values('server: features')

    wait_for(refused, 'frames of the other bundle to be refused')
    diagnostics.message_with('server: contract', 'give both the same bundle')
    diagnostics.message_with('edge: link', 'give both the same bundle')

    assert trigger(graph, 'server/reload_bundle') == (done, text)
    pair.answer()
    assert features[-1].fingerprint == other_bundle.fingerprint
    numbers = [m.sequence for m in features]
    # it is one stream, neither begun anew nor repeated
    assert all(0 < after - before < 100 for before, after in pairwise(numbers))
    stamps = [m.header.stamp.sec for m in pair.detections]
    assert stamps == sorted(set(stamps))
    diagnostics.message_with('server: contract', 'both ends run other')
    wait_for(
        lambda: diagnostics.status('edge: link').level == b'\0' or pair.send(), 'the link in order'
    )
    assert values_of(graph, 'edge')['bundle'] == str(pair.place)


def test_a_broken_bundle_leaves_the_old_one(at_first: Pair) -> None:
    graph, pair = at_first.graph, at_first
    for file, text in (('tail.onnx', 'damaged'), ('bundle.yaml', 'bundle')):
        path = pair.place / file
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        for node in pair.nodes:
            done, message = trigger(graph, f'{node}/reload_bundle')
            assert not done
            assert text in message
        assert pair.answer()
        path.write_bytes(whole)
    shutil.rmtree(pair.place)
    for node in pair.nodes:
        done, message = trigger(graph, f'{node}/reload_bundle')
        assert not done
        assert str(pair.place) in message
    pair.answer()
    pair.place.mkdir()


def test_a_bundle_that_does_not_fit_the_parameters(
    at_first: Pair, tmp_path: Path, other_bundle: Bundle
) -> None:
    graph, pair = at_first.graph, at_first
    names = ('car', 'bus', 'person', 'truck')
    renamed = make_tiny_bundle(tmp_path / 'renamed', seed=2, name='renamed', detection=names)
    assert graph.set('server', classes=['sign'])[0].successful
    pair.put(renamed)
    done, message = trigger(graph, 'server/reload_bundle')
    assert not done
    assert (
        "parameter classes: detection has no class 'sign'; it has: car, bus, person, truck"
        in message
    )
    assert graph.set('server', classes=[''])[0].successful
    pair.put(other_bundle)
    done, message = trigger(graph, 'server/reload_bundle')
    assert done, message


def test_local_answers_and_profile_are_loaded_again(at_first: Pair, other_bundle: Bundle) -> None:
    graph, pair = at_first.graph, at_first
    graph.mode('local', pair.send)
    pair.answer()
    pair.put(other_bundle)
    done, message = trigger(graph, 'edge/reload_bundle')
    assert done, message
    pair.answer()
    assert 'no profile' in graph.set('edge', mode='auto')[0].reason
    pair.put(other_bundle, with_profile=True)
    assert graph.set('edge', mode='auto')[0].successful
    pair.answer()
    pair.put(other_bundle)
    done, message = trigger(graph, 'edge/reload_bundle')
    assert not done
    assert 'no profile' in message
    pair.answer()
    pair.put(other_bundle, with_profile=True)
    done, message = trigger(graph, 'edge/reload_bundle')
    assert done, message
    pair.answer()


def snapshot(pair: Pair, node: str) -> Path:
    before = set(Path(values_of(pair.graph, node)['snapshot_dir']).glob('*'))
    done, text = trigger(pair.graph, f'{node}/snapshot')
    assert done, text
    folder = Path(text)
    assert folder in set(folder.parent.glob('*')) - before  # and others, where an answer was lost
    return folder


def check_features(folder: Path) -> FeatureMap:
    message = deserialize_message((folder / 'feature_map.cdr').read_bytes(), FeatureMap)
    assert zlib.crc32(message.data.tobytes()) == message.crc32
    document = yaml.safe_load((folder / 'feature_map.yaml').read_text())
    assert list(document) == list(FeatureMap.get_fields_and_field_types())
    assert document['crc32'] == message.crc32
    assert document['header']['stamp']['sec'] == message.header.stamp.sec
    assert document['data'] == f'{len(message.data)} numbers'
    return message


def test_snapshot_of_the_server(at_first: Pair) -> None:
    graph, pair = at_first.graph, at_first
    pair.answer()
    folder = snapshot(pair, 'server')
    names = {'feature_map.cdr', 'feature_map.yaml', 'overlay.png', 'parameters.yaml'}
    names |= {'diagnostics.yaml', 'versions.yaml', 'missing.txt'}
    assert {path.name for path in folder.iterdir()} == names
    assert 'image.png: comes with overlay' in (folder / 'missing.txt').read_text()
    assert cv2.imread(str(folder / 'overlay.png')).shape == (HEIGHT, WIDTH, 3)
    check_features(folder)
    with graph.recording(Image, 'overlay') as overlays:
        wait_for(lambda: overlays or pair.send() or time.sleep(0.05), 'an overlay')
        folder = snapshot(pair, 'server')
    assert {path.name for path in folder.iterdir()} == names - {'missing.txt'} | {'image.png'}
    message = check_features(folder)
    expected = street_image(WIDTH, HEIGHT, message.header.stamp.sec - 1000)
    image = cv2.cvtColor(cv2.imread(str(folder / 'image.png')), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(image, expected)
    drawn = received(overlays, message.header)
    overlay = cv2.cvtColor(cv2.imread(str(folder / 'overlay.png')), cv2.COLOR_BGR2RGB)
    assert overlay.tobytes() == drawn.data.tobytes()
    diagnostics = yaml.safe_load((folder / 'diagnostics.yaml').read_text())
    assert {status['name'] for status in diagnostics['status']} >= {'server: features'}


def test_snapshot_of_the_edge(at_first: Pair) -> None:
    graph, pair = at_first.graph, at_first
    pair.answer()
    folder = snapshot(pair, 'edge')
    message = check_features(folder)
    image = cv2.cvtColor(cv2.imread(str(folder / 'image.png')), cv2.COLOR_BGR2RGB)
    expected = street_image(WIDTH, HEIGHT, message.header.stamp.sec - 1000)
    np.testing.assert_array_equal(image, expected)
    graph.mode('local', pair.send)
    pair.answer()
    folder = snapshot(pair, 'edge')
    assert cv2.imread(str(folder / 'overlay.png')).shape == (HEIGHT, WIDTH, 3)
    assert 'of an earlier image' in (folder / 'missing.txt').read_text()


def test_the_parameters_of_a_snapshot_start_a_node(at_first: Pair) -> None:
    pair = at_first
    pair.answer()
    folder = snapshot(pair, 'server')
    before = values_of(pair.graph, 'server')
    text = (folder / 'parameters.yaml').read_text()
    document = yaml.safe_load(text)
    assert list(document) == ['/server']
    path = folder / 'moved.yaml'
    path.write_text(text.replace('/server:', '/**:', 1))
    process = pair.graph.start('server', '-r', '__ns:=/copy', '--params-file', str(path)).ready()
    after = values_of(pair.graph, '/copy/server')
    assert {name: after[name] for name in before if not name.startswith('qos')} == {
        name: value for name, value in before.items() if not name.startswith('qos')
    }
    assert process.end() == 0
