# SPDX-License-Identifier: Apache-2.0
"""One graph per module: starting processes is what takes the time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ros.harness import Diagnostics, Graph
from tests.ros.secured import Keystore, make_keys
from tests.tiny_bundle import make_tiny_bundle

from mtl_split_core.bundle import Bundle


@pytest.fixture(scope='module')
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    graph = Graph(tmp_path_factory.mktemp('logs'))
    yield graph
    assert set(graph.close()) <= {0, 2}


@pytest.fixture(scope='module')
def diagnostics(graph: Graph) -> Diagnostics:
    return Diagnostics(graph)


@pytest.fixture(scope='session')
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp('others') / 'other', seed=1, name='other')


@pytest.fixture(scope='session')
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Keystore:
    """One for all tests: making keys takes half a minute."""
    return make_keys(tmp_path_factory.mktemp('keys'))


@pytest.fixture
def secured(keystore: Keystore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Graph]:
    """A graph whose observer is an enclave of its own; the environment is set for the nodes."""
    keystore.set(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setenv('ROS_SECURITY_ENCLAVE_OVERRIDE', '/observer')
        graph = Graph(tmp_path, keystore.domain)
    yield graph
    assert set(graph.close()) <= {0}
