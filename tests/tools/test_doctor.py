# SPDX-License-Identifier: Apache-2.0
"""`mtl-split doctor`: what it says of a machine and of a bundle, and its command line."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.made_profile import made_profile
from tests.tools.commands import fails
from tests.tools.made_graph import graph

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.profile import machine_name, profile_path, save_profile
from mtl_split_ros.status import Level
from mtl_split_tools.cli import main
from mtl_split_tools.doctor import environment
from mtl_split_tools.doctor.finding import Finding, count
from mtl_split_tools.doctor.flow import check_contract
from mtl_split_tools.doctor.model import check_bundle, check_providers

DOCUMENT = Path(__file__).resolve().parents[2] / 'docs/troubleshooting.md'


def said_of(variables: Mapping[str, str]) -> str:
    return '\n'.join(
        f'{found.level.name} {found.what} | {found.remedy}'
        for found in environment.check_environment(variables)
    )


@pytest.mark.parametrize(
    ('variables', 'words'),
    [
        ({}, 'ERROR ROS 2 is not sourced: '),
        ({'ROS_DOMAIN_ID': 'seven'}, "ERROR ROS_DOMAIN_ID is 'seven', allowed are 0 to 232"),
        ({'ROS_DOMAIN_ID': '150'}, 'WARN ROS_DOMAIN_ID is 150'),
        ({'ROS_DOMAIN_ID': '42'}, 'OK ROS_DOMAIN_ID is 42'),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}, 'RANGE is OFF: nodes do not find each other'),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'ALL'}, "ERROR ROS_AUTOMATIC_DISCOVERY_RANGE is 'ALL'"),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, 'LOCALHOST: this machine only'),
        ({'ROS_LOCALHOST_ONLY': '1'}, 'WARN ROS_LOCALHOST_ONLY is 1'),
        ({'ROS_STATIC_PEERS': '10.0.0.2'}, 'OK ROS_STATIC_PEERS is 10.0.0.2'),
    ],
)
def test_variables(variables: dict[str, str], words: str) -> None:
    assert words in said_of(variables)


def test_middleware_by_its_package(tmp_path: Path) -> None:
    share = tmp_path / 'share'
    index = share / 'ament_index/resource_index/rmw_typesupport'
    index.mkdir(parents=True)
    (share / 'rmw_fastrtps_cpp').mkdir()
    (share / 'rmw_fastrtps_cpp/package.xml').write_text('<p><version>8.4.3</version></p>')
    for name in ('rmw_fastrtps_cpp', 'rmw_implementation'):
        (index / name).touch()
    variables = {'AMENT_PREFIX_PATH': str(tmp_path)}
    assert 'OK middleware rmw_fastrtps_cpp 8.4.3' in said_of(variables)
    text = said_of({**variables, 'RMW_IMPLEMENTATION': 'rmw_zenoh_cpp'})
    assert 'ERROR RMW_IMPLEMENTATION is rmw_zenoh_cpp, which is not installed' in text
    assert 'there are: rmw_fastrtps_cpp |' in text
    assert 'sudo apt install ros-jazzy-rmw-zenoh-cpp' in text


def test_packages_against_the_locks(tmp_path: Path) -> None:
    (tmp_path / 'edge.in').write_text('numpy\nnot-there\n')
    (tmp_path / 'runtime.in').write_text('-r edge.in\nrich\n')
    locked = "numpy==0.1 ; python_full_version < '4' \\\n    --hash=sha256:0\nnot-there==1.0\n"
    for name in ('runtime', 'jazzy'):
        (tmp_path / f'{name}.txt').write_text(locked)
    missing, different = environment.check_packages({}, tmp_path)
    assert (missing.level, missing.what) == (Level.ERROR, 'Python packages missing: not-there')
    assert different.level is Level.WARN
    assert '(locked: 0.1)' in different.what
    assert 'scripts/setup' in different.remedy
    (nothing,) = environment.check_packages({}, tmp_path / 'elsewhere')
    assert nothing.level is Level.OK


@pytest.mark.parametrize(
    ('size', 'level', 'remedy'),
    [(100_000, Level.WARN, True), (212_992, Level.OK, True), (8_000_000, Level.OK, False)],
)
def test_socket_buffers(tmp_path: Path, size: int, level: Level, remedy: bool) -> None:
    (tmp_path / 'rmem_default').write_text(f'{size}\n')
    (tmp_path / 'rmem_max').write_text('9000000\n')
    assert '9000000 bytes' in environment.check_buffers(tmp_path, 'rmw_cyclonedds_cpp').what
    finding = environment.check_buffers(tmp_path, '')
    assert finding.level is level
    assert bool(finding.remedy) == remedy
    assert f'sockets receive into {size} bytes' in finding.what
    assert not remedy or 'net.core.rmem_default=4194304' in finding.remedy


def test_bundle_profile_and_providers(tiny_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / 'tiny')
    bundle, (whole, profile) = check_bundle(str(tmp_path / 'tiny'))
    assert bundle
    assert f'tiny 1.0.0 ({tiny_bundle.fingerprint:016x})' in whole.what
    assert 'mode auto would not start here' in profile.what
    assert f'mtl-split profile --bundle {tmp_path}' in profile.remedy
    path = profile_path(bundle, machine_name())
    rates = len(bundle.rates)
    save_profile(made_profile(bundle.fingerprint, rates=rates), path)
    assert 'ways to answer a frame' in check_bundle(str(bundle.path))[1][1].what
    save_profile(made_profile(1, rates=rates), path)
    assert check_bundle(str(bundle.path))[1][1].level is Level.WARN
    (loaded,) = check_providers(bundle, 'onnxruntime', ())
    assert (loaded.level, 'CPUExecutionProvider' in loaded.what) == (Level.OK, True)
    (absent,) = check_providers(bundle, 'onnxruntime', ('NoExecutionProvider',))
    assert absent.level is Level.ERROR
    assert "provider 'NoExecutionProvider' is not in this ONNX Runtime" in absent.what
    tail = bundle.tail_path
    tail.write_bytes(tail.read_bytes()[:-1])
    broken, (finding,) = check_bundle(str(bundle.path))
    assert broken is None
    assert (finding.level, 'damaged' in finding.what) == (Level.ERROR, True)


def test_another_bundle_here(tiny_bundle: Bundle) -> None:
    bundle = load_bundle(tiny_bundle.path)
    warned = [found for found in check_contract(graph(), bundle) if found.level is Level.WARN]
    assert 'the bundle here is tiny' in warned[0].what
    assert '--bundle tiny' in warned[0].remedy


def test_the_rest_of_the_document() -> None:
    """What the table at the end of the document quotes is what is said."""
    table = DOCUMENT.read_text().partition('## Also')[2]
    quoted = re.findall(r'^\| `([^`]+)` \|', table, re.MULTILINE)
    sources = [path.read_text() for path in Path(environment.__file__).parent.glob('*.py')]
    sources.append((DOCUMENT.parents[1] / 'src/mtl_split_core/ort_backend.py').read_text())
    assert quoted
    for message in quoted:
        pattern = '.*'.join(map(re.escape, re.split('…|^2 ', message)))
        assert any(re.search(pattern, text) for text in sources), message


def test_this_machine_only(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ['doctor', '--seconds', '0', '--bundle', str(tiny_bundle.path)]
    status = main([*arguments, '--json'])
    document = json.loads(capsys.readouterr().out)
    findings = [
        Finding(Level[found['level'].upper()], found['area'], found['what'])
        for found in document['findings']
    ]
    assert document['counts'] == count(findings)
    assert status == (document['counts']['error'] > 0)
    assert {'ROS 2', 'environment', 'bundle', 'providers'} == {found.area for found in findings}
    assert document['topics'] == []
    assert main([*arguments[:-1], str(tmp_path)]) == 1
    assert 'no bundle.yaml' in ' '.join(capsys.readouterr().out.split())


def test_where_ros_cannot_start(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends a process whose middleware is missing, and nothing could be said after that."""
    monkeypatch.setenv('RMW_IMPLEMENTATION', 'rmw_nothing_cpp')
    monkeypatch.setenv('ROS_DOMAIN_ID', 'seven')
    assert main(['doctor', '--json', '--bundle', str(tiny_bundle.path)]) == 1
    findings = json.loads(capsys.readouterr().out)['findings']
    errors = [found['what'] for found in findings if found['level'] == 'error']
    assert any("ROS_DOMAIN_ID is 'seven'" in what for what in errors)
    assert 'the graph was not looked at' in findings[-1]['what']


def test_bad_calls(capsys: pytest.CaptureFixture[str]) -> None:
    assert '--seconds -1 is not 0 to' in fails(capsys, 'doctor', '--seconds', '-1')
    assert '--hz 0 is not above 0' in fails(capsys, 'doctor', '--hz', '0')
