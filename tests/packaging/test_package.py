# SPDX-License-Identifier: Apache-2.0
"""What bloom, rosdep, colcon and pip want of the package."""

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = ElementTree.parse(ROOT / 'package.xml').getroot()


def test_rosdep_keys_resolve() -> None:
    known = yaml.safe_load((Path(__file__).parent / 'rosdep.yaml').read_text())
    wanted = {str(entry.text) for entry in PACKAGE if entry.tag.endswith('depend')}
    assert wanted == {*known['released'], *known['ubuntu']}, (
        'look the new keys up in ros/rosdistro, and write them and the date into rosdep.yaml'
    )
    assert all(known['ubuntu'].values())


def test_no_room_is_empty_in_colcon_test() -> None:
    """`colcon test` leaves out slow tests, and pytest fails where none is left."""
    slow = re.compile(r'^pytestmark = .*\.slow\b', re.MULTILINE)
    rooms: dict[str, bool] = {}
    for path in sorted(ROOT.glob('tests/*/test_*.py')):
        room = f'tests/{path.parent.name}'
        rooms[room] = rooms.get(room, True) and bool(slow.search(path.read_text()))
    said = re.search(r'set\(SLOW_ROOMS (.*)\)', (ROOT / 'CMakeLists.txt').read_text())
    assert said
    assert said[1].split() == [room for room, all_slow in rooms.items() if all_slow]


def test_maintainer_is_the_same_everywhere_and_no_stranger() -> None:
    """The address is one that can be reached, or one that nobody can have (RFC 2606)."""
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    maintainer = PACKAGE.find('maintainer')
    assert maintainer is not None
    assert project['maintainers'][0]['name'] == maintainer.text
    address = str(maintainer.get('email'))
    domain = address.partition('@')[2]
    assert not re.search(r'(^|\.)(example|test)\.(com|net|org)$|todo|localhost', domain)
    if domain.endswith('.example'):
        assert f'`{address}`' in (ROOT / 'CONTRIBUTING.md').read_text()


def test_version_is_semantic() -> None:
    assert re.fullmatch(r'\d+\.\d+\.\d+', str(PACKAGE.findtext('version')))


def test_changelog_of_bloom_is_that_of_people() -> None:
    convert = runpy.run_path(str(ROOT / 'scripts/changelog'))['convert']
    assert (ROOT / 'CHANGELOG.rst').read_text() == convert((ROOT / 'CHANGELOG.md').read_text()), (
        'write it anew: scripts/changelog'
    )


def test_changelog_of_bloom_is_read_by_catkin_pkg() -> None:
    """As at a release: catkin_tag_changelog writes version and date in place of Forthcoming."""
    module = pytest.importorskip('catkin_pkg.changelog', reason='needs catkin_pkg')
    text = (ROOT / 'CHANGELOG.rst').read_text()
    tagged = f'{PACKAGE.findtext("version")} (2026-01-31)'
    text = text.replace('Forthcoming\n-----------', f'{tagged}\n{"-" * len(tagged)}')
    changelog = module.Changelog('mtl_split')
    module.populate_changelog_from_rst(changelog, text)
    read = list(changelog.foreach_version())
    assert PACKAGE.findtext('version') in [version for version, _, _ in read]
    entries = sum(len(part.bullets) for _, _, content in read for part in content)
    markdown = (ROOT / 'CHANGELOG.md').read_text()
    assert entries == len(re.findall(r'^- ', markdown, re.MULTILINE))


def test_every_package_is_typed() -> None:
    rooms = [path.parent for path in (ROOT / 'src').glob('*/__init__.py')]
    assert [room.name for room in rooms if not (room / 'py.typed').is_file()] == []


def test_launch_files_import_what_package_xml_names_alone() -> None:
    """An installed `ros2` runs by the system's Python, which has what rosdep has installed."""
    pytest.importorskip('rclpy', reason='needs ROS 2')
    files = [*(ROOT / 'launch').glob('*.py'), ROOT / 'src/mtl_split_ros/launching.py']
    text = '\n'.join(file.read_text() for file in files)
    modules = {*re.findall(r'^from (mtl_split_\S+) import', text, re.MULTILINE)}
    modules.discard('mtl_split_ros.launching')  # it needs `launch`, and its own imports are here
    assert {'mtl_split_edge.parameters', 'mtl_split_server.parameters'} <= modules
    others = ('constriction', 'onnxruntime', 'rosbags', 'rich', 'matplotlib', 'pycocotools', 'av')
    lines = [*(f'sys.modules[{name!r}] = None' for name in others), f'import {", ".join(modules)}']
    code = '\n'.join(['import sys', *lines])
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
