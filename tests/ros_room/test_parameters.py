# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import pytest
import yaml

from mtl_split_core.errors import MtlSplitError
from mtl_split_edge.parameters import EDGE_PARAMETERS
from mtl_split_ros.parameters import ParameterSpec, config_file, markdown_table
from mtl_split_server.parameters import SERVER_PARAMETERS

ROOT = Path(__file__).parents[2]
NODES = {'edge': EDGE_PARAMETERS, 'server': SERVER_PARAMETERS}


@pytest.mark.parametrize('node', NODES)
def test_config_file_holds_every_default(node: str) -> None:
    document = yaml.safe_load(config_file(node, NODES[node]))
    values = document[f'/**/{node}']['ros__parameters']
    for spec in NODES[node]:
        default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
        assert values[spec.name] == default
        assert type(values[spec.name]) is type(default)


@pytest.mark.parametrize('node', NODES)
def test_the_table_has_a_row_per_parameter(node: str) -> None:
    rows = markdown_table(NODES[node]).splitlines()
    assert len(rows) == len(NODES[node]) + 2
    assert all(row.count('|') == 5 for row in rows)


@pytest.mark.parametrize('node', NODES)
def test_defaults_are_allowed(node: str) -> None:
    for spec in NODES[node]:
        spec.check(spec.default)
        assert spec.text.endswith('.')
        assert spec.descriptor().read_only is not spec.live


def test_a_wrong_choice_is_named() -> None:
    spec = ParameterSpec('codec', 'entropy', 'Text.', choices=('entropy', 'float16'))
    with pytest.raises(MtlSplitError, match="codec is 'zip'; choose one of: entropy, float16"):
        spec.check('zip')


@pytest.mark.parametrize('node', NODES)
def test_readme_and_config_files_are_up_to_date(node: str) -> None:
    how = f'write it anew: python3 -m mtl_split_{node}.parameters'
    readme = ROOT / 'README.md'
    section = rf'<!-- parameters: {node} -->\n(.*?)<!-- end -->'
    found = re.search(section, readme.read_text() if readme.exists() else '', re.DOTALL)
    if found:
        assert found[1].strip() == markdown_table(NODES[node]).strip(), how
    config = ROOT / 'config' / f'{node}.yaml'
    if config.exists():
        text = config.read_text()
        assert text[text.index('# Parameters of') :] == config_file(node, NODES[node]), how
