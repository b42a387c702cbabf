# SPDX-License-Identifier: Apache-2.0
"""The flags of a run: repeatable, stopped early, in mixed precision, on several processes."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from tests.tiny_dataset import make_dataset
from tests.train.project import CONFIG, export, run, train, write_config, write_data

import mtl_split_train.vision  # noqa: F401  (declares operators for torchvision)
from mtl_split_core.errors import DataError
from mtl_split_train import cli_train
from mtl_split_train.run import Run, checkpoints, make_trainer

from lightning.pytorch.strategies import DDPStrategy  # isort: skip
from torchvision import models  # isort: skip

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
    for out, precision in (('out', 'bf16-mixed'), ('whole', '32-true')):
        assert train(folder, '--precision', precision, '--epochs', 1, out=out) == 0
    found, whole = weights(folder), weights(folder, 'whole')
    assert all(value.isfinite().all() for value in found.values())
    # The flag is heeded: the same seed, and yet other weights, near by.
    name = 'network.tail.classification.layers.3.weight'
    assert not torch.equal(found[name], whole[name])
    assert torch.allclose(found[name], whole[name], atol=0.05)


def test_the_trainer_takes_the_machines_of_the_flags(tmp_path: Path) -> None:
    """Two nodes of two processes each would start here; progress is shown."""
    parser = argparse.ArgumentParser()
    cli_train.add_arguments(parser)
    flags = '--config x --accelerator cpu --devices 2 --nodes 2 --strategy ddp --epochs 7'
    folder = Run(tmp_path, resume=False)
    options = parser.parse_args(flags.split())
    trainer = make_trainer(options, folder, checkpoints(folder, 'val/mean'), 3)
    assert (trainer.num_nodes, trainer.num_devices, trainer.world_size) == (2, 2, 4)
    assert isinstance(trainer.strategy, DDPStrategy)
    assert trainer.max_epochs == 7
    assert trainer.progress_bar_callback is not None


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


@pytest.mark.parametrize('split', ['train', 'more'])
def test_a_wrong_picture_is_found_before_the_first_epoch(
    folder: Path, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any frame: Lightning itself tries two of those to validate on, and trains then."""
    monkeypatch.setattr('mtl_split_train.data._CACHED_PIXELS', 0)
    make_dataset(folder / 'data/more', frames=4)
    write_config(
        folder, data={'val': 'more'}, schedule={'epochs': 1, 'validate_every': 9, 'batch_size': 1}
    )
    cv2.imwrite(str(folder / f'data/{split}/images/f4.png'), np.zeros((16, 20, 3), np.uint8))
    with pytest.raises(DataError, match=rf'{split}/images/f4\.png is 20x16.*24x16: both must'):
        train(folder)
    assert not (folder / 'out').exists()


def test_published_weights_are_wanted_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name in the configuration; the export and a resumed run have their own."""
    monkeypatch.setenv('TORCH_HOME', str(folder))
    published = models.MobileNet_V3_Small_Weights.IMAGENET1K_V1
    file = folder / 'hub/checkpoints' / published.url.rsplit('/', 1)[1]
    file.parent.mkdir(parents=True)
    made = models.mobilenet_v3_small()
    torch.save(made.state_dict(), file)
    schedule = {'epochs': 1, 'validate_every': 1, 'frozen': ['encoder.backbone']}
    write_config(folder, network={'weights': 'IMAGENET1K_V1'}, schedule=schedule)
    assert train(folder) == 0
    first = weights(folder)['network.encoder.backbone.layers.0.0.weight']
    assert torch.allclose(first, made.features[0][0].weight)
    file.unlink()
    assert export(folder, folder / 'bundle') == 0
    assert train(folder, '--resume', '--epochs', 2) == 0
    again = weights(folder)['network.encoder.backbone.layers.0.0.weight']
    assert torch.allclose(again, made.features[0][0].weight)


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
    # what Lightning says of the machine, without what it recommends to install
    assert 'GPU available' in found.stderr
    assert not [word for word in ('Tip: ', 'LeafSpec') if word in found.stderr + found.stdout]
    assert all(value.isfinite().all() for value in weights(tmp_path).values())
    state = torch.load(tmp_path / 'out/checkpoints/last.ckpt', weights_only=True)
    assert state['global_step'] == 4  # four frames on two processes, twice
