# SPDX-License-Identifier: Apache-2.0
"""`scripts/setup` on machines that this one is not."""

import os
import runpy
import shutil
import subprocess
import venv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = '/usr/bin/python3'


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Its names, on an arm64 machine with a compiler and a fitting Python."""
    check = runpy.run_path(str(ROOT / 'scripts/setup'))['check_machine']
    names: dict[str, Any] = check.__globals__
    monkeypatch.setattr(os, 'uname', lambda: SimpleNamespace(machine='aarch64'))
    monkeypatch.setattr(shutil, 'which', lambda name: f'/usr/bin/{name}')
    names['find_python'] = lambda _: (PYTHON, [])
    return names


@pytest.mark.parametrize('there', ['', '0.4.0'])
def test_arm64_without_the_entropy_coder_says_how_it_is_built(
    setup: dict[str, Any], there: str
) -> None:
    setup['probe'] = lambda _: {'constriction': there}
    with pytest.raises(setup['SetupError'], match='no wheel for Linux on aarch64') as error:
        setup['check_machine'](Path('/opt/ros/jazzy'))
    assert f'constriction@v{setup["locked"]("constriction")} ' in str(error.value)


def test_arm64_with_it_goes_on(setup: dict[str, Any]) -> None:
    setup['probe'] = lambda _: {'constriction': setup['locked']('constriction')}
    assert setup['check_machine'](Path('/opt/ros/jazzy')) == PYTHON


def test_arm64_without_ros_is_told_to_install_it(setup: dict[str, Any]) -> None:
    with pytest.raises(setup['SetupError'], match='this machine is aarch64'):
        setup['check_machine'](None)


@pytest.mark.parametrize('asks', [[], ["nvidia-cublas==13.1.1.3; sys_platform == 'linux'"]])
def test_torch_from_pypi_gets_its_cuda_packages(
    setup: dict[str, Any], tmp_path: Path, asks: list[str]
) -> None:
    """With hashes as all others, and only where the installed torch asks for them."""
    venv.create(tmp_path, symlinks=True)
    (packages,) = tmp_path.glob('lib/python3*/site-packages')
    torch = packages / 'torch-2.13.0.dist-info'
    torch.mkdir()
    lines = ['Metadata-Version: 2.1', 'Name: torch', 'Version: 2.13.0', 'Requires-Dist: filelock']
    (torch / 'METADATA').write_text('\n'.join([*lines, *(f'Requires-Dist: {a}' for a in asks)]))
    ran: list[list[str]] = []
    setup.update(VENV=tmp_path, run=lambda command, _: ran.append(command))
    setup['install'](['ros', 'train', 'torch'], None)
    assert all({'--no-deps', '--require-hashes'} < set(command) for command in ran)
    locks = [Path(command[-1]).stem for command in ran]
    assert locks == ['ros', 'train', 'torch', *(['cuda'] if asks else [])]


def test_ros2_of_an_installed_ros_runs_in_the_environment(
    setup: dict[str, Any], tmp_path: Path
) -> None:
    """Launch files import packages that the system's Python need not have."""
    installed = tmp_path / 'ros/lib/python3/site-packages'
    (installed / 'ros2cli').mkdir(parents=True)
    said = 'import sys\n\ndef main():\n    print(sys.prefix, sys.argv[1:])\n    return 3\n'
    (installed / 'ros2cli/cli.py').write_text(said)
    place = tmp_path / 'venv'
    setup.update(VENV=place, run=lambda command, _: venv.create(command[-1], symlinks=True))
    setup['WORKSPACE'] = tmp_path / 'ws'
    setup['make_environment'](PYTHON, tmp_path / 'ros')
    done = subprocess.run(
        [place / 'bin/ros2', 'launch', '-h'],
        env={'PYTHONPATH': str(installed)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (3, f"{place} ['launch', '-h']\n")
    setup['make_environment'](PYTHON, None)
    assert (place / 'bin/ros2').exists() is False
