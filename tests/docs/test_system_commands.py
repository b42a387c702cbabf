# SPDX-License-Identifier: Apache-2.0
"""What the documents change on a machine, as it stands there, with nothing left of it."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.docs.runners import SYSTEM, of
from tests.lab_rights import EXPECTED, need_lab

from mtl_split_tools.lab import why_not

ROOT = Path(__file__).parents[2]
BUFFERS = [Path(f'/proc/sys/net/core/rmem_{name}') for name in ('default', 'max')]
# A copy of /etc that vanishes. Without /run, systemctl knows of no systemd: it writes links alone,
# and reaches no real one.
ROOM = """
set -e
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
mkdir -p /etc/systemd/system
"""
NEEDED = ('unshare', 'useradd', 'systemctl')


def lines(page: str, *programs: str) -> str:
    """The commands of a page that begin with `sudo` and one of some programs."""
    return '\n'.join(
        shlex.join(words)
        for words in of(SYSTEM)[page]
        if words[0] == 'sudo' and words[1] in programs
    )


@pytest.fixture
def room(tmp_path: Path) -> dict[str, str]:
    """The variables of a shell in which everybody is root already."""
    if os.geteuid() != 0:
        pytest.skip('needs root')
    need_lab(why_not())
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        pytest.skip(f'needs {", ".join(missing)}')
    sudo = tmp_path / 'sudo'
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    return {**os.environ, 'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'}


def run(room: dict[str, str], script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ['unshare', '--mount', '--net', '--propagation', 'private', 'bash', '-c', ROOM + script],
        cwd=ROOT,
        env=room,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_unit_is_there_for_the_next_start(room: dict[str, str]) -> None:
    page = 'docs/two-machines.md'
    made = lines(page, 'useradd', 'cp')
    enabled = lines(page, 'systemctl')
    looked = 'id -un mtl_split; cat /etc/systemd/system/multi-user.target.wants/mtl-split-server*'
    # there is no systemd that could start it now
    done = run(room, f'{made}\n{enabled} || true\n{looked}')
    assert done.returncode == 0, done.stderr
    user, _, unit = done.stdout.partition('\n')
    assert user == 'mtl_split'
    assert unit == (ROOT / 'systemd/mtl-split-server.service').read_text()
    assert not Path('/etc/systemd/system/mtl-split-server.service').exists()


@pytest.mark.skipif(not shutil.which('ufw'), reason='needs ufw')
def test_the_firewall_lets_dds_through(room: dict[str, str]) -> None:
    done = run(room, lines('docs/two-machines.md', 'ufw') + '\ncat /etc/ufw/user.rules')
    assert done.returncode == 0, done.stderr
    assert '-p udp -m multiport --dports 7400:7449 -s 10.0.0.0/24 -j ACCEPT' in done.stdout


@pytest.mark.skipif(EXPECTED not in os.environ, reason='changes the kernel of the whole machine')
def test_the_buffers_grow(room: dict[str, str]) -> None:
    before = [path.read_text() for path in BUFFERS]
    try:
        command = lines('docs/two-machines.md', 'sysctl')
        subprocess.run(['bash', '-c', command], env=room, check=True, timeout=60)
        assert [path.read_text() for path in BUFFERS] == ['4194304\n'] * 2
    finally:
        for path, value in zip(BUFFERS, before, strict=True):
            path.write_text(value)
