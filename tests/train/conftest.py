# SPDX-License-Identifier: Apache-2.0
"""A run and its bundle, made once for all tests of this room."""

from importlib import import_module
from pathlib import Path

import pytest

# Imported where it is used: the tests of the data formats run without torch, too.
HELPERS = 'tests.train.project'


@pytest.fixture(scope='session')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a configuration and a finished run."""
    made: Path = import_module(HELPERS).make_project(tmp_path_factory.mktemp('project'))
    return made


@pytest.fixture(scope='session')
def bundle_folder(project: Path) -> Path:
    """The bundle of that run, with what the torch backend wants."""
    folder = project / 'bundle'
    assert import_module(HELPERS).export(project, folder, '--with-torch') == 0
    return folder
