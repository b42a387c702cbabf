# SPDX-License-Identifier: Apache-2.0
"""Recordings: every storage and age reads alike, damage is one line, nothing is half-written."""

import argparse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from tests.tools.commands import fails, stamp, write_humble_points, write_points

from mtl_split_core.errors import DataError
from mtl_split_tools import replay
from mtl_split_tools.annotate import command as annotate
from mtl_split_tools.bags import (
    is_bag,
    message_stamp,
    open_bag,
    write_bag,
    write_mcap,
)
from mtl_split_tools.cli import main
from mtl_split_tools.demo import command as demo
from mtl_split_tools.shipped import bag_path, shipped_bag
from mtl_split_tools.view import command as view

KINDS: dict[str, Callable[[Path], Path]] = {
    'mcap': write_points,
    'mcap, zstd chunks': lambda p: write_points(p, compression=CompressionMode.STORAGE),
    'mcap, zstd file': lambda p: write_points(p, compression=CompressionMode.FILE),
    'mcap, zstd messages': lambda p: write_points(p, compression=CompressionMode.MESSAGE),
    'sqlite3': lambda p: write_points(p, storage=StoragePlugin.SQLITE3),
    'sqlite3, zstd file': lambda p: write_points(
        p, storage=StoragePlugin.SQLITE3, compression=CompressionMode.FILE
    ),
    'sqlite3, zstd messages': lambda p: write_points(
        p, storage=StoragePlugin.SQLITE3, compression=CompressionMode.MESSAGE
    ),
    'sqlite3 of Humble': write_humble_points,
}


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_reads_alike(tmp_path: Path, kind: str) -> None:
    with open_bag(KINDS[kind](tmp_path / 'bag')) as bag:
        (connection,) = bag.connections
        assert (connection.topic, connection.msgcount) == ('/points', 10)
        found = list(bag.messages([connection]))
        assert [moment for _, moment, _ in found] == [stamp(n) for n in range(10)]
        for number, (_, moment, data) in enumerate(found):
            assert message_stamp(data) == divmod(moment, 10**9)
            message = bag.deserialize(data, connection.msgtype)
            assert message.point.x == number  # type: ignore[attr-defined]
        assert len(list(bag.messages([connection], stamp(7)))) == 3


def test_single_files_read_without_metadata(tmp_path: Path) -> None:
    write_points(tmp_path / 'a')
    write_points(tmp_path / 'b', storage=StoragePlugin.SQLITE3)
    for file in (tmp_path / 'a/a.mcap', tmp_path / 'b/b.db3'):
        with open_bag(file) as bag:
            assert len(list(bag.messages(bag.connections))) == 10


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_metadata_with_another_qos_than_the_files(tmp_path: Path, storage: StoragePlugin) -> None:
    """As `ros2 bag reindex` writes it: a depth that the recorder has not stored."""
    path = write_points(tmp_path / 'bag', storage=storage)
    metadata = path / 'metadata.yaml'
    text = metadata.read_text()
    assert 'depth: 10' in text
    metadata.write_text(text.replace('depth: 10', 'depth: 7'))
    with open_bag(path) as bag:
        assert [connection.msgcount for connection in bag.connections] == [10]
        assert len(list(bag.messages(bag.connections))) == 10


def test_what_is_left_of_a_recording_is_one_to_be_repaired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_points(tmp_path / 'bag')
    (path / 'metadata.yaml').unlink()
    assert is_bag(path)
    for command in ('inspect', 'replay'):
        assert 'by `ros2 bag reindex`, and that of a recorder that' in fails(capsys, command, path)
    assert not is_bag(tmp_path)


def test_shipped_clips_have_names() -> None:
    clip = shipped_bag('camvid_val')
    assert clip
    assert is_bag(clip)
    assert shipped_bag('nowhere') is None


@pytest.mark.parametrize(
    ('module', 'words', 'option'),
    [
        (replay, 'camvid_val', 'bag'),
        (annotate, 'camvid_val', 'bag'),
        (view, 'camvid_val', 'bag'),
        (view, 'my_bag --beside camvid_val', 'beside'),
        (demo, '--bag camvid_val', 'bag'),
    ],
)
def test_every_command_that_reads_a_recording_knows_them(
    module: ModuleType, words: str, option: str
) -> None:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    assert getattr(parser.parse_args(words.split()), option) == shipped_bag('camvid_val')


def test_inspect_knows_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['inspect', 'camvid_val']) == 0
    assert '/image/compressed' in capsys.readouterr().out


def test_a_path_comes_before_the_name_of_a_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_points(tmp_path / 'camvid_val')
    assert bag_path('camvid_val') == Path('camvid_val')
    assert bag_path('nowhere') == Path('nowhere')


def truncate(name: str) -> Callable[[Path], None]:
    def apply(bag: Path) -> None:
        data = (bag / name).read_bytes()
        (bag / name).write_bytes(data[: len(data) // 2])

    return apply


@pytest.mark.parametrize(
    ('storage', 'damage', 'words'),
    [
        (StoragePlugin.MCAP, truncate('bag.mcap'), 'cannot be read.*repair it by'),
        (StoragePlugin.MCAP, lambda p: (p / 'bag.mcap').write_bytes(b''), 'cannot be read'),
        (StoragePlugin.MCAP, lambda p: (p / 'bag.mcap').unlink(), 'missing'),
        (StoragePlugin.MCAP, truncate('metadata.yaml'), 'cannot be read'),
        (StoragePlugin.MCAP, lambda p: (p / 'metadata.yaml').unlink(), 'ros2 bag reindex'),
        (StoragePlugin.SQLITE3, truncate('bag.db3'), 'cannot be read'),
        (StoragePlugin.SQLITE3, lambda p: (p / 'bag.db3').write_text('no'), 'cannot be read'),
    ],
)
def test_damage_is_one_clear_line(
    tmp_path: Path, storage: StoragePlugin, damage: Callable[[Path], object], words: str
) -> None:
    path = write_points(tmp_path / 'bag', count=200, storage=storage)
    damage(path)
    with pytest.raises(DataError, match=words) as caught, open_bag(path) as bag:
        list(bag.messages(bag.connections))
    assert str(path) in str(caught.value)


def test_no_pictures_names_what_there_is(tmp_path: Path) -> None:
    with open_bag(write_points(tmp_path / 'bag')) as bag:
        with pytest.raises(DataError, match=r'no pictures.*/points \(geometry_msgs/msg/Point'):
            bag.image_connection()
        with pytest.raises(DataError, match='no pictures on /cam'):
            bag.image_connection('/cam')


@pytest.mark.parametrize('write', [write_bag, write_mcap])
def test_a_failure_leaves_nothing(tmp_path: Path, write: Callable[[Path], object]) -> None:
    with pytest.raises(ZeroDivisionError), write(tmp_path / 'bag.mcap'):  # type: ignore[attr-defined]
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_an_existing_recording_stays(tmp_path: Path) -> None:
    write_points(tmp_path / 'bag')
    with pytest.raises(DataError, match='exists; delete it'):
        write_points(tmp_path / 'bag')
    assert [path.name for path in tmp_path.iterdir()] == ['bag']
