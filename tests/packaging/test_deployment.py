# SPDX-License-Identifier: Apache-2.0
"""Containers, services and the ports of docs/two-machines.md name what exists."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SIDES = ('edge', 'server')


def test_compose_has_both_sides() -> None:
    compose = yaml.safe_load((ROOT / 'docker/compose.yaml').read_text())
    assert set(compose['services']) == set(SIDES)
    page = (ROOT / 'docs/two-machines.md').read_text()
    said = {'ROS_DOMAIN_ID', *re.findall(r'^export (ROS_\w+)', page, re.MULTILINE)}
    assert len(said) >= 3
    for side, service in compose['services'].items():
        context = (ROOT / 'docker' / service['build']['context']).resolve()
        assert context == ROOT
        assert service['build']['dockerfile'] == f'docker/Dockerfile.{side}'
        assert (context / service['build']['dockerfile']).is_file()
        assert service['network_mode'] == 'host'
        command = f'ros2 launch mtl_split {side}.launch.py ${{{side.upper()}_ARGUMENTS:-}}'
        assert service['command'] == command
        assert said <= set(service['environment'])
        # a container's user is root, and nobody else gets at the shared memory of root
        assert service['environment']['FASTDDS_BUILTIN_TRANSPORTS'].endswith(':-UDPv4}')


@pytest.mark.parametrize('side', SIDES)
def test_dockerfile(side: str) -> None:
    text = (ROOT / f'docker/Dockerfile.{side}').read_text()
    assert 'FROM ros:jazzy' in text
    joined = text.replace('\\\n', ' ')
    known = r'(#|FROM |SHELL |WORKDIR |COPY |RUN |ENTRYPOINT |CMD |$)'
    assert [line for line in joined.splitlines() if not re.match(known, line)] == []
    assert f'"{side}.launch.py"' in text
    lock = (ROOT / 'requirements/jazzy.txt').read_text()
    (locked,) = re.findall(r'^constriction==(\S+)', lock, re.MULTILINE)
    assert f'# constriction {locked} has no wheel' in text
    assert re.search(r'bamler-lab/constriction@[0-9a-f]{40} ', joined)


def started(command: str, side: str, place: Path) -> str:
    """Run the command of a unit in a folder with a `ros2` that prints what it is given."""
    program, flag, script = shlex.split(command.replace('$$', '$'))
    for name in ('setup.bash', 'ros2_ws/env.sh', 'ros2'):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text('#!/bin/sh\necho "$@"\n' if name == 'ros2' else '')
    (place / 'ros2').chmod(0o755)
    script = script.replace('/opt/ros/jazzy', str(place))
    variables = {
        'PATH': f'{place}{os.pathsep}{os.environ["PATH"]}',
        f'{side.upper()}_ARGUMENTS': 'image_topic:=/camera/image_raw mode:=auto',
    }
    done = subprocess.run(
        [program, flag, script], cwd=place, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize('side', SIDES)
def test_unit(side: str, tmp_path: Path) -> None:
    text = (ROOT / f'systemd/mtl-split-{side}.service').read_text()
    assert (ROOT / f'launch/{side}.launch.py').is_file()
    lines = [line.split('=', 1) for line in text.splitlines() if '=' in line]
    settings = dict(lines)
    assert settings['Restart'] == 'always'  # tests/launch has what `ros2 launch` exits with
    assert [value for name, value in lines if name == 'Environment'] == [
        f'HOME=%S/{settings["StateDirectory"]}',
        'FASTDDS_BUILTIN_TRANSPORTS=UDPv4',
    ]
    assert started(settings['ExecStart'], side, tmp_path).split() == [
        *('launch', 'mtl_split', f'{side}.launch.py'),
        *('image_topic:=/camera/image_raw', 'mode:=auto'),
    ]
    if not shutil.which('systemd-analyze'):
        pytest.skip('no systemd-analyze here')
    # the user is made by whoever installs the unit
    copy = tmp_path / f'mtl-split-{side}.service'
    copy.write_text(text.replace('User=mtl_split', 'User=root'))
    done = subprocess.run(['systemd-analyze', 'verify', copy], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert copy.name not in done.stderr


def test_ports_are_those_of_rtps() -> None:
    """DDSI-RTPS 9.6.1.1: port base 7400, gains 250 and 2, offsets 0, 10, 1 and 11."""
    page = (ROOT / 'docs/two-machines.md').read_text()
    processes = 20
    unicast = [7400 + offset + 2 * number for offset in (10, 11) for number in range(processes)]
    first, last = min(7400, 7401, *unicast), max(unicast)
    assert f'up to {processes} ROS processes on a machine: UDP {first} to {last}' in page
    assert f'{first}:{last}' in page
    assert '7410, 7412, 7414' in page
    assert '7411, 7413, 7415' in page
