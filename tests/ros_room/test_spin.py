# SPDX-License-Identifier: Apache-2.0
"""A middleware that does not let a node end, with the lock of Python in its hands."""

import signal
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

NODE = """
import ctypes
import sys
from rclpy.node import Node
from mtl_split_ros import ending, spin

class Stuck(Node):
    def __init__(self):
        super().__init__('stuck')
        print('ready', flush=True)

    def destroy_node(self):
        ctypes.PyDLL(None).sleep(60)  # a foreign call that keeps the lock of Python

ending.LONGEST_S = 0.5
sys.exit(spin.run('stuck', lambda: Stuck, ['stuck', '--ros-args', '--disable-external-lib-logs']))
"""


@pytest.mark.ros(beside=True)
def test_a_node_ends_all_the_same() -> None:
    with subprocess.Popen(
        [sys.executable, '-c', NODE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == 'ready\n'
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert 'Timeout' in said
    assert 'destroy_node' in said
