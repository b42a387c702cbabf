# SPDX-License-Identifier: Apache-2.0
"""`colcon test`: configured by CMake as colcon does, and one room of the tests run through it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKSPACE = ROOT / 'ros2_ws'
ROOM = 'tests_security_policies'

# `colcon test` leaves these out, and so this test does not call itself
pytestmark = pytest.mark.package


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=WORKSPACE, capture_output=True, text=True, check=False, env=environment()
    )


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith('_ROS_WHEELS')}


@pytest.fixture(scope='module')
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build base as `colcon build --cmake-args -DBUILD_TESTING=ON` begins it."""
    if not (shutil.which('colcon') and (WORKSPACE / 'install').is_dir()):
        pytest.skip('needs a built workspace and colcon')
    base = tmp_path_factory.mktemp('colcon')
    place = base / 'build' / 'mtl_split'
    # The path of the workspace, not what the link leads to: the environment may lie in there.
    command = ['cmake', '-S', f'{WORKSPACE}/src/mtl_split', '-B', place, '-DBUILD_TESTING=ON']
    done = run(*command, f'-DPython3_EXECUTABLE={sys.executable}')
    assert done.returncode == 0, done.stdout + done.stderr
    return base


def test_each_room_has_its_entry(build: Path) -> None:
    listed = run('ctest', '--test-dir', build / 'build' / 'mtl_split', '-N').stdout
    names = set(re.findall(r'Test +#\d+: (\w+)', listed))
    rooms = {f'tests_{path.parent.name}' for path in ROOT.glob('tests/*/test_*.py')}
    rules = {f'tests_{path.stem.removeprefix("test_")}' for path in ROOT.glob('tests/test_*.py')}
    linters = {'ruff_check', 'ruff_format', 'mypy'} if shutil.which('ruff') else set()
    assert names == rooms | rules | linters


def test_colcon_test_runs_one_room(build: Path) -> None:
    bases = ('--build-base', build / 'build', '--install-base', WORKSPACE / 'install')
    colcon = ('colcon', '--log-base', build / 'log')
    done = run(*colcon, 'test', '--base-paths', 'src', *bases, '--ctest-args', '-R', f'^{ROOM}$')
    assert done.returncode == 0, done.stdout + done.stderr
    result = run(*colcon, 'test-result', '--test-result-base', build / 'build', '--all')
    assert result.returncode == 0, result.stdout
    # its file names what pytest ran, and is not empty
    counted = re.search(rf'{ROOM}\.xunit\.xml: (\d+) tests?, 0 errors, 0 failures', result.stdout)
    assert counted, result.stdout
    assert int(counted[1]) > 0
