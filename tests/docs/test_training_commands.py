# SPDX-License-Identifier: Apache-2.0
"""`train` as the documents write it, with configurations of seconds."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.runners import TRAINING, of
from tests.docs.test_commands import ROOT
from tests.tiny_dataset import make_dataset

from mtl_split_tools.cli import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not find_spec('lightning'), reason='needs scripts/setup train'),
]

SIDE = 64
SQUARE = {'input_width': SIDE, 'input_height': SIDE, 'crop_width': SIDE, 'crop_height': SIDE}
ONCE = {'epochs': 1, 'batch_size': 2}
LADON = {
    'network': {'backbone': 'resnet18', 'width': 16, 'representation': 32, 'proposals': 12},
    'data': {**SQUARE, 'workers': 0},
    'stages': dict.fromkeys(('teacher', 'mimic', 'distil', 'detection', 'segmentation'), ONCE),
    'betas': [1.28],
    'validate_every': 9,
}
SHORT: dict[str, dict[str, Any]] = {
    'camvid.yaml': {
        'network': {'width': 32, 'depth': 1, 'head_width': 32},
        'data': {**SQUARE, 'workers': 0},
        'schedule': {**ONCE, 'validate_every': 1},
    },
    'mtl_split_shapes.yaml': {
        'data': {'limit': 12, 'input_width': 32, 'input_height': 32, 'workers': 0},
        'schedule': ONCE,
    },
    'ladon.yaml': LADON,
    'ladon_camvid_small.yaml': LADON,
    'ladon_extended.yaml': {**LADON, 'stages': {'teacher': ONCE, 'joint': ONCE}},
}
"""What is changed in each configuration that ships."""


def merged(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {
        **content,
        **{
            key: merged(content.get(key) or {}, value) if isinstance(value, dict) else value
            for key, value in changes.items()
        },
    }


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the configurations under their names, and pictures of noise."""
    (tmp_path / 'experiments').mkdir()
    for name, changes in SHORT.items():
        content = yaml.safe_load((ROOT / 'experiments' / name).read_text())
        (tmp_path / 'experiments' / name).write_text(yaml.safe_dump(merged(content, changes)))
    for data in ('DIR', 'data/camvid'):
        make_dataset(tmp_path / data / 'train', frames=2)
        make_dataset(tmp_path / data / 'val', frames=2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    return tmp_path


@pytest.mark.parametrize('page', of(TRAINING))
def test_they_train(page: str, clone: Path) -> None:
    for _, *words in of(TRAINING)[page]:
        assert main(words) == 0, words
        assert list((clone / 'out/train').rglob('last.ckpt')), words


def test_each_configuration_is_there() -> None:
    written = {
        Path(words[words.index('--config') + 1]).name
        for page in of(TRAINING).values()
        for words in page
    }
    assert written == SHORT.keys()
