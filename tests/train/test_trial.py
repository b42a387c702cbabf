# SPDX-License-Identifier: Apache-2.0
"""Runs of an experiment survive a stop at any moment, and are not mistaken for each other."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl_split_train.config import load_config
from mtl_split_train.trial import Trial, count_parameters, train_trial

CONFIG: dict[str, Any] = {
    'bundle': {'name': 'x', 'version': '1.0.0', 'description': 'd', 'licence': 'l'},
    'schedule': {'epochs': 3},
}


class Program:
    """Writes checkpoints as a training does, and stops where it is told to."""

    def __init__(self) -> None:
        self.runs: list[argparse.Namespace] = []
        self.stop = False

    def __call__(self, options: argparse.Namespace) -> int:
        self.runs.append(options)
        path = options.out / 'checkpoints/last.ckpt'
        path.parent.mkdir(exist_ok=True)
        torch.save({'state_dict': {'network.a': torch.zeros(3), 'network.running_var': 1}}, path)
        if self.stop:
            raise KeyboardInterrupt
        return 0


def test_a_run_is_made_once_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    program = Program()
    trial = Trial('one', CONFIG, program=program)
    program.stop = True
    with pytest.raises(KeyboardInterrupt):
        train_trial(trial, tmp_path, tmp_path)
    program.stop = False
    last = train_trial(trial, tmp_path, tmp_path)
    assert train_trial(trial, tmp_path, tmp_path) == last
    assert [run.resume for run in program.runs] == [False, True]
    assert load_config(tmp_path / 'one/run.yaml').schedule.epochs == 3


def test_a_checkpoint_cut_off_in_the_middle_starts_the_run_again(tmp_path: Path) -> None:
    program = Program()
    trial = Trial('one', CONFIG, program=program)
    program.stop = True
    with pytest.raises(KeyboardInterrupt):
        train_trial(trial, tmp_path, tmp_path)
    last = tmp_path / 'one/checkpoints/last.ckpt'
    last.write_bytes(last.read_bytes()[:100])
    program.stop = False
    train_trial(trial, tmp_path, tmp_path)
    assert [run.resume for run in program.runs] == [False, False]


def test_other_settings_or_data_are_another_run(tmp_path: Path) -> None:
    program = Program()
    other = {**CONFIG, 'schedule': {'epochs': 4}}
    train_trial(Trial('one', CONFIG, program=program), tmp_path, tmp_path)
    train_trial(Trial('one', other, program=program), tmp_path, tmp_path)
    train_trial(Trial('one', other, program=program), tmp_path / 'data', tmp_path)
    before = Trial('before', CONFIG, program=program)
    train_trial(Trial('one', other, program=program, init=before), tmp_path, tmp_path)
    assert [run.resume for run in program.runs] == [False] * 5


def test_what_a_run_builds_on_comes_first(tmp_path: Path) -> None:
    program = Program()
    body = Trial('body', CONFIG, program=program)
    last = train_trial(
        Trial('one', CONFIG, body, teacher=body, program=program), tmp_path, tmp_path
    )
    assert [run.out.name for run in program.runs] == ['body', 'one']
    start = tmp_path / 'body/checkpoints/last.ckpt'
    assert [run.init for run in program.runs] == [None, start]
    assert load_config(tmp_path / 'one/run.yaml').loss.teacher == str(start)
    assert load_config(tmp_path / 'body/run.yaml').loss.teacher == ''
    assert last == tmp_path / 'one/checkpoints/last.ckpt'


def test_statistics_are_no_parameters(tmp_path: Path) -> None:
    last = train_trial(Trial('one', CONFIG, program=Program()), tmp_path, tmp_path)
    assert count_parameters(last) == 3
