# SPDX-License-Identifier: Apache-2.0
"""The first switch to local answers: what it needs is loaded beside the node, which goes on."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from mtl_split.msg import FrameStatus
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from tests.ros.harness import (
    PATIENCE_S,
    Diagnostics,
    Graph,
    NodeProcess,
    header,
    image_msg,
    wait_for,
)
from tests.ros.scene import once_and_in_order
from tests.tiny_bundle import street_image
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle

pytestmark = pytest.mark.ros

# one after the other over all tests: an answer to an earlier one's image is none to this one's
NUMBERS = count()
BACKEND = '''
import time
from pathlib import Path
from mtl_split_core.errors import BackendError
from mtl_split_core.ort_backend import OnnxRuntimeBackend

class Gated:
    """Loads a tail once its gate is there; what is written on the gate is an error."""

    def load(self, path, options):
        if path.name == 'tail.onnx':
            gate = Path(__file__).with_name('gate')
            (gate.parent / 'asked').touch()
            while not gate.exists():
                time.sleep(0.01)
            if words := gate.read_text():
                raise BackendError(words)
        return OnnxRuntimeBackend().load(path, options)
'''


@dataclass
class Scene:
    """An edge whose tail waits for a gate, a server, a camera, and what comes out."""

    graph: Graph
    edge: NodeProcess
    place: Path
    gate: Path
    images: Publisher
    statuses: list[FrameStatus]
    detections: list[Detection2DArray]
    sent: list[Header]
    numbers: Iterator[int]

    def send(self) -> None:
        number = next(self.numbers)
        self.sent.append(header(number))
        self.images.publish(image_msg(street_image(120, 50, number), self.sent[-1]))

    def until(self, outcome: int, mode: str, frames: int = 5) -> None:
        """Send images until so many in a row had this fate in this mode."""
        wanted = [(outcome, mode)] * frames
        first = len(self.statuses)

        def came() -> bool:
            self.send()
            time.sleep(0.03)
            newest = self.statuses[first:][-frames:]
            return [(status.outcome, status.mode) for status in newest] == wanted

        wait_for(came, f'{frames} images of fate {outcome} in mode {mode}')

    def open(self, words: str = '') -> None:
        written = self.gate.with_name('written')
        written.write_text(words)
        written.rename(self.gate)


@pytest.fixture(scope='module')
def server(graph: Graph, tiny_bundle: Bundle) -> NodeProcess:
    return graph.start('server', bundle=tiny_bundle.path)


@pytest.fixture
def scene(
    graph: Graph,
    server: NodeProcess,
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    place, plugin = tmp_path / 'bundle', tmp_path / 'plugin'
    shutil.copytree(tiny_bundle.path, place)
    metadata = plugin / 'gated-1.0.dist-info'
    metadata.mkdir(parents=True)
    (plugin / 'gated.py').write_text(BACKEND)
    (metadata / 'METADATA').write_text('Metadata-Version: 2.1\nName: gated\nVersion: 1.0\n')
    (metadata / 'entry_points.txt').write_text('[mtl_split.backends]\ngated = gated:Gated\n')
    monkeypatch.setenv('PYTHONPATH', f'{plugin}{os.pathsep}{os.environ.get("PYTHONPATH", "")}')
    period = {'diagnostic_updater.period': 0.1}
    edge = graph.start('edge', bundle=place, backend='gated', **period).ready()
    server.ready()
    yield Scene(
        graph,
        edge,
        place,
        plugin / 'gate',
        graph.publisher(Image, 'image'),
        graph.record(FrameStatus, 'frame_status'),
        graph.record(Detection2DArray, 'detections'),
        [],
        NUMBERS,
    )
    assert edge.end() == 0
    name = ('edge', '/')
    wait_for(lambda: name not in graph.node.get_node_names_and_namespaces(), 'its end')


def test_frames_go_on_until_the_tail_is_there(scene: Scene, diagnostics: Diagnostics) -> None:
    scene.until(FrameStatus.ANSWERED_BY_SERVER, 'split')
    # the answer comes while the tail waits for its gate
    assert scene.graph.set('edge', mode='local')[0].successful
    wait_for((scene.gate.parent / 'asked').exists, 'the tail to be asked for')
    scene.until(FrameStatus.ANSWERED_BY_SERVER, 'split')
    wait_for(lambda: 'being loaded' in diagnostics.values('edge: answers'), 'a word about it')
    # asking twice, or for something else meanwhile, changes nothing
    assert scene.graph.set('edge', mode='local', rate=0)[0].successful
    scene.until(FrameStatus.ANSWERED_BY_SERVER, 'split')
    assert scene.statuses[-1].way == 'split:0'
    scene.open()
    scene.until(FrameStatus.ANSWERED_BY_EDGE, 'local')
    wait_for(lambda: 'being loaded' not in diagnostics.values('edge: answers'), 'its end')
    assert scene.graph.set('edge', mode='split')[0].successful
    scene.until(FrameStatus.ANSWERED_BY_SERVER, 'split')
    once_and_in_order(scene.detections, scene.sent)
    stamps = [status.header.stamp.sec for status in scene.statuses]
    assert len(stamps) == len(set(stamps))


def test_a_tail_that_does_not_load_is_said_and_can_be_asked_for_again(
    scene: Scene, diagnostics: Diagnostics
) -> None:
    scene.open('the tail is upside down: turn it')
    scene.until(FrameStatus.ANSWERED_BY_SERVER, 'split')
    assert scene.graph.set('edge', mode='local')[0].successful
    said = 'mode local cannot begin, mode split goes on: the tail is upside down: turn it; then'
    diagnostics.message_with('edge: answers', said)
    scene.until(FrameStatus.ANSWERED_BY_SERVER, 'split')
    scene.open()
    assert scene.graph.set('edge', mode='local')[0].successful
    scene.until(FrameStatus.ANSWERED_BY_EDGE, 'local')
    once_and_in_order(scene.detections, scene.sent)


def test_another_bundle_comes_while_the_tail_is_loaded(scene: Scene, other_bundle: Bundle) -> None:
    scene.until(FrameStatus.ANSWERED_BY_SERVER, 'split')
    assert scene.graph.set('edge', mode='local')[0].successful
    wait_for((scene.gate.parent / 'asked').exists, 'the tail to be asked for')
    shutil.rmtree(scene.place)
    shutil.copytree(other_bundle.path, scene.place)
    answer = scene.graph.call(Trigger, 'edge/reload_bundle', Trigger.Request())
    assert answer.success, answer.message
    scene.open()
    # the tail that was asked for does not belong to this encoder any more
    scene.until(FrameStatus.ANSWERED_BY_EDGE, 'local')
    once_and_in_order(scene.detections, scene.sent)


def test_the_end_waits_for_the_tail(scene: Scene) -> None:
    """A process that ends inside the library that loads a network is aborted by it."""
    assert scene.graph.set('edge', mode='local')[0].successful
    wait_for((scene.gate.parent / 'asked').exists, 'the tail to be asked for')
    scene.edge.process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        scene.edge.process.wait(1.0)
    scene.open()
    assert scene.edge.process.wait(PATIENCE_S) == 0
    assert 'Traceback' not in scene.edge.log
