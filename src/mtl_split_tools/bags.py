# SPDX-License-Identifier: Apache-2.0
"""Recordings (rosbag2, MCAP or sqlite3) read and written without ROS, with our errors."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinitionFormat,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from mtl_split_core.errors import DataError

IMAGE_TYPES = ('sensor_msgs/msg/CompressedImage', 'sensor_msgs/msg/Image')
FEATURE_TYPE = 'mtl_split/msg/FeatureMap'
_IDL_SEPARATOR = '=' * 80 + '\n'
_FILES = {'.mcap', '.db3'}
_REPAIR = (
    '`ros2 bag reindex`, and that of a recorder that was killed by `ros2 bag convert` after it'
)
_HEADER_BYTES = 4  # CDR encapsulation before the first field


class Bag:
    """An open recording."""

    def __init__(self, path: Path, reader: Reader) -> None:
        """Wrap an open reader; use `open_bag`."""
        self.path = path
        self.reader = reader
        self.connections: Sequence[Connection] = _as_stored(reader)
        self._typestore: Typestore | None = None

    def messages(
        self, connections: Sequence[Connection], start: int | None = None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Read messages in the order of time.

        Args:
            connections: Which; none of them gives nothing.
            start: Nanoseconds of the recording's clock; from the beginning if None.

        Yields:
            Connection, time in nanoseconds, and the serialised message (CDR).

        Raises:
            DataError: The file is damaged from here on.
        """
        if not connections:
            return
        with _errors(self.path):
            yield from self.reader.messages(connections, start)

    def image_connection(self, topic: str | None = None) -> Connection:
        """Find the pictures of a recording.

        Args:
            topic: Their topic; the topic with most pictures if None.

        Raises:
            DataError: There are none, or they are on another topic.
        """
        images = [c for c in self.connections if c.msgtype in IMAGE_TYPES and c.msgcount]
        chosen = [c for c in images if topic in (None, c.topic)]
        if not chosen:
            found = ', '.join(f'{c.topic} ({c.msgtype})' for c in self.connections) or 'no topics'
            wanted = f'no pictures on {topic}' if topic else 'no pictures'
            msg = (
                f'{self.path} has {wanted}; it has {found}: choose a recording with '
                'sensor_msgs/CompressedImage or sensor_msgs/Image'
            )
            raise DataError(msg)
        return max(chosen, key=lambda connection: connection.msgcount)

    def deserialize(self, data: bytes, msgtype: str) -> object:
        """Decode one message by the definition in the recording, else by that of ROS 2 Jazzy.

        Raises:
            DataError: No definition is known, or the bytes do not fit it.
        """
        if self._typestore is None:
            with _errors(self.path):
                self._typestore = _typestore_of(self.connections)
        if msgtype not in self._typestore.fielddefs:
            msg = f'{self.path} carries no definition of {msgtype}; record it with MCAP storage'
            raise DataError(msg)
        with _errors(self.path):
            return self._typestore.deserialize_cdr(data, msgtype)


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a rosbag2 directory, or one .mcap or .db3 file, of any version and compression.

    Args:
        path: Directory or file.

    Yields:
        The recording.

    Raises:
        DataError: It is not there or damaged; the text says what to do.
    """
    if not path.exists():
        msg = (
            f'{path} does not exist; give a rosbag2 directory, a .mcap or a .db3 file, or the '
            'name of a shipped clip, camvid_val'
        )
        raise DataError(msg)
    if path.is_dir() and not (path / 'metadata.yaml').is_file():
        msg = (
            f'{path} has no metadata.yaml, so it is not a rosbag2 directory; give one of its '
            f'files, or, where a recording was interrupted, repair it by {_REPAIR}'
        )
        raise DataError(msg)
    with _errors(path):
        reader = Reader(path)
        reader.open()
    try:
        yield Bag(path, reader)
    finally:
        reader.close()


def is_bag(path: Path) -> bool:
    """Say whether a path looks like a recording, or like what is left of one."""
    inside = (file.suffix for file in path.iterdir()) if path.is_dir() else ()
    return (path / 'metadata.yaml').is_file() or not _FILES.isdisjoint((path.suffix, *inside))


def message_stamp(data: bytes) -> tuple[int, int]:
    """Return the stamp (seconds, nanoseconds) of a serialised message that starts with a header."""
    order: Literal['little', 'big'] = 'little' if data[1] & 1 else 'big'
    seconds = int.from_bytes(data[_HEADER_BYTES : _HEADER_BYTES + 4], order, signed=True)
    return seconds, int.from_bytes(data[_HEADER_BYTES + 4 : _HEADER_BYTES + 8], order)


@contextmanager
def write_bag(
    path: Path,
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Iterator[Writer]:
    """Write a rosbag2 directory that appears only when it is complete.

    Args:
        path: The new directory.
        storage: MCAP or sqlite3.
        compression: None, of the file, of each message, or (MCAP) of the storage; zstd.

    Yields:
        The open writer.

    Raises:
        DataError: The directory exists.
    """
    if path.exists():
        msg = f'{path} exists; delete it or choose another --out'
        raise DataError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename within one file system.
    scratch = Path(tempfile.mkdtemp(prefix=f'.{path.name}.', dir=path.parent))
    try:
        writer = Writer(scratch / path.name, version=9, storage_plugin=storage)
        writer.set_compression(compression, CompressionFormat.ZSTD)
        with writer:
            yield writer
        (scratch / path.name).rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def write_mcap(path: Path) -> Iterator[Writer]:
    """Write one .mcap file, zstd-compressed, that replaces `path` when it is complete.

    Args:
        path: The file; its folder exists.

    Yields:
        The open writer.
    """
    scratch = Path(tempfile.mkdtemp(prefix=f'.{path.name}.', dir=path.parent))
    try:
        writer = Writer(scratch / path.stem, version=9, storage_plugin=StoragePlugin.MCAP)
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        with writer:
            yield writer
        (scratch / path.stem / f'{path.stem}.mcap').replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def jazzy_types() -> Typestore:
    """Return the types of ROS 2 Jazzy, vision_msgs and ours, as they are installed."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for prefix in reversed(os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)):
        for package in ('vision_msgs', 'mtl_split'):
            for file in sorted(Path(prefix, 'share', package, 'msg').glob('*.msg')):
                store.register(get_types_from_msg(file.read_text(), f'{package}/msg/{file.stem}'))
    return store


def offered_qos(
    reliability: QosReliability = QosReliability.RELIABLE,
    durability: QosDurability = QosDurability.VOLATILE,
    depth: int = 10,
) -> Qos:
    """Return a QoS profile as a recording stores it."""
    forever = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        reliability,
        durability,
        forever,
        forever,
        QosLiveliness.AUTOMATIC,
        forever,
        avoid_ros_namespace_conventions=False,
    )


def connection_qos(connection: Connection) -> list[Qos]:
    """Return the QoS profiles of the publishers that were recorded; empty when not stored."""
    ext = connection.ext
    return ext.offered_qos_profiles if isinstance(ext, ConnectionExtRosbag2) else []


def _as_stored(reader: Reader) -> list[Connection]:
    """Return the topics with the QoS in the files, by which rosbags finds their messages.

    In the metadata that `ros2 bag reindex` writes it is another one.
    """
    if not isinstance(reader.storage, DirectoryReader):
        return reader.connections
    stored = [
        connection for storage in reader.storage.storages for connection in storage.connections
    ]
    found: list[Connection] = []
    for connection in reader.connections:
        there = [
            one.ext
            for one in stored
            if (one.topic, one.msgtype) == (connection.topic, connection.msgtype)
        ]
        # all of them, should the files differ
        missing = [] if connection.ext in there else there
        for made in [connection._replace(ext=ext) for ext in missing] or [connection]:
            if made not in found:
                found.append(made)
    return found


def _typestore_of(connections: Sequence[Connection]) -> Typestore:
    defined = any(c.msgdef.format != MessageDefinitionFormat.NONE for c in connections)
    # Bags before Iron carry no definitions; those since do, and may differ from any we know.
    store = get_typestore(Stores.EMPTY if defined else Stores.ROS2_JAZZY)
    for connection in connections:
        text = connection.msgdef.data
        if connection.msgdef.format == MessageDefinitionFormat.MSG:
            store.register(get_types_from_msg(text, connection.msgtype))
        elif connection.msgdef.format == MessageDefinitionFormat.IDL:
            for part in text.split(_IDL_SEPARATOR)[1:] or [text]:
                store.register(get_types_from_idl(part.split('\n', 1)[1] if '\n' in part else part))
    return store


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (DataError, GeneratorExit):
        raise
    # rosbags, sqlite, zstd, lz4 and yaml each raise their own on bytes that are not theirs.
    except Exception as error:
        reason = str(error) or type(error).__name__
        msg = (
            f'{path} cannot be read: {reason.rstrip(".")}; repair it by {_REPAIR}, record it again '
            'or restore the file'
        )
        raise DataError(msg) from error
