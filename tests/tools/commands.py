# SPDX-License-Identifier: Apache-2.0
"""How the tests call `mtl-split`, and recordings to call it on."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags.interfaces import Qos
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_typestore
from tests.domains import own_domain

from mtl_split_tools.bags import offered_qos, write_bag
from mtl_split_tools.cli import main

TYPES = get_typestore(Stores.ROS2_JAZZY)
START = 1_000_000_000 * 10**9


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail with one clear line, and return the line."""
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith('mtl-split: ')
    assert 'Traceback' not in '\n'.join(lines)
    return lines[-1]


def stamp(number: int, hz: float = 20.0) -> int:
    """Return the time of a message in nanoseconds."""
    return START + round(number * 1e9 / hz)


def header(moment: int) -> object:
    """Return a header with this stamp."""
    time = TYPES.types['builtin_interfaces/msg/Time'](moment // 10**9, moment % 10**9)
    return TYPES.types['std_msgs/msg/Header'](time, 'camera')


def image_message(moment: int, pixels: NDArray[np.uint8]) -> bytes:
    """Return a serialised sensor_msgs/Image, rgb8."""
    height, width, _ = pixels.shape
    kind = 'sensor_msgs/msg/Image'
    message = TYPES.types[kind](
        header(moment), height, width, 'rgb8', 0, width * 3, pixels.reshape(-1)
    )
    return bytes(TYPES.serialize_cdr(message, kind))


def point_message(moment: int, x: float) -> bytes:
    """Return a serialised geometry_msgs/PointStamped."""
    kind = 'geometry_msgs/msg/PointStamped'
    point = TYPES.types['geometry_msgs/msg/Point'](x, 0.0, 0.0)
    return bytes(TYPES.serialize_cdr(TYPES.types[kind](header(moment), point), kind))


def write_points(
    path: Path,
    count: int = 10,
    hz: float = 20.0,
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
    qos: Sequence[Qos] = (),
) -> Path:
    """Write a recording of PointStamped on /points, x is the number."""
    with write_bag(path, storage, compression) as writer:
        connection = writer.add_connection(
            '/points',
            'geometry_msgs/msg/PointStamped',
            typestore=TYPES,
            offered_qos_profiles=qos or [offered_qos()],
        )
        for number in range(count):
            moment = stamp(number, hz)
            writer.write(connection, moment, point_message(moment, number))
    return path


def write_humble_points(path: Path, count: int = 10, hz: float = 20.0) -> Path:
    """Write the same as Humble does: version 5, sqlite3, no definitions, no hashes."""
    path.mkdir(parents=True)
    qos = (
        '- history: 3\n  depth: 0\n  reliability: 1\n  durability: 2\n'
        '  deadline:\n    sec: 9223372036\n    nsec: 854775807\n'
        '  lifespan:\n    sec: 9223372036\n    nsec: 854775807\n'
        '  liveliness: 1\n'
        '  liveliness_lease_duration:\n    sec: 9223372036\n    nsec: 854775807\n'
        '  avoid_ros_namespace_conventions: false'
    )
    with sqlite3.connect(path / 'bag_0.db3') as database:
        database.executescript(
            'CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,'
            ' serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);'
            'CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,'
            ' timestamp INTEGER NOT NULL, data BLOB NOT NULL);'
        )
        row = (1, '/points', 'geometry_msgs/msg/PointStamped', 'cdr', qos)
        database.execute('INSERT INTO topics VALUES(?, ?, ?, ?, ?)', row)
        for number in range(count):
            moment = stamp(number, hz)
            message = (1, moment, point_message(moment, number))
            database.execute(
                'INSERT INTO messages(topic_id, timestamp, data) VALUES(?,?,?)', message
            )
    database.close()
    (path / 'metadata.yaml').write_text(
        'rosbag2_bagfile_information:\n'
        '  version: 5\n'
        '  storage_identifier: sqlite3\n'
        f'  duration:\n    nanoseconds: {stamp(count - 1, hz) - START}\n'
        f'  starting_time:\n    nanoseconds_since_epoch: {START}\n'
        f'  message_count: {count}\n'
        '  topics_with_message_count:\n'
        '    - topic_metadata:\n'
        '        name: /points\n'
        '        type: geometry_msgs/msg/PointStamped\n'
        '        serialization_format: cdr\n'
        f'        offered_qos_profiles: {qos!r}\n'.replace("'- ", '"- ').replace("false'", 'false"')
        + f'      message_count: {count}\n'
        '  compression_format: ""\n'
        '  compression_mode: ""\n'
        '  relative_file_paths:\n    - bag_0.db3\n'
    )
    return path


def environment(domain: int | None = None) -> dict[str, str]:
    """Return the environment of a child with ROS, in a domain of its own."""
    made = {k: v for k, v in os.environ.items() if k != '_ROS_WHEELS_BOOTSTRAP_COMPLETE'}
    made['ROS_DOMAIN_ID'] = str(domain or own_domain())
    return made


@contextmanager
def started(
    *arguments: object, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run `mtl-split` as a process; it is gone when the body ends."""
    process = subprocess.Popen(
        [sys.executable, '-m', 'mtl_split_tools', *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(env or environment()),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
