# SPDX-License-Identifier: Apache-2.0
"""Starting, ending, starting again, and what a node says when it cannot start."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mtl_split.msg import SplitContract
from sensor_msgs.msg import Image
from tests.allowance import within
from tests.ros.harness import (
    LATCHED,
    PATIENCE_S,
    SCRIPTS,
    Graph,
    NodeProcess,
    header,
    image_msg,
    wait_for,
)
from tests.tiny_bundle import street_image
from vision_msgs.msg import Detection2DArray, LabelInfo

from mtl_split_core.bundle import Bundle

pytestmark = pytest.mark.ros


def test_server_and_edge_may_start_again(graph: Graph, tiny_bundle: Bundle) -> None:
    edge = graph.start('edge', bundle=tiny_bundle.path)
    server = graph.start('server', bundle=tiny_bundle.path)
    edge.ready()
    server.ready()
    images = graph.publisher(Image, 'image')
    detections = graph.record(Detection2DArray, 'detections')
    contracts = graph.record(SplitContract, 'contract', LATCHED)
    infos = graph.record(LabelInfo, 'segmentation/label_info', LATCHED)
    number = 0

    def answered() -> bool:
        nonlocal number
        number += 1
        images.publish(image_msg(street_image(96, 64), header(number)))
        time.sleep(0.05)
        return bool(detections)

    wait_for(answered, 'an answer')
    for node in (edge, server):
        assert 'libtorch' not in node.maps()
        assert 'libonnxruntime' in node.maps() or 'onnxruntime' in node.maps()

    assert server.end(signal.SIGINT) == 0
    detections.clear()
    infos.clear()
    graph.start('server', bundle=tiny_bundle.path).ready()
    wait_for(answered, 'an answer of the new server')
    wait_for(lambda: infos, 'the label info of the new server')

    assert edge.end(signal.SIGTERM) == 0
    first = contracts[-1].session
    detections.clear()
    graph.start('edge', bundle=tiny_bundle.path).ready()
    wait_for(answered, 'an answer to the new edge')
    wait_for(lambda: contracts[-1].session != first, 'the contract of the new edge')
    assert 'Traceback' not in edge.log + server.log


@pytest.mark.parametrize('name', ['edge', 'server'])
@pytest.mark.parametrize('delay', [0.0, 0.3])
def test_ctrl_c_while_starting(graph: Graph, tiny_bundle: Bundle, name: str, delay: float) -> None:
    node = graph.start(name, bundle=tiny_bundle.path)
    # the interpreter itself handles SIGINT only
    wait_for(lambda: node.catches(signal.SIGTERM), 'the program to begin')
    time.sleep(delay)
    began = time.monotonic()
    assert node.end(signal.SIGINT) == 0
    assert time.monotonic() - began < within(2.0)
    assert 'Traceback' not in node.log


@pytest.mark.parametrize('name', ['edge', 'server'])
def test_the_programs_run_as_module_and_by_their_run_bit(name: str, tmp_path: Path) -> None:
    assert os.access(SCRIPTS / name, os.X_OK)
    arguments = ['-m', f'mtl_split_{name}', '--ros-args', '-p', f'bundle:={tmp_path}']
    node = NodeProcess(arguments, 1, tmp_path / 'log')
    assert node.process.wait(PATIENCE_S) == 2
    assert node.log.startswith(f'{name}: ')


@pytest.mark.parametrize('name', ['edge', 'server'])
@pytest.mark.parametrize(
    ('words', 'status', 'line'),
    [(['--help'], 0, 'usage: '), (['--rate', '1'], 2, "unknown argument '--rate'; usage: ")],
)
def test_arguments_that_ros_does_not_know(
    name: str, words: list[str], status: int, line: str
) -> None:
    """A parameter that is given without --ros-args would be passed over in silence."""
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / name), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert line in done.stdout + done.stderr


@pytest.mark.parametrize('name', ['edge', 'server'])
@pytest.mark.parametrize('path', [str(SCRIPTS.parent / 'src'), ''])
def test_a_shell_that_has_sourced_nothing(name: str, path: str) -> None:
    """As with a Python that does not see the virtual environment: one line, and what helps."""
    python = getattr(sys, '_base_executable', sys.executable)
    done = subprocess.run(
        [python, str(SCRIPTS / name)],
        env={'PATH': os.defpath, 'PYTHONPATH': path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f'{name}: No module named ')
    assert 'source ros2_ws/env.sh' in done.stderr
    assert done.stderr.count('\n') == 1


@pytest.mark.parametrize(
    ('parameters', 'line'),
    [
        ({'bundle': '/nowhere/tiny'}, '/nowhere/tiny'),
        ({'rate': 7}, 'rate is 7; bundle tiny has rates 0 to 1'),
        ({'codec': 'zip'}, "codec is 'zip'; choose one of: entropy, float16, lossless"),
        ({'threads': 0}, 'threads'),
        ({'rate': 'fast'}, 'rate'),
        ({'backend': 'abacus'}, "backend 'abacus'"),
        ({'providers': "['Abacus']"}, 'Abacus'),
    ],
)
def test_an_edge_that_cannot_start_says_why_in_one_line(
    graph: Graph, tiny_bundle: Bundle, parameters: dict[str, object], line: str
) -> None:
    node = graph.start('edge', **{'bundle': tiny_bundle.path, **parameters})
    assert node.process.wait(PATIENCE_S) == 2
    assert line in node.log
    assert node.log.startswith('edge: ')
    assert node.log.count('\n') == 1


def test_a_server_with_a_broken_bundle(graph: Graph, tiny_bundle: Bundle, tmp_path: Path) -> None:
    for file in tiny_bundle.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / 'tail.onnx').write_bytes(b'broken')
    node = graph.start('server', bundle=tmp_path)
    assert node.process.wait(PATIENCE_S) == 2
    assert node.log.startswith('server: ')
    assert 'tail.onnx' in node.log
    assert node.log.count('\n') == 1
