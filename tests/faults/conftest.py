# SPDX-License-Identifier: Apache-2.0
"""One drive per module: starting processes is what takes the time."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.drive import Drive, write_made_profile
from tests.tiny_bundle import make_tiny_bundle

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_tools.lab import Lab

CAMVID = Path(__file__).parents[2] / 'models' / 'camvid'


@pytest.fixture(scope='module')
def small(lab_rights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """With networks that take no time, so that the faults are what is seen."""
    bundle = make_tiny_bundle(tmp_path_factory.mktemp('bundles') / 'tiny')
    write_made_profile(bundle, edge_ms=8.0, server_ms=8.0, local_ms=12.0)
    with Lab(tmp_path_factory.mktemp('lab')) as lab:
        yield Drive(lab, bundle, rate=10.0, deadline_s=0.25)


@pytest.fixture(scope='module')
def real(lab_rights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """With the bundle that ships, whose payloads fill a slow link."""
    copy = tmp_path_factory.mktemp('bundles') / 'camvid'
    shutil.copytree(CAMVID, copy)
    bundle = load_bundle(copy)
    write_made_profile(bundle, edge_ms=12.0, server_ms=25.0, local_ms=60.0)
    with Lab(tmp_path_factory.mktemp('lab')) as lab:
        yield Drive(lab, bundle, rate=8.0, deadline_s=0.4)


@pytest.fixture(scope='session')
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp('others') / 'other', seed=1, name='other')


@pytest.fixture
def drive(request: pytest.FixtureRequest) -> Iterator[Drive]:
    """`small` or `real`, as the module says; healthy at first, and judged at the end."""
    drive: Drive = request.getfixturevalue(request.module.DRIVE)
    drive.settle()
    yield drive
    drive.check()
