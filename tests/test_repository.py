# SPDX-License-Identifier: Apache-2.0
"""What has to agree between files that no tool compares."""

import os
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ROOMS = sorted(path.parent.name for path in (ROOT / 'src').glob('*/__init__.py'))
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']

# Made by commands, or data; and what the set-up leaves behind.
NOT_SOURCE = {
    '.git', '.venv', 'build', 'install', 'log', 'out', '.hypothesis', '.mypy_cache', '.ruff_cache',
    '.pytest_cache', '__pycache__', 'golden', 'models', 'samples',
}  # fmt: skip
COMMENTED = {'.cmake', '.in', '.msg', '.py', '.rviz', '.sh', '.toml', '.xml', '.yaml', '.yml'}
COMMENTED_NAMES = {'CMakeLists.txt', 'Makefile', 'run'}


def sources(directory: Path = ROOT) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name in NOT_SOURCE or path.is_symlink():
            continue
        if path.is_dir():
            yield from sources(path)
        elif (
            path.suffix in COMMENTED
            or path.name in COMMENTED_NAMES
            or path.parent == ROOT / 'scripts'
        ):
            yield path


@pytest.mark.parametrize('path', list(sources()), ids=lambda path: str(path.relative_to(ROOT)))
def test_licence_line(path: Path) -> None:
    head = path.read_text().splitlines()[:2]
    # Only a line that has to be the first may come before.
    place = 1 if head and head[0].startswith(('#!', '<?xml')) else 0
    assert 'SPDX-License-Identifier: Apache-2.0' in ''.join(head[place : place + 1])


def test_one_version_everywhere() -> None:
    package = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    heading = re.search(r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert heading
    assert {package, PROJECT['version'], heading[1]} == {package}


def test_one_description_of_the_licence() -> None:
    package = ElementTree.parse(ROOT / 'package.xml').findtext('license')
    assert package == PROJECT['license'] == 'Apache-2.0'
    assert 'Apache License' in (ROOT / 'LICENSE').read_text()[:200]


def test_maintainer_address_is_one_that_catkin_pkg_takes() -> None:
    for path in (ROOT / 'package.xml', ROOT / 'ros2_ws/underlay/vision_msgs/package.xml'):
        maintainer = ElementTree.parse(path).find('maintainer')
        assert maintainer is not None
        assert re.fullmatch(r'[-\w.+%]+@[-\w.]+\.[A-Za-z]{2,}', maintainer.get('email', ''))


def test_no_module_has_the_name_of_the_messages() -> None:
    assert not [path for path in (ROOT / 'src').iterdir() if path.stem == 'mtl_split']
    assert not (ROOT / 'mtl_split').exists()


def test_programs_can_be_run() -> None:
    programs = [*(ROOT / 'scripts').iterdir(), ROOT / '.ci/run']
    assert [path.name for path in programs if path.is_file() and not os.access(path, os.X_OK)] == []


@pytest.mark.parametrize('room', ROOMS)
def test_built_version(room: str) -> None:
    pytest.importorskip('mtl_split.msg', reason='the workspace is not sourced')
    assert version(room) == PROJECT['version']


def test_entry_points_of_the_build() -> None:
    """CMakeLists.txt repeats the backends of pyproject.toml, because ament does not read that."""
    pytest.importorskip('mtl_split.msg', reason='the workspace is not sourced')
    declared = PROJECT['entry-points']['mtl_split.backends']
    built = {point.name: point.value for point in entry_points(group='mtl_split.backends')}
    assert declared.items() <= built.items()
    for name in declared:
        (point,) = entry_points(group='mtl_split.backends', name=name)
        if name == 'torch' and not find_spec('torch'):
            continue
        assert callable(point.load().load)


@pytest.mark.parametrize('name', ['edge', 'server'])
def test_config_files_are_those_of_the_declaration(name: str) -> None:
    pytest.importorskip('rclpy', reason='needs ROS 2')
    from mtl_split_edge.parameters import EDGE_PARAMETERS  # noqa: PLC0415
    from mtl_split_ros.parameters import config_file  # noqa: PLC0415
    from mtl_split_server.parameters import SERVER_PARAMETERS  # noqa: PLC0415

    specs = {'edge': EDGE_PARAMETERS, 'server': SERVER_PARAMETERS}[name]
    licence, _, text = (ROOT / f'config/{name}.yaml').read_text().partition('\n')
    assert licence.startswith('# SPDX')
    assert text == config_file(name, specs), (
        f'write it anew: python3 -m mtl_split_{name}.parameters --yaml, below the SPDX line'
    )


def pins(lock: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in (ROOT / f'requirements/{lock}.txt').read_text().splitlines():
        if match := re.match(r'([\w.-]+)==([^ ;]+)', line):
            found.setdefault(match[1], set()).add(match[2])
    return found


def test_locks_of_one_environment_agree() -> None:
    whole: dict[str, set[str]] = {}
    together = ('ros', 'build', 'edge', 'runtime', 'dev', 'docs', 'view', 'audit', 'train', 'torch')
    for lock in together:
        for name, versions in pins(lock).items():
            assert whole.setdefault(name, versions) == versions, f'{name} in {lock}.txt'


@pytest.mark.parametrize(
    'path', sorted((ROOT / 'requirements').glob('*.txt')), ids=lambda path: path.stem
)
def test_locks_have_hashes(path: Path) -> None:
    entries = re.split(r'^(?=[a-z])', path.read_text(), flags=re.MULTILINE)[1:]
    assert entries
    assert not [entry.split('==')[0] for entry in entries if '--hash=sha256:' not in entry]


def test_torch_is_locked_for_the_cpu_and_for_cuda() -> None:
    """Both builds have the same version, and what the one of PyPI asks for is a lock, too."""
    text = (ROOT / 'requirements/torch.txt').read_text()
    (version,) = pins('torch')['torch']
    lines = (ROOT / 'requirements/torch-cpu.sha256').read_text().splitlines()
    files = dict(reversed(line.split('  ')) for line in lines if f'-{version}+cpu-' in line)
    for python in ('cp311', 'cp312', 'cp313'):
        for machine in ('x86_64', 'aarch64'):
            name = f'torch-{version}+cpu-{python}-{python}-manylinux_2_28_{machine}.whl'
            assert f'--hash=sha256:{files[name]}' in text, f'{name}: run scripts/lock'
    assert {'cuda-toolkit', 'nvidia-cublas', 'triton'} <= set(pins('cuda'))
    assert not set(pins('cuda')) & set(pins('train'))


@pytest.mark.parametrize('lock', ['edge', 'runtime', 'dev', 'docs', 'view', 'jazzy', 'audit'])
def test_nothing_but_training_needs_torch(lock: str) -> None:
    assert not {'torch', 'torchvision', 'lightning', 'tensorboard'} & set(pins(lock))


def test_locks_have_what_is_asked_for() -> None:
    for path in (ROOT / 'requirements').glob('*.in'):
        asked = re.findall(r'^(\w[\w-]*)', path.read_text(), re.MULTILINE)
        missing = {name.lower().replace('_', '-') for name in asked} - set(pins(path.stem))
        assert not missing, f'{path.name}: run scripts/lock'


def test_distribution_asks_for_the_same() -> None:
    extras = PROJECT['optional-dependencies']
    for extra, *locks in (
        (PROJECT['dependencies'], 'runtime'),
        (extras['train'], 'train', 'torch'),
        (extras['view'], 'view'),
        (extras['dev'], 'dev'),
    ):
        names = {re.split('[><=]', name)[0].lower() for name in extra}
        locked = {name for lock in locks for name in pins(lock)}
        assert names <= locked, f'pyproject.toml and requirements/{locks[0]}.in differ'


def test_ci_leaves_out_nothing_that_it_is_there_for() -> None:
    """A test that is skipped where it cannot run fails where it has to: the variables say where."""
    jobs = yaml.safe_load((ROOT / '.github/workflows/ci.yml').read_text())['jobs']
    expected = {'bare': ('.ci/run', 'MTL_SPLIT_EXPECT_LAB')}
    for name, (command, variable) in expected.items():
        (step,) = (step for step in jobs[name]['steps'] if step.get('run') == command)
        assert variable in step['env']
    for job, variable in (
        ('jazzy', 'MTL_SPLIT_EXPECT_SECURITY'),
        ('jazzy', 'MTL_SPLIT_EXPECT_ZENOH'),
        ('docker', 'MTL_SPLIT_EXPECT_DOCKER'),
    ):
        assert any(variable in step.get('env', {}) for step in jobs[job]['steps'])
