# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from mtl_split_core.errors import MtlSplitError
from mtl_split_ros.snapshot import write_snapshot


def test_two_in_one_second(tmp_path: Path) -> None:
    places = [write_snapshot(tmp_path, '/front/edge', {'a.txt': 'a', 'b/c': b'c'}) for _ in '123']
    assert len(set(places)) == 3
    for place in places:
        assert 'front_edge' in place.name
        assert (place / 'a.txt').read_text() == 'a'
        assert (place / 'b/c').read_bytes() == b'c'
    assert len(list(tmp_path.iterdir())) == 3


def test_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    place = write_snapshot(Path('~/.ros/mtl_split/snapshots'), '/edge', {})
    assert place.parent == tmp_path / '.ros/mtl_split/snapshots'


def test_nothing_is_half_written(tmp_path: Path) -> None:
    """An error in the middle leaves neither a folder nor the unfinished one."""
    with pytest.raises(MtlSplitError, match=r'no snapshot: .*parameter snapshot_dir'):
        write_snapshot(tmp_path, '/edge', {'a.txt': 'a', 'a.txt/b': 'no folder'})
    assert list(tmp_path.iterdir()) == []
