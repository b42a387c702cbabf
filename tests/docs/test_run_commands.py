# SPDX-License-Identifier: Apache-2.0
"""`mtl-split` as the documents write it, run in a folder with what the commands name."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from mtl_split.msg import FeatureMap
from tests.docs.made_clone import make_bag, make_camvid
from tests.docs.runners import IN_PROCESS, of
from tests.docs.test_commands import ROOT
from tests.ros.harness import Graph
from tests.tools.commands import environment, started
from tests.tools.test_demo import make_data

from mtl_split_core.bundle import Bundle
from mtl_split_tools.cli import main

RUN = of(IN_PROCESS)
ON_A_GRAPH = {'doctor': 1, 'replay': 0}
"""Commands that look for nodes, and how they end: the doctor finds none."""


@pytest.fixture(scope='module')
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_camvid(tmp_path_factory.mktemp('named'))


@pytest.fixture(scope='module')
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    graph = Graph(tmp_path_factory.mktemp('logs'))
    yield graph
    graph.close()


@pytest.fixture
def clone(tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which everything has the names that the documents give it."""
    monkeypatch.setenv('MTL_SPLIT_BUNDLES', str(bundle.path.parent))
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'samples').symlink_to(ROOT / 'samples')
    shutil.copytree(bundle.path, tmp_path / 'models' / 'camvid')
    for name in ('a', 'b'):
        copy = shutil.copytree(bundle.path, tmp_path / 'out' / name)
        assert list(copy.glob('profile-*.yaml'))
    make_bag(tmp_path / 'BAG', '/image')
    for name in ('DIR', 'FOLDER_OR_VIDEO'):
        make_data(tmp_path / name, 2)
    return tmp_path


def prepare(clone: Path, words: Sequence[str]) -> None:
    """What another page, or another command before it, would have left."""
    if 'my_bag' in words and words[0] == 'annotate':
        make_bag(clone / 'my_bag', '/camera/image_raw')
    if 'out/demo/results.mcap' in words and not (clone / 'out/demo').exists():
        assert main(['annotate', 'BAG', '--out', 'out/demo', '--no-video']) == 0


@pytest.mark.parametrize('page', RUN)
def test_commands_run(page: str, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _, *words in RUN[page]:
        if words[0] in ON_A_GRAPH:
            continue
        prepare(clone, words)
        if words[-1] == '--help':
            with pytest.raises(SystemExit, match='0'):
                main(words)
            continue
        with monkeypatch.context() as patch:
            if words[0] == 'eval':
                # it has the rate that the small one lacks
                patch.setenv('MTL_SPLIT_BUNDLES', str(ROOT / 'models'))
            assert main(words) == 0, words
        for option in ('--out', '--save', '--json', '--plot'):
            if option in words:
                assert (clone / words[words.index(option) + 1]).exists()


@pytest.mark.ros(beside=True)
def test_commands_run_on_a_graph(clone: Path, graph: Graph) -> None:
    """All at once, for they wait most of their time; a reader of what is replayed is there."""
    texts = {' '.join(words[1:]) for page in RUN.values() for words in page}
    chosen = sorted(text for text in texts if text.split()[0] in ON_A_GRAPH)
    assert {text.split()[0] for text in chosen} == ON_A_GRAPH.keys()
    # the doctors, which take a replay for an edge and subscribe it, have a domain to themselves
    domains = {'doctor': graph.domain % 100 + 1, 'replay': graph.domain}
    with graph.recording(FeatureMap, '/features', writers=0), ExitStack() as stack:
        running = []
        for text in chosen:
            prepare(clone, text.split())
            env = environment(domains[text.split()[0]])
            running.append((text, stack.enter_context(started(*text.split(), env=env))))
        for text, process in running:
            out, err = process.communicate(timeout=60)
            assert process.returncode == ON_A_GRAPH[text.split()[0]], f'{text}\n{out}{err}'
            if '--wait-for-subscribers 1' in text:
                assert re.search(r'/features .*│ 1 ', out), out


def test_there_are_commands_to_run() -> None:
    assert sum(map(len, RUN.values())) >= 15
