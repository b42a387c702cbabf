# SPDX-License-Identifier: Apache-2.0
"""The launch files, through the real `ros2 launch`."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.launch.launched import Launched

from mtl_split_core.bundle import Bundle

pytest.importorskip('ros2launch', reason='`ros2 launch` comes with an installed ROS 2 only')

FILES = ('edge_server', 'edge', 'server', 'replay')


def ros2(*arguments: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ['ros2', *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_executables(environment: dict[str, str]) -> None:
    found = ros2('pkg', 'executables', 'mtl_split', environment=environment)
    assert found.split('\n')[:2] == ['mtl_split edge', 'mtl_split server']


@pytest.mark.parametrize('name', FILES)
def test_arguments_are_static_and_described(name: str, environment: dict[str, str]) -> None:
    text = ros2('launch', 'mtl_split', f'{name}.launch.py', '--show-args', environment=environment)
    arguments = re.findall(
        r"^    '(\w+)':\n        (.+)\n        \(default: (.*)\)", text, re.MULTILINE
    )
    assert len(arguments) == text.count("':\n")
    assert all(
        description.strip() not in ('', 'no description given') for _, description, _ in arguments
    )
    assert not [default for *_, default in arguments if 'object at' in default]
    for argument, description, default in arguments:
        assert default not in ("'true'", "'false'") or 'Valid choices are' in description, argument


def test_both_sides_have_their_arguments(environment: dict[str, str]) -> None:
    text = ros2(
        'launch', 'mtl_split', 'edge_server.launch.py', '--show-args', environment=environment
    )
    names = re.findall(r"^    '(\w+)':", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert {
        'bag', 'bundle', 'cameras', 'class_id', 'codec', 'image_topic', 'image_transport',
        'log_level', 'namespace', 'params_file', 'rate', 'rviz', 'score_threshold', 'use_sim_time',
    } <= set(names)  # fmt: skip


@pytest.mark.ros
def test_arguments_reach_the_nodes(
    launched: Launched, environment: dict[str, str], tiny_bundle: Bundle, tmp_path: Path
) -> None:
    """An argument wins over params_file, which wins over the default."""
    params = tmp_path / 'params.yaml'
    params.write_text(
        '/**/edge: {ros__parameters: {rate: 0, codec: float16}}\n'
        '/**/server: {ros__parameters: {class_id: index}}\n'
    )
    launched.start(
        'edge_server.launch.py',
        f'bundle:={tiny_bundle.path}',
        'namespace:=front',
        'rate:=1',
        'score_threshold:=0.25',
        'mask_smoothing:=5',
        f'params_file:={params}',
        'use_sim_time:=true',
    )
    launched.wait_for('[front.edge]: ready', '[front.server]: ready')
    warned = re.findall(r'(\w+) is a parameter and no argument', launched.output)
    assert set(warned) == {'mask_smoothing'}
    wanted = {
        ('edge', 'rate'): '1',
        ('edge', 'codec'): 'float16',
        ('edge', 'image_transport'): 'raw',
        ('edge', 'use_sim_time'): 'True',
        ('edge', 'score_threshold'): '0.25',
        ('server', 'class_id'): 'index',
        ('server', 'score_threshold'): '0.25',
        ('server', 'mask_smoothing'): '0',
    }
    for (node, name), value in wanted.items():
        options = ('--no-daemon', '--spin-time', '3', f'/front/{node}', name)
        assert value in ros2('param', 'get', *options, environment=environment), (node, name)


@pytest.mark.ros
def test_cameras_get_an_edge_each_and_share_a_server(
    launched: Launched, environment: dict[str, str], tiny_bundle: Bundle, tmp_path: Path
) -> None:
    """What the file gives to one camera wins over an argument for all; results in namespaces."""
    cameras = tmp_path / 'cameras.yaml'
    cameras.write_text('front: {rate: 0, image_topic: /image}\nleft: {image_topic: /image}\n')
    launched.start(
        'edge_server.launch.py',
        f'bundle:={tiny_bundle.path}',
        f'cameras:={cameras}',
        'namespace:=truck',
        'rate:=1',
        'bag:=camvid_val',
        'loop:=true',
    )
    launched.wait_for('[truck.front.edge]: ready', '[truck.left.edge]: ready')
    launched.wait_for('[truck.server]: ready', '/truck/front/features, /truck/left/features')
    assert launched.output.count('process started with pid') == 4
    wanted = {
        ('/truck/front/edge', 'rate'): '0',
        ('/truck/left/edge', 'rate'): '1',
        ('/truck/server', 'cameras'): "['front', 'left']",
    }
    for (node, name), value in wanted.items():
        options = ('--no-daemon', '--spin-time', '3', node, name)
        assert value in ros2('param', 'get', *options, environment=environment), (node, name)
    once = ('--once', '--no-daemon', '--spin-time', '3', '--field', 'header.frame_id')
    for camera in ('front', 'left'):
        answer = ros2(
            'topic', 'echo', *once, f'/truck/{camera}/detections',
            'vision_msgs/msg/Detection2DArray', environment=environment,
        )  # fmt: skip
        assert answer.startswith('camera')


@pytest.mark.ros
def test_one_side_alone_with_cameras(
    launched: Launched, environment: dict[str, str], tiny_bundle: Bundle, tmp_path: Path
) -> None:
    """On two machines each launch file gets the same argument."""
    server = Launched(environment, tmp_path / 'server')
    try:
        arguments = (f'bundle:={tiny_bundle.path}', 'cameras:=front,left')
        launched.start('edge.launch.py', *arguments)
        server.start('server.launch.py', *arguments, 'image_topic:=image_raw')
        launched.wait_for('[front.edge]: ready', '[left.edge]: ready')
        server.wait_for('[server]: ready', '/front/features, /left/features')
    finally:
        server.end()


@pytest.mark.ros
def test_cameras_that_cannot_be_are_named(launched: Launched) -> None:
    launched.start('edge_server.launch.py', 'cameras:=front,/left')
    launched.wait_for("camera '/left' is no namespace below that of the nodes")


@pytest.mark.ros
def test_ctrl_c_ends_both_cleanly(launched: Launched, tiny_bundle: Bundle) -> None:
    launched.start('edge_server.launch.py', f'bundle:={tiny_bundle.path}')
    launched.wait_for('[edge]: ready', '[server]: ready')
    launched.end()
    assert launched.output.count('process has finished cleanly') == 2


@pytest.mark.ros
def test_shipped_clip_is_answered(
    launched: Launched, environment: dict[str, str], tiny_bundle: Bundle
) -> None:
    launched.start(
        'edge_server.launch.py',
        f'bundle:={tiny_bundle.path}',
        'bag:=camvid_val',
        'loop:=true',
        'namespace:=front',
    )
    launched.wait_for('[front.edge]: ready', '[front.server]: ready')
    once = ('--once', '--no-daemon', '--spin-time', '3', '--field', 'header.frame_id')
    answer = ros2(
        'topic', 'echo', *once, '/front/detections', 'vision_msgs/msg/Detection2DArray',
        environment=environment,
    )  # fmt: skip
    assert answer.startswith('camera')


@pytest.mark.ros
def test_each_node_has_the_enclave_of_its_full_name(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment = {
        **environment,
        'ROS_SECURITY_ENABLE': 'true',
        'ROS_SECURITY_STRATEGY': 'Enforce',
        'ROS_SECURITY_KEYSTORE': str(tmp_path),
    }
    launched = Launched(environment, tmp_path / 'output')
    try:
        launched.start('edge_server.launch.py', 'namespace:=front')
        launched.wait_for(
            *(f"enclaves/front/{name}' does not exist" for name in ('edge', 'server'))
        )
    finally:
        launched.end()
