# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mtl_split_ros.discovery import VARIABLES, announce_often


def test_our_profile_is_named_where_there_is_none() -> None:
    environment: dict[str, str] = {}
    announce_often(environment)
    path = Path(environment[VARIABLES[0]])
    assert ElementTree.parse(path).getroot().tag.endswith('dds')


@pytest.mark.parametrize('name', VARIABLES)
def test_a_profile_of_the_user_stays(name: str) -> None:
    environment = {name: 'mine.xml'}
    announce_often(environment)
    assert environment == {name: 'mine.xml'}
