# SPDX-License-Identifier: Apache-2.0
"""A wrong configuration is refused before any time is spent."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl_split_core.errors import DataError
from mtl_split_train import families
from mtl_split_train.config import load_config, parse_config, read_config
from mtl_split_train.module import config_mapping

BUNDLE = {'name': 'x', 'version': '1.0.0', 'description': 'd', 'licence': 'l'}
TASKS = ('detection', 'segmentation', 'classification')


def test_shipped_configurations_load() -> None:
    for path in (Path(__file__).parents[2] / 'experiments').glob('*.yaml'):
        content = read_config(path)
        # Those of the other families, and those that are no runs, have tests of their own.
        if 'bundle' in content and families.KEY not in content:
            assert load_config(path).bundle.name


def test_round_trip() -> None:
    config = parse_config({'bundle': BUNDLE, 'rates': {'targets': [500, 1000], 'default': 1}})
    assert parse_config(config_mapping(config)) == config
    assert config.rates.targets == [500.0, 1000.0]


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        ({}, 'bundle is missing'),
        ({'bundle': BUNDLE, 'netwrk': {}}, 'netwrk is not known; known here: bundle, network'),
        ({'bundle': BUNDLE, 'network': {'stage': 'x'}}, "network.stage is 'x'; it must be int"),
        ({'bundle': BUNDLE, 'network': {'stage': True}}, 'network.stage is True; it must be int'),
        ({'bundle': BUNDLE, 'network': 3}, 'network. must be a mapping, not int'),
        ({'bundle': BUNDLE, 'rates': {'targets': [3, 'a']}}, r'rates.targets\[1\] is .a.'),
        ({'bundle': BUNDLE, 'rates': {'targets': [2000, 1000]}}, 'smallest first'),
        ({'bundle': BUNDLE, 'rates': {'targets': [1000], 'default': 1}}, 'there are rates 0 to 0'),
        ({'bundle': BUNDLE, 'data': {'crop_width': 100}}, 'multiple of 16'),
        ({'bundle': BUNDLE, 'data': {'scale_min': 2.0}}, 'scale_min'),
        ({'bundle': BUNDLE, 'network': {'detail_channels': 24}}, 'must be a multiple of 16'),
        (
            {'bundle': BUNDLE, 'network': {'detail_channels': 16, 'detail_stride': 16}},
            'network.detail_stride is 16; it must be 4 or 8 and below network.stride, 16',
        ),
        ({'bundle': BUNDLE, 'rates': {'finer': [2, 1.5]}}, r'rates.finer is \[2.0, 1.5\]'),
        ({'bundle': BUNDLE, 'rates': {'unquantised': 1.1}}, 'rates.unquantised is 1.1'),
        ({'bundle': BUNDLE, 'data': {'jpeg': 2}}, 'data.jpeg is 2.0; it is a chance'),
        ({'bundle': BUNDLE, 'data': {'paste': 2}}, 'data.paste is 2.0; it is a chance'),
        (
            {'bundle': BUNDLE, 'data': {'photometric': -1}},
            'data.photometric is -1.0; it is a chance',
        ),
        (
            {'bundle': BUNDLE, 'data': {'jpeg_quality_min': 96}},
            'data.jpeg_quality_min..jpeg_quality_max is 96..95',
        ),
        (
            {'bundle': BUNDLE, 'loss': dict.fromkeys(TASKS, 0.0)},
            'loss.detection, loss.segmentation and loss.classification are all 0',
        ),
        ([], 'must be a mapping, not list'),
    ],
)
def test_errors_name_the_key(content: Any, text: str, tmp_path: Path) -> None:
    path = tmp_path / 'run.yaml'
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(DataError, match=text) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_yaml(tmp_path: Path) -> None:
    path = tmp_path / 'run.yaml'
    path.write_text('a: [1')
    with pytest.raises(DataError, match='is not YAML'):
        load_config(path)
    with pytest.raises(DataError, match='cannot be read'):
        load_config(tmp_path / 'none.yaml')
