# SPDX-License-Identifier: Apache-2.0
"""Training runs of an experiment: the code of `mtl-split train`, in folders that survive a stop."""

import argparse
import json
import pickle
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import yaml

from mtl_split_train import cli_export, cli_train

Program = Callable[[argparse.Namespace], int]
"""What runs with the options of `mtl-split train`."""

_SETTINGS = 'trial.json'
_TRAINED = 'trained'
_STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')


@dataclass(frozen=True, slots=True)
class Trial:
    """One training run.

    Args:
        name: Of its folder.
        config: The configuration, as `mtl-split train` reads it.
        init: Run whose weights it starts from; None starts from nothing.
        bundle: Bundle whose weights it starts from, in place of a run; name or directory.
        teacher: Run that it follows; its checkpoint becomes `loss.teacher`.
        precision: Lightning's.
        program: What trains; kept out of `settings`, so the name has to tell.
    """

    name: str
    config: Mapping[str, Any]
    init: Self | None = None
    bundle: str | None = None
    teacher: Self | None = None
    precision: str = '32-true'
    program: Program = cli_train.main

    def settings(self) -> dict[str, Any]:
        """Return all that the result depends on, beside the data; fit for JSON."""
        before = {'init': self.init, 'teacher': self.teacher}
        return {
            'name': self.name,
            'config': dict(self.config),
            **({'bundle': self.bundle} if self.bundle else {}),
            **({'precision': self.precision} if self.precision != '32-true' else {}),
            **{key: trial.settings() for key, trial in before.items() if trial},
        }


def train_trial(trial: Trial, data: Path, folder: Path) -> Path:
    """Train, or go on where the run was stopped; runs that it builds on come first.

    Args:
        trial: The run.
        data: Folder of the data set.
        folder: Folder of all runs.

    Returns:
        The checkpoint of the last epoch. Not the best one: what is measured on the frames that it
        was chosen by is too good.

    Raises:
        DataError: The configuration, the data or a part of it does not fit.
    """
    out = folder / trial.name
    start = train_trial(trial.init, data, folder) if trial.init else trial.bundle
    teacher = train_trial(trial.teacher, data, folder) if trial.teacher else None
    settings = json.dumps({'data': str(data), **trial.settings()}, indent=2)
    if _text(out / _SETTINGS) != settings:
        shutil.rmtree(out, ignore_errors=True)  # a run with other settings
    last = out / 'checkpoints' / 'last.ckpt'
    if (out / _TRAINED).is_file() and last.is_file():
        return last
    out.mkdir(parents=True, exist_ok=True)
    config = {**trial.config, 'loss': {**trial.config.get('loss', {})}}
    if teacher:
        config['loss']['teacher'] = str(teacher)
    (out / 'run.yaml').write_text(yaml.safe_dump(config, sort_keys=False))
    (out / _SETTINGS).write_text(settings)
    arguments: list[object] = ['--config', out / 'run.yaml', '--data', data, '--out', out]
    arguments += ['--precision', trial.precision]
    if start:
        arguments += ['--init', start]
    if last.is_file() and not _whole(last):
        last.unlink()  # the stop came while it was written: the run starts again
    if last.is_file():
        arguments += ['--resume']
    trial.program(_options(cli_train.add_arguments, arguments))
    (out / _TRAINED).touch()
    return last


def export_trial(checkpoint: Path, data: Path) -> Path:
    """Export the checkpoint of a trial, in place of an earlier export.

    Args:
        checkpoint: From `train_trial`.
        data: Folder of the data set.

    Returns:
        The bundle.

    Raises:
        DataError: The exported graphs do not agree with the network.
    """
    out = checkpoint.parents[1] / 'bundle'
    shutil.rmtree(out, ignore_errors=True)
    arguments: list[object] = ['--checkpoint', checkpoint, '--data', data, '--out', out]
    cli_export.main(_options(cli_export.add_arguments, arguments))
    return out


def count_parameters(checkpoint: Path) -> int:
    """Return how many numbers of a network were trained, statistics of norms left out."""
    state = torch.load(checkpoint, map_location='cpu', weights_only=True)['state_dict']
    return sum(
        value.numel()
        for name, value in state.items()
        if name.startswith('network.') and not name.endswith(_STATISTICS)
    )


def _options(
    declare: Callable[[argparse.ArgumentParser], None], arguments: Sequence[object]
) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    declare(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ''


def _whole(path: Path) -> bool:
    try:
        torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
        return False
    return True
