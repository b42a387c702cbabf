# SPDX-License-Identifier: Apache-2.0
"""One graph per module: starting processes is what takes the time."""

from collections.abc import Iterator

import pytest
from tests.ros.harness import Diagnostics, Graph
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
