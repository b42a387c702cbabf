# SPDX-License-Identifier: Apache-2.0
"""The ten commands of docs/own-data.md, as they stand there, from a folder to answers of nodes."""

import json
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from tests.docs.own_folder import make_folder
from tests.docs.test_commands import ROOT, blocks
from tests.tools.commands import environment

from mtl_split_core.bundle import TaskType, load_bundle

pytestmark = [pytest.mark.ros(beside=True), pytest.mark.slow, pytest.mark.timeout(600)]
SET_UP = ('scripts/setup train', 'source ros2_ws/env.sh')
"""The first two; the shell of this test has been through them."""


def session() -> list[str]:
    (block,) = blocks(ROOT / 'docs/own-data.md')
    return [line.partition(' #')[0].strip() for line in block.splitlines()]


def edit(path: Path) -> None:
    """What command 4 asks for, and sizes by which each step takes seconds."""
    content = yaml.safe_load(path.read_text())
    content['bundle'] |= {'name': 'mine', 'version': '0.2.0'}
    content['data'] |= {'input_width': 96, 'input_height': 64, 'workers': 0}
    content['data'] |= {'crop_width': 96, 'crop_height': 64}
    content['schedule'] |= {'epochs': 1, 'validate_every': 1, 'batch_size': 2}
    path.write_text(yaml.safe_dump(content))


def test_the_ten_commands(tmp_path: Path) -> None:
    if not find_spec('lightning'):
        pytest.skip('needs scripts/setup train')
    commands = session()
    assert len(commands) == 10
    assert tuple(commands[:2]) == SET_UP
    (tmp_path / 'experiments').symlink_to(ROOT / 'experiments')
    make_folder(tmp_path / 'my_data' / 'train', 4)
    make_folder(tmp_path / 'my_data' / 'val', 2)
    env = environment()
    env['PYTHONPATH'] = os.pathsep.join([str(ROOT / 'src'), env.get('PYTHONPATH', '')])
    # threads that wait for each other make small networks slow on a busy machine
    env['OMP_NUM_THREADS'] = '1'
    for command in commands[2:]:
        done = subprocess.run(
            ['bash', '-c', command],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f'{command}\n{done.stdout}{done.stderr}'
        if command.startswith('cp '):
            edit(tmp_path / 'my_data.yaml')

    bundle = load_bundle(tmp_path / 'models' / 'mine')
    detection = bundle.task(TaskType.DETECTION)
    assert detection
    assert [info.name for info in detection.classes] == ['vehicle', 'person']
    assert (bundle.name, bundle.version) == ('mine', '0.2.0')
    assert all(rate.bytes_mean and rate.miou is not None for rate in bundle.rates)
    assert list(bundle.path.glob('profile-*.yaml'))
    summary = json.loads((tmp_path / 'out/demo/summary.json').read_text())
    assert summary['frames_in'] == summary['frames_out'] == 2
    assert summary['bundle'] == 'mine'
    assert (tmp_path / 'out/demo/overlay.mp4').stat().st_size > 0
