# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch` and `ros2 param` of the documents, as they stand there, through the real `ros2`."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.docs.made_clone import make_bag, make_camvid
from tests.docs.runners import LAUNCH, SERVICES, of
from tests.domains import own_domain
from tests.launch.launched import Launched
from tests.tiny_bundle import with_other_tail

pytest.importorskip('ros2launch', reason='`ros2 launch` comes with an installed ROS 2 only')
pytestmark = pytest.mark.ros

LAUNCHES = sorted({tuple(words[3:]) for page in of(LAUNCH).values() for words in page})
ASKED = sorted({tuple(words[1:]) for page in of(SERVICES).values() for words in page})
CAMERAS = 'cameras:=front,left,right'
ATTEMPTS = 3


@pytest.fixture(scope='module')
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands name, and a bundle in the place of `camvid`."""
    directory = tmp_path_factory.mktemp('clone')
    camvid = make_camvid(directory / 'bundles')
    with_other_tail(camvid, directory / 'models/mine')
    make_bag(directory / 'BAG', '/camera/image_raw')
    return directory


@pytest.fixture(scope='module')
def environment(clone: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith('_ROS_WHEELS')},
        'ROS_DOMAIN_ID': str(own_domain()),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'PYTHONUNBUFFERED': '1',
        'MTL_SPLIT_BUNDLES': str(clone / 'bundles'),
    }


@contextmanager
def launched(environment: dict[str, str], directory: Path, *words: str) -> Iterator[Launched]:
    """Start, wait until each node is ready, and end by Ctrl-C without a complaint."""
    file, *arguments = words
    edges = 3 if CAMERAS in arguments else 1
    nodes = {'edge': edges, 'server': 1, 'edge_server': edges + 1}[file.removesuffix('.launch.py')]
    running = Launched(environment, directory / 'output')
    before = Path.cwd()
    os.chdir(directory)
    try:
        running.start(file, *arguments)
        deadline = time.monotonic() + 60
        while running.output.count('ready: bundle') < nodes:
            assert 'process has died' not in running.output, running.output
            assert time.monotonic() < deadline, running.output
            time.sleep(0.1)
        yield running
    finally:
        running.end()
        os.chdir(before)
    assert 'process has died' not in running.output, running.output
    assert running.output.count('process has finished cleanly') >= nodes, running.output


@pytest.mark.parametrize('words', LAUNCHES, ids=' '.join)
def test_launch(words: tuple[str, ...], environment: dict[str, str], clone: Path) -> None:
    if not shutil.which('rviz2'):
        words = tuple(word for word in words if word != 'rviz:=true')
    with launched(environment, clone, *words) as running:
        if any(word.startswith('bag:=') for word in words):
            running.wait_for('replay of')


def asked(environment: dict[str, str], *words: str) -> str:
    """Run `ros2 param` or `ros2 service`; it may look before it has heard of the node."""
    options = ('--no-daemon', '--spin-time', '1') if words[0] == 'param' else ()
    command = ['ros2', *words[:2], *options, *words[2:]]
    for _ in range(ATTEMPTS):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        if done.returncode == 0 and 'not found' not in done.stderr:
            return done.stdout
    msg = f'{" ".join(command)}: {done.stdout}{done.stderr}'
    raise AssertionError(msg)


def test_param_and_service(environment: dict[str, str], clone: Path) -> None:
    """Each as written, then the round trip of dump and load by file and by `params_file`."""
    camera = ('bag:=BAG', 'image_topic:=/camera/image_raw', 'image_transport:=raw', 'loop:=true')
    with launched(environment, clone, 'edge_server.launch.py', *camera):
        for words in ASKED:
            printed = asked(environment, *words)
            if words[:2] == ('param', 'set'):
                assert printed == 'Set parameter successful\n', words
            elif words[0] == 'service':
                # a snapshot has nothing to show just after the bundle was loaded anew
                assert 'success=True' in printed or 'snapshot' in words[2], printed
        asked(environment, 'param', 'set', '/server', 'score_thresholds', '[car:0.25]')
        dumped = asked(environment, 'param', 'dump', '/server')
        (clone / 'server.yaml').write_text(dumped)
        assert 'car:0.25' in dumped
        asked(environment, 'param', 'set', '/server', 'score_thresholds', "['']")
        loaded = asked(environment, 'param', 'load', '/server', str(clone / 'server.yaml'))
        assert 'Set parameter score_thresholds successful' in loaded
        assert asked(environment, 'param', 'dump', '/server') == dumped
    with launched(environment, clone, 'server.launch.py', f'params_file:={clone / "server.yaml"}'):
        assert asked(environment, 'param', 'dump', '/server') == dumped
