# SPDX-License-Identifier: Apache-2.0
"""Runs that start from a bundle, also one of other classes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.project import CONFIG, train, write_config, write_data

from mtl_split_core.errors import BackendError, DataError
from mtl_split_train import families
from mtl_split_train.config import parse_config
from mtl_split_train.initialise import initialise
from mtl_split_train.module import SplitModule, config_mapping
from mtl_split_train.samples import Classes
from mtl_split_train.torch_weights import read_facts

# The first of these trains the project.
pytestmark = pytest.mark.timeout(300)

OWN = Classes(('lorry',), ('ground', 'lorry'), 'weather', ('dry', 'wet', 'snow'))


@pytest.fixture
def bundle(bundle_folder: Path, tmp_path: Path) -> Path:
    """A copy, which a test may damage."""
    folder = tmp_path / 'from'
    shutil.copytree(bundle_folder, folder)
    return folder


def make_module(classes: Classes, **network: Any) -> SplitModule:
    config = parse_config({**CONFIG, 'network': {**CONFIG['network'], **network}})
    torch.manual_seed(1)
    weights = [1.0] * len(classes.segmentation)
    return SplitModule(config_mapping(config), classes.mapping(), weights)


def test_other_classes_keep_all_but_their_last_layers(bundle: Path) -> None:
    module = make_module(OWN)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    anew = initialise(module, bundle)
    assert {name.split('.')[2] for name in anew} == {'detection', 'segmentation', 'classification'}
    after = module.state_dict()
    for name in anew:
        assert torch.equal(after[name], before[name]), name
    body = [n for n in after if n.startswith('network.encoder.') and n.endswith('0.weight')]
    assert body
    assert not any(torch.equal(after[name], before[name]) for name in body)


def test_tasks_that_the_source_lacks_and_has(bundle: Path) -> None:
    alone = make_module(Classes((), ('a', 'b'), '', ()))
    assert all('.segmentation.' in name for name in initialise(alone, bundle))


@pytest.mark.parametrize('task', ['detection', 'segmentation', 'classification'])
def test_one_task_of_three_keeps_all_that_it_has(bundle: Path, task: str) -> None:
    module = make_module(read_facts(bundle / 'tail.safetensors')[1].only((task,)))
    assert initialise(module, bundle) == []


def test_what_is_no_source_is_named(bundle: Path, tmp_path: Path) -> None:
    module = make_module(OWN, width=48)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(DataError, match=r'of another network.*; give another --init'):
        initialise(module, bundle)
    assert all(torch.equal(value, before[n]) for n, value in module.state_dict().items())
    other = tmp_path / 'other.ckpt'
    torch.save({families.KEY: 'ladon', 'state_dict': {}}, other)
    with pytest.raises(DataError, match=r"other\.ckpt is a checkpoint of family 'ladon', not of"):
        initialise(module, other)
    missing = tmp_path / 'no.ckpt'
    damaged = tmp_path / 'damaged.ckpt'
    damaged.write_bytes(b'nothing')
    for path in (missing, damaged):
        with pytest.raises(DataError, match='is no checkpoint'):
            initialise(make_module(OWN), path)
    (bundle / 'tail.safetensors').write_bytes(b'nothing')
    with pytest.raises(BackendError, match='damaged'):
        initialise(make_module(OWN), bundle)
    (bundle / 'tail.safetensors').unlink()
    with pytest.raises(DataError, match='--with-torch'):
        initialise(make_module(OWN), bundle)


def test_a_run_on_own_classes_from_a_bundle(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(tmp_path)
    for path in sorted((tmp_path / 'data').glob('*/annotations.json')):
        content = json.loads(path.read_text())
        content['attribute'] = {'name': 'weather', 'values': ['day', 'dusk', 'fog']}
        for image in content['images']:
            image['weather'] = image.pop('time_of_day')
        path.write_text(json.dumps(content))
    write_config(tmp_path, schedule={'epochs': 1})
    assert train(tmp_path, '--init', bundle) == 0
    assert 'for other classes, so these start anew: network.tail.cla' in capsys.readouterr().out
