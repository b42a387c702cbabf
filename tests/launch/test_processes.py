# SPDX-License-Identifier: Apache-2.0
"""What becomes of the processes of a launch, and what RViz is started with."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from tests.launch.launched import Launched

from mtl_split_core.bundle import Bundle

pytest.importorskip('ros2launch', reason='`ros2 launch` comes with an installed ROS 2 only')


@pytest.mark.ros
def test_a_crash_ends_the_launch_and_is_no_failure_of_it(
    launched: Launched, tiny_bundle: Bundle
) -> None:
    """For which the units of systemd start it again whatever it exits with."""
    launched.start('edge.launch.py', f'bundle:={tiny_bundle.path}')
    launched.wait_for('[edge]: ready')
    (pid,) = re.findall(r'process started with pid \[(\d+)\]', launched.output)
    os.kill(int(pid), signal.SIGKILL)
    assert launched.exit_status() == 0
    assert 'process has died' in launched.output


@pytest.mark.skipif(bool(shutil.which('rviz2')), reason='there is an rviz2')
def test_rviz_that_is_not_installed(launched: Launched) -> None:
    launched.start('edge_server.launch.py', 'rviz:=true')
    assert launched.exit_status() == 1
    assert 'rviz2 is not installed: sudo apt install ros-jazzy-rviz2' in launched.output
    assert 'process started' not in launched.output


@pytest.mark.ros
def test_rviz_gets_the_names_of_the_launch(
    environment: dict[str, str], tmp_path: Path, tiny_bundle: Bundle
) -> None:
    """A program in its place prints what it was started with."""
    program = tmp_path / 'lib/rviz2/rviz2'
    marker = tmp_path / 'share/ament_index/resource_index/packages/rviz2'
    for path in (program, marker):
        path.parent.mkdir(parents=True)
    marker.touch()
    program.write_text('#!/bin/sh\necho "rviz2 got: $*"\n')
    program.chmod(0o755)
    prefixes = f'{tmp_path}{os.pathsep}{environment["AMENT_PREFIX_PATH"]}'
    launched = Launched({**environment, 'AMENT_PREFIX_PATH': prefixes}, tmp_path / 'output')
    try:
        launched.start(
            'edge_server.launch.py',
            f'bundle:={tiny_bundle.path}',
            'cameras:=front,left',
            'image_topic:=camera/image_raw',
            'rviz:=true',
        )
        launched.wait_for('rviz2 got:')
        (given,) = re.findall(r'rviz2 got: (.*)', launched.output)
    finally:
        launched.end()
    words = given.split()
    assert Path(words[words.index('-d') + 1]).name == 'mtl_split.rviz'
    assert Path(words[words.index('-d') + 1]).is_file()
    assert '__ns:=/front' in words
    assert {
        '/image:=camera/image_raw',
        '/image/compressed:=camera/image_raw/compressed',
        '/overlay:=overlay',
        '/segmentation/color:=segmentation/color',
    } <= set(words)
