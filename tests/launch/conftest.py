# SPDX-License-Identifier: Apache-2.0
"""What the tests of `ros2 launch` share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.domains import own_domain
from tests.launch.launched import Launched


@pytest.fixture(scope='module')
def environment() -> dict[str, str]:
    """A graph of its own; a child finds the libraries of ROS 2 from PyPI itself."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith('_ROS_WHEELS')},
        'ROS_DOMAIN_ID': str(own_domain()),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'PYTHONUNBUFFERED': '1',
    }


@pytest.fixture
def launched(environment: dict[str, str], tmp_path: Path) -> Iterator[Launched]:
    launched = Launched(environment, tmp_path / 'output')
    yield launched
    launched.end()
