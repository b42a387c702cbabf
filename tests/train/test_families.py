# SPDX-License-Identifier: Apache-2.0
"""Which family a configuration or a checkpoint is of, and what happens to those of another."""

import argparse
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.train.project import CONFIG, run, train, write_config

from mtl_split_core.errors import DataError
from mtl_split_train import cli_export, cli_train, families, split_family


@pytest.mark.parametrize('name', families.FAMILIES)
def test_every_family_trains_and_exports(name: str) -> None:
    found = families.load_family(name, 'here')
    assert callable(found.train)
    assert callable(found.export)


@pytest.mark.parametrize('content', [{'a': 1}, {'a': 1, 'family': 'split'}])
def test_without_a_name_it_is_our_own(content: dict[str, Any]) -> None:
    found, rest = families.find_family(content, 'here')
    assert found is split_family
    assert rest == {'a': 1}


@pytest.mark.parametrize('content', [None, [], 'text'])
def test_what_is_no_mapping_is_left_to_our_own(content: Any) -> None:
    assert families.find_family(content, 'here') == (split_family, content)


@pytest.mark.parametrize('name', ['moon', None, 3, ['split']])
def test_an_unknown_family_lists_the_known_ones(name: Any, tmp_path: Path) -> None:
    path = tmp_path / 'run.yaml'
    path.write_text(yaml.safe_dump({'family': name, **CONFIG}))
    with pytest.raises(DataError, match=r'run\.yaml: family is .*one of split, mtl_split'):
        run(cli_train, '--config', path)


def test_the_name_of_our_own_family_changes_nothing(project: Path, tmp_path: Path) -> None:
    write_config(tmp_path, schedule={'epochs': 1, 'validate_every': 1})
    shutil.copytree(project / 'data', tmp_path / 'data')
    assert train(tmp_path, out='first') == 0
    path = tmp_path / 'run.yaml'
    path.write_text('family: split\n' + path.read_text())
    assert train(tmp_path, out='second') == 0
    first, second = (
        torch.load(tmp_path / out / 'checkpoints/last.ckpt', weights_only=True)['state_dict']
        for out in ('first', 'second')
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_checkpoint_says_its_family(tmp_path: Path, project: Path) -> None:
    path = tmp_path / 'x.ckpt'
    torch.save({'family': 'mtl_split'}, path)
    assert families.checkpoint_family(path) == 'mtl_split'
    assert families.checkpoint_family(project / 'out/checkpoints/last.ckpt') == families.DEFAULT
    path.write_bytes(b'nothing')
    assert families.checkpoint_family(path) == families.DEFAULT
    assert families.checkpoint_family(tmp_path / 'none.ckpt') == families.DEFAULT


def test_a_checkpoint_of_an_unknown_family(tmp_path: Path) -> None:
    path = tmp_path / 'x.ckpt'
    torch.save({'family': 'moon'}, path)
    with pytest.raises(DataError, match=r"x\.ckpt: family is 'moon'; it must be one of split, mtl"):
        run(cli_export, '--checkpoint', path, '--out', tmp_path / 'bundle')


def test_a_run_of_another_family_is_not_resumed(project: Path, tmp_path: Path) -> None:
    write_config(tmp_path)
    shutil.copytree(project / 'data', tmp_path / 'data')
    last = tmp_path / 'out/checkpoints/last.ckpt'
    last.parent.mkdir(parents=True)
    torch.save({'family': 'mtl_split'}, last)
    wanted = r"last\.ckpt is a checkpoint of family 'mtl_split', not of 'split': .*`family: mtl"
    with pytest.raises(DataError, match=wanted):
        train(tmp_path, '--resume')


def test_an_option_of_another_family_is_refused() -> None:
    options = argparse.Namespace(int8=True, unweight=0.0)
    families.refuse(options, 'mtl_split', 'unweight')
    with pytest.raises(DataError, match="--int8 is not for family 'mtl_split': leave it out"):
        families.refuse(options, 'mtl_split', 'unweight', 'int8')
