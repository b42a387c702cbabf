# SPDX-License-Identifier: Apache-2.0
"""Wheel and sdist: built from a copy of the sources, installed and run in an empty environment."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.package, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
PARTS = ('src', 'pyproject.toml', 'package.xml', 'README.md', 'LICENSE', 'NOTICE')


def run(*words: str | Path, cwd: Path) -> str:
    """Without what the shell of the test adds to Python's path."""
    drop = ('PYTHONPATH', 'VIRTUAL_ENV', '_ROS_WHEELS_BOOTSTRAP_COMPLETE')
    environment = {name: value for name, value in os.environ.items() if name not in drop}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope='module')
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was made from it."""
    source = tmp_path_factory.mktemp('source')
    for name in PARTS:
        place, copy = ROOT / name, source / name
        if place.is_dir():
            shutil.copytree(place, copy, ignore=shutil.ignore_patterns('__pycache__', '*.egg-info'))
        else:
            shutil.copy(place, copy)
    run(sys.executable, '-m', 'build', '--outdir', source / 'dist', source, cwd=source)
    return source / 'dist'


@pytest.fixture(scope='module')
def rooms() -> set[str]:
    return {path.parent.name for path in (ROOT / 'src').glob('*/__init__.py')}


def test_both_hold_all_modules_and_markers(built: Path, rooms: set[str]) -> None:
    (wheel,), (sdist,) = built.glob('*.whl'), built.glob('*.tar.gz')
    modules = {
        path.relative_to(ROOT / 'src').as_posix() for path in (ROOT / 'src').glob('mtl_*/**/*.py')
    }
    wanted = modules | {f'{room}/py.typed' for room in rooms}
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        inside = {name.partition('/src/')[2] for name in archive.getnames() if '/src/' in name}
    assert wanted <= inside


def test_it_runs_in_an_empty_environment(built: Path, rooms: set[str], tmp_path: Path) -> None:
    run(sys.executable, '-m', 'venv', tmp_path / 'env', cwd=tmp_path)
    python = tmp_path / 'env/bin/python'
    (wheel,) = built.glob('*.whl')
    lock = ROOT / 'requirements/runtime.txt'
    run(python, '-m', 'pip', 'install', '--no-deps', '-r', lock, cwd=tmp_path)
    run(python, '-m', 'pip', 'install', '--no-deps', wheel, cwd=tmp_path)
    program = tmp_path / 'env/bin/mtl-split'
    assert 'inspect' in run(program, '--help', cwd=tmp_path)
    assert run(program, '--version', cwd=tmp_path).startswith('mtl-split ')
    # ROS is not there: what needs none works, by the bundle's path
    assert 'detection' in run(program, 'inspect', ROOT / 'models/camvid', cwd=tmp_path)
    run(python, '-c', 'import ' + ', '.join(sorted(rooms)), cwd=tmp_path)
    run(python, '-m', 'pip', 'check', cwd=tmp_path)
