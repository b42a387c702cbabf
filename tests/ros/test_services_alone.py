# SPDX-License-Identifier: Apache-2.0
"""The services of nodes that have nobody: before a frame, without a place, for several cameras."""

import shutil
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from mtl_split.msg import FeatureMap
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import Image
from tests.ros.harness import Graph, header, image_msg, wait_for
from tests.ros.test_cameras import frame_of
from tests.ros.test_services import HEIGHT, WIDTH, check_features, trigger
from tests.tiny_bundle import street_image
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle

pytestmark = pytest.mark.ros(beside=True)


def test_before_the_first_frame(graph: Graph, tiny_bundle: Bundle, tmp_path: Path) -> None:
    texts = {'edge': 'no image has come yet on /new/image', 'server': 'awaited from /new/features'}
    for node, text in texts.items():
        process = graph.start(
            node, '-r', '__ns:=/new', bundle=tiny_bundle.path, snapshot_dir=tmp_path / 'shots'
        ).ready()
        done, message = trigger(graph, f'/new/{node}/snapshot')
        assert not done
        assert text in message
        assert process.end() == 0
    assert not list(tmp_path.glob('shots/*'))


def test_a_snapshot_that_cannot_be_written(
    graph: Graph, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    """The node goes on, and writes the next one where it can."""
    taken = tmp_path / 'taken'
    taken.write_text('')
    node = graph.start(
        'edge', '-r', '__ns:=/full', bundle=tiny_bundle.path, snapshot_dir=taken / 'shots'
    ).ready()
    images = graph.publisher(Image, '/full/image')
    features = graph.record(FeatureMap, '/full/features')

    def sent() -> bool:
        images.publish(image_msg(street_image(WIDTH, HEIGHT), header(1)))
        time.sleep(0.05)
        return bool(features)

    wait_for(sent, 'a frame')
    done, message = trigger(graph, '/full/edge/snapshot')
    assert not done
    assert 'correct the parameter snapshot_dir' in message
    taken.unlink()
    done, message = trigger(graph, '/full/edge/snapshot')
    assert done, message
    (folder,) = (taken / 'shots').iterdir()
    assert message == str(folder)
    versions = yaml.safe_load((folder / 'versions.yaml').read_text())
    assert versions['mtl-split'] == version('mtl-split')
    assert versions['middleware'] == get_rmw_implementation_identifier()
    # it never answered itself
    assert 'the server answers' in (folder / 'missing.txt').read_text()
    assert not (folder / 'overlay.png').exists()
    assert node.end() == 0


def test_several_cameras(
    graph: Graph, tiny_bundle: Bundle, other_bundle: Bundle, tmp_path: Path
) -> None:
    """All of them go over to the new bundle; a snapshot has a folder of each that had a frame."""
    place, names = tmp_path / 'bundle', ('front', 'left')
    shutil.copytree(tiny_bundle.path, place)
    node = graph.start(
        'server',
        *('-r', '__ns:=/many'),
        bundle=place,
        cameras=f'[{", ".join((*names, "rear"))}]',
        snapshot_dir=tmp_path / 'shots',
        feature_reliability='reliable',
    ).ready()
    senders = [graph.publisher(FeatureMap, f'/many/{name}/features') for name in names]
    lists = [graph.record(Detection2DArray, f'/many/{name}/detections') for name in names]
    for bundle in (tiny_bundle, other_bundle):
        shutil.rmtree(place)
        shutil.copytree(bundle.path, place)
        done, text = trigger(graph, '/many/server/reload_bundle')
        assert done, text
        frame = frame_of(bundle)
        for sender, answers in zip(senders, lists, strict=True):
            answers.clear()
            sent = partial(sender.publish, frame)
            wait_for(lambda a=answers, s=sent: a or s() or time.sleep(0.05), 'an answer')
        done, text = trigger(graph, '/many/server/snapshot')
        assert done, text
        folders = {path.name for path in Path(text).iterdir() if path.is_dir()}
        assert folders == set(names)
        for name in names:
            assert check_features(Path(text) / name).fingerprint == bundle.fingerprint
    assert node.end() == 0
