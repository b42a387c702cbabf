# SPDX-License-Identifier: Apache-2.0
"""The flags of a run: repeatable, stopped early, in mixed precision, on several processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.train.project import CONFIG, run, train, write_config, write_data

from mtl_split_core.errors import DataError
from mtl_split_train import cli_train

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(project: Path, tmp_path: Path) -> Path:
    """The data of the project, with a short schedule."""
    shutil.copytree(project / 'data', tmp_path / 'data')
    write_config(tmp_path, schedule={'epochs': 2, 'validate_every': 1})
    return tmp_path


def weights(root: Path, out: str = 'out') -> dict[str, Any]:
    state = torch.load(root / out / 'checkpoints/last.ckpt', weights_only=True)
    found: dict[str, Any] = state['state_dict']
    return found


def test_the_same_seed_repeats_a_run(folder: Path) -> None:
    for out in ('first', 'second'):
        assert train(folder, out=out) == 0
    first, second = weights(folder, 'first'), weights(folder, 'second')
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    write_config(folder, schedule={'epochs': 2, 'seed': 1})
    assert train(folder, out='third') == 0
    other = weights(folder, 'third')
    assert not all(torch.equal(value, other[name]) for name, value in first.items())


def test_a_run_that_does_not_get_better_stops(folder: Path) -> None:
    schedule = {'epochs': 9, 'validate_every': 1, 'patience': 2, 'learning_rate': 1e-12}
    write_config(folder, schedule=schedule)
    assert train(folder) == 0
    state = torch.load(folder / 'out/checkpoints/last.ckpt', weights_only=True)
    assert 2 <= state['epoch'] < 8


def test_mixed_precision(folder: Path) -> None:
    assert train(folder, '--precision', 'bf16-mixed', '--epochs', 1) == 0
    assert all(value.isfinite().all() for value in weights(folder).values())


def test_the_data_folder_of_the_configuration(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(folder, data={'root': 'data'})
    monkeypatch.chdir(folder)
    arguments = ('--config', 'run.yaml', '--out', 'out', '--accelerator', 'cpu', '--epochs', 1)
    assert run(cli_train, *arguments) == 0
    write_config(folder, data={'root': 'nowhere'})
    with pytest.raises(DataError, match=r'data folder nowhere does not exist; give --data'):
        run(cli_train, *arguments[:3], 'other', *arguments[4:])


def test_splits_with_other_classes(folder: Path) -> None:
    path = folder / 'data/val/annotations.json'
    path.write_text(path.read_text().replace('"sign"', '"bus"'))
    with pytest.raises(DataError, match=r"train has the classes .*'sign'.*val .*'bus'"):
        train(folder)
    assert not (folder / 'out').exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes(tmp_path: Path) -> None:
    """DDP on two CPU processes, some frames without labels for a task."""
    write_data(tmp_path)
    content = {**CONFIG, 'schedule': {**CONFIG['schedule'], 'epochs': 2, 'batch_size': 1}}
    # Steps without quantisation on one process alone must not stop the other.
    content['rates'] = {**CONFIG['rates'], 'unquantised': 0.5}
    (tmp_path / 'run.yaml').write_text(yaml.safe_dump(content))
    program = tmp_path / 'program.py'
    # Lightning starts the second process by calling the program again.
    program.write_text(
        'from pathlib import Path\n'
        'from tests.train.project import train\n'
        f'root = Path({str(tmp_path)!r})\n'
        "train(root, '--devices', 2, '--strategy', 'ddp')\n"
    )
    found = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "src"}', 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout.count('checkpoints are in') == 1
    assert all(value.isfinite().all() for value in weights(tmp_path).values())
    state = torch.load(tmp_path / 'out/checkpoints/last.ckpt', weights_only=True)
    assert state['global_step'] == 4  # four frames on two processes, twice
