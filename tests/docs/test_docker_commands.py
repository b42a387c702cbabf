# SPDX-License-Identifier: Apache-2.0
"""The containers of docs/two-machines.md, as it stands there, by a real Docker engine.

Building both images takes minutes and gigabytes, so it is done where it is asked for: in CI.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.docs.runners import DOCKER, of
from tests.domains import own_domain

ROOT = Path(__file__).parents[2]
EXPECTED = 'MTL_SPLIT_EXPECT_DOCKER'
"""Variable that asks for it; then there has to be an engine."""

PROJECT = 'com.docker.compose.project=docker'
"""Compose names it after the folder of the file."""

BUILD_S, ANSWER_S, STOP_S = 1500, 300, 60
ROUNDS = 3
"""The doctor looks for five seconds; how often it is asked until camera, edge and server meet."""

pytestmark = [
    pytest.mark.skipif(
        EXPECTED not in os.environ, reason=f'builds images; {EXPECTED}=1 asks for it'
    ),
    pytest.mark.slow,
    pytest.mark.timeout(2 * BUILD_S + ROUNDS * ANSWER_S),
]


def ask(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def shell() -> Iterator[dict[str, str]]:
    """Variables of the user's shell; nothing of the containers is left."""
    ask('docker', 'info')
    ask('docker', 'compose', 'version')
    # A range of one machine shares memory always: all of it runs as root, in containers.
    found = {
        **os.environ,
        'ROS_DOMAIN_ID': str(own_domain()),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'EDGE_ARGUMENTS': 'image_transport:=compressed',
    }
    yield found
    down = ['docker', 'compose', '-f', 'docker/compose.yaml', 'down', '--timeout', '20']
    down.append('--remove-orphans')
    subprocess.run(down, cwd=ROOT, env=found, check=True, capture_output=True, timeout=120)


@contextmanager
def running(words: list[str], shell: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen]:
    """A command in the foreground, ended by Ctrl-C."""
    with log.open('w') as file:
        process = subprocess.Popen(
            words, cwd=ROOT, env=shell, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_S)


def wait_for(words: str, log: Path, process: subprocess.Popen, seconds: float) -> None:
    end = time.monotonic() + seconds
    while words not in (text := log.read_text()):
        assert process.poll() is None, text[-3000:]
        assert time.monotonic() < end, f'no {words!r} in {seconds} s: {text[-3000:]}'
        time.sleep(0.5)


def test_camera_edge_and_server_meet(shell: dict[str, str], tmp_path: Path) -> None:
    """Both images are built, both sides start, and the doctor beside them has nothing to say."""
    up, doctor = of(DOCKER)['docs/two-machines.md']
    sides = {'server': up, 'edge': [*up[:-1], 'edge']}  # "and edge, on the other machine"
    assert up[-1] == 'server'
    assert doctor[-2:] == ['mtl-split', 'doctor']
    logs = {name: tmp_path / f'{name}.log' for name in (*sides, 'camera')}
    replay = [*doctor[:-1], 'replay', 'camvid_val', '--loop']
    with (
        running(sides['server'], shell, logs['server']) as server,
        running(sides['edge'], shell, logs['edge']) as edge,
    ):
        wait_for('ready: bundle', logs['server'], server, BUILD_S)
        wait_for('ready: bundle', logs['edge'], edge, BUILD_S)
        with running(replay, shell, logs['camera']) as camera:
            wait_for('/image/compressed', logs['camera'], camera, ANSWER_S)
            for _ in range(ROUNDS):
                done = subprocess.run(
                    doctor, cwd=ROOT, env=shell, capture_output=True, text=True, timeout=ANSWER_S
                )
                if not done.returncode:
                    break
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'edge /edge: mode split' in done.stdout
    assert 'server /server: features from /features' in done.stdout
    assert re.search(r'/edge: [1-9][\d.]* Hz answered', done.stdout)
    # those of `up`, without those of `run`
    which = ('--filter', 'label=com.docker.compose.oneoff=False', '--filter', f'label={PROJECT}')
    containers = ask('docker', 'ps', '-aq', *which).split()
    ended = ask('docker', 'inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', *containers)
    assert ended.splitlines() == ['exited 0'] * len(sides)
