# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench --rival-bundle`: which ways another bundle adds, and what is kept of them."""

from pathlib import Path

import pytest
from tests.tiny_bundle import make_tiny_bundle

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import DataError
from mtl_split_tools.bench.other_bundles import as_split, is_of, load_others, named, ways_of
from mtl_split_tools.bench.plan import by_session, check_ways, make_turns
from mtl_split_tools.link_bench.judge import Judge


@pytest.fixture(scope='module')
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judge]:
    folder = tmp_path_factory.mktemp('other')
    other = make_tiny_bundle(folder / 'bundle', seed=1, name='other')
    return load_others([str(other.path)], folder / 'answers')


def test_other_bundles_get_ways_and_nodes_of_their_own(
    tiny_bundle: Bundle, others: dict[str, Judge]
) -> None:
    theirs = ways_of(others)
    assert theirs == [f'other:{rate}' for rate in range(len(others['other'].bundle.rates))]
    ways = ['raw', *theirs, 'split:0', 'jpeg:80']
    check_ways(ways, tiny_bundle, others)
    with pytest.raises(DataError, match='other:99 is no way of that bundle: there are other:0'):
        check_ways(['other:99'], tiny_bundle, others)
    with pytest.raises(DataError, match='other:0 is no way'):
        check_ways(['other:0'], tiny_bundle)
    turns = make_turns(ways, ('unlimited',), 2)
    groups = [
        (name, [turn.cell.way for turn in group]) for name, group in by_session(turns, others)
    ]
    assert [name for name, _ in groups] == 2 * ['other', '', 'raw']
    assert groups[0][1] == theirs
    assert as_split(turns[0].cell).way == 'split:0'


def test_what_was_measured_with_another_bundle_of_that_name_does_not_count(
    others: dict[str, Judge],
) -> None:
    found = named({}, 'other:0', others)
    assert (found['transport'], is_of(found, others)) == ('other:0', True)
    assert not is_of({**found, 'fingerprint': '00'}, others)
    assert not is_of({'transport': 'other:0'}, others)
    assert is_of({'transport': 'raw'}, others)


def test_bundles_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    for name, text in (('split', 'is named split'), ('twice', 'is named twice')):
        path = str(make_tiny_bundle(tmp_path / name, seed=1, name=name).path)
        with pytest.raises(DataError, match=text):
            load_others([path, path], tmp_path)
