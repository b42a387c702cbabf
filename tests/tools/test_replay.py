# SPDX-License-Identifier: Apache-2.0
"""`mtl-split replay` over real DDS: content, timing, names, QoS and what is left out."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PointStamped, TwistStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from rosgraph_msgs.msg import Clock
from tests.ros.harness import BEST_EFFORT, LATCHED, PATIENCE_S, RELIABLE, Graph, wait_for
from tests.tools.commands import (
    TYPES,
    environment,
    fails,
    point_message,
    stamp,
    started,
    write_humble_points,
    write_points,
)

from mtl_split_tools.bags import offered_qos, open_bag, write_bag
from mtl_split_tools.publishing import recorded_qos

pytestmark = pytest.mark.ros

POINT = 'geometry_msgs/msg/PointStamped'


@pytest.fixture(scope='module')
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    graph = Graph(tmp_path_factory.mktemp('logs'))
    yield graph
    graph.close()


class Player:
    """Runs `mtl-split replay` in the domain of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def play(self, *arguments: object) -> str:
        """Play to the end and return what was printed."""
        with started('replay', *arguments, env=environment(self._graph.domain)) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, err
            assert 'Traceback' not in err
            return out

    def listen(self, kind: type, topic: str, qos: QoSProfile = RELIABLE) -> list[Any]:
        """Collect messages; each topic is used by one test only."""
        return self._graph.record(kind, topic, qos, writers=0)


@pytest.fixture
def player(graph: Graph) -> Player:
    return Player(graph)


@pytest.mark.parametrize(
    ('number', 'write'),
    [
        (0, write_points),
        (1, lambda p: write_points(p, compression=CompressionMode.MESSAGE)),
        (
            2,
            lambda p: write_points(
                p, storage=StoragePlugin.SQLITE3, compression=CompressionMode.FILE
            ),
        ),
        (3, write_humble_points),
    ],
)
def test_every_message_arrives_once_in_order(
    player: Player, tmp_path: Path, number: int, write: Callable[[Path], Path]
) -> None:
    topic = f'/points_{number}'
    found = player.listen(PointStamped, topic)
    bag = write(tmp_path / 'bag')
    out = player.play(bag, '--remap', f'/points:={topic}', '--wait-for-subscribers', 1)
    wait_for(lambda: len(found) >= 10, 'ten points')
    assert [message.point.x for message in found] == list(range(10))
    assert found[3].header.frame_id == 'camera'
    assert (found[3].header.stamp.sec, found[3].header.stamp.nanosec) == divmod(stamp(3), 10**9)
    (row,) = (line for line in out.splitlines() if topic in line)
    assert 'geometry_msgs/msg/PointStamped' in row
    assert 'reliable' in row


@pytest.mark.parametrize('rate', [1.0, 4.0])
def test_timing_follows_the_rate(player: Player, tmp_path: Path, rate: float) -> None:
    bag = write_points(tmp_path / 'bag', 20, hz=20)
    player.play(bag, '--rate', rate, '--report', tmp_path / 'report.jsonl')
    lines = [json.loads(line) for line in (tmp_path / 'report.jsonl').read_text().splitlines()]
    assert [tuple(line['stamp']) for line in lines] == [divmod(stamp(n), 10**9) for n in range(20)]
    moments = np.array([line['monotonic_ns'] for line in lines]) / 1e9
    late = moments - np.arange(20) / 20 / rate
    assert np.median(np.abs(late - np.median(late))) < 0.02  # the machine may be busy


def test_loop_starts_again_until_ctrl_c(player: Player, graph: Graph, tmp_path: Path) -> None:
    found = player.listen(PointStamped, '/looped')
    options = ('--loop', '--rate', 10, '--remap', '/points:=/looped', '--wait-for-subscribers', 1)
    bag = write_points(tmp_path / 'bag', 5)
    with started('replay', bag, *options, env=environment(graph.domain)) as process:
        wait_for(lambda: len(found) >= 12, 'more than two rounds')
        process.send_signal(2)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
        assert 'WARN' not in err
        assert 'Traceback' not in err
    assert [message.point.x for message in found[:12]] == [*range(5), *range(5), 0, 1]


def test_clock_runs_in_time_of_the_recording(player: Player, tmp_path: Path) -> None:
    clock = player.listen(Clock, '/clock')
    player.listen(PointStamped, '/clocked')
    bag = write_points(tmp_path / 'bag', 20)
    options = ('--remap', '/points:=/clocked', '--wait-for-subscribers', 1)
    player.play(bag, '--clock', 50, '--rate', 2, *options)
    times = [message.clock.sec * 10**9 + message.clock.nanosec for message in clock]
    # half a second, 50 times a second, is 40 ms of the recording each time; a busy machine may skip
    assert len(times) > 10
    assert np.median(np.diff(times)) == pytest.approx(40e6, rel=0.2)
    assert times == sorted(times)
    assert times[0] >= stamp(0)
    assert stamp(15) < times[-1]


def test_start_offset_and_topics(player: Player, tmp_path: Path) -> None:
    found = player.listen(PointStamped, '/late')
    other = player.listen(TwistStamped, '/twist')
    with write_bag(tmp_path / 'bag') as writer:
        kinds = {
            '/late': 'geometry_msgs/msg/PointStamped',
            '/twist': 'geometry_msgs/msg/TwistStamped',
        }
        points, _ = (
            writer.add_connection(topic, kind, typestore=TYPES) for topic, kind in kinds.items()
        )
        for number in range(10):
            writer.write(points, stamp(number), point_message(stamp(number), number))
    options = ('--topics', '/late', '--start-offset', 0.3, '--wait-for-subscribers', 1)
    out = player.play(tmp_path / 'bag', *options)
    wait_for(lambda: len(found) >= 4, 'four points')
    assert [message.point.x for message in found] == [6, 7, 8, 9]
    assert not other
    assert 'skipped: not in --topics' in out


def test_starts_paused_and_resumes_by_a_line(player: Player, graph: Graph, tmp_path: Path) -> None:
    found = player.listen(PointStamped, '/paused')
    bag = write_points(tmp_path / 'bag', 3)
    options = ('--start-paused', '--remap', '/points:=/paused', '--wait-for-subscribers', 1)
    with started('replay', bag, *options, env=environment(graph.domain)) as process:
        assert process.stdout
        assert process.stdin
        while not process.stdout.readline().startswith('paused'):
            assert process.poll() is None
        time.sleep(0.3)
        assert not found
        process.stdin.write('resume\n')
        process.stdin.flush()
        wait_for(lambda: len(found) == 3, 'three points')
        assert process.wait(PATIENCE_S) == 0


def test_nobody_left_to_resume_it(graph: Graph, tmp_path: Path) -> None:
    bag = write_points(tmp_path / 'bag', 3)
    with started('replay', bag, '--start-paused', env=environment(graph.domain)) as process:
        _, err = process.communicate(timeout=PATIENCE_S)  # closes stdin
        assert process.returncode == 2
        assert 'stdin was closed while paused' in err


def test_quality_of_service_of_the_recording(player: Player, tmp_path: Path) -> None:
    best_effort = [offered_qos(QosReliability.BEST_EFFORT)]
    lossy = player.listen(PointStamped, '/lossy', BEST_EFFORT)
    refused = player.listen(PointStamped, '/lossy', RELIABLE)
    options = ('--remap', '/points:=/lossy', '--wait-for-subscribers', 1)
    out = player.play(write_points(tmp_path / 'a', qos=best_effort), *options)
    # the first ones may come before the reader has found the writer
    wait_for(lambda: lossy, 'a point')
    assert not refused
    assert '1; /observer does not match' in ' '.join(out.split())
    latched = [offered_qos(durability=QosDurability.TRANSIENT_LOCAL)]
    late = player.listen(PointStamped, '/latched', LATCHED)
    options = ('--remap', '/points:=/latched', '--wait-for-subscribers', 1)
    assert 'latched' in player.play(write_points(tmp_path / 'b', qos=latched), *options)
    wait_for(lambda: len(late) >= 1, 'a latched point')


def test_recorded_qos_suits_every_reader_that_was_suited() -> None:
    reliable, lossy = offered_qos(), offered_qos(QosReliability.BEST_EFFORT)
    assert recorded_qos([]).reliability == ReliabilityPolicy.RELIABLE
    assert recorded_qos([lossy]).reliability == ReliabilityPolicy.BEST_EFFORT
    assert recorded_qos([lossy, reliable]).reliability == ReliabilityPolicy.RELIABLE
    latched = offered_qos(durability=QosDurability.TRANSIENT_LOCAL, depth=30)
    mixed = recorded_qos([reliable, latched])
    assert mixed.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert mixed.depth == 30


def test_preflight_says_what_is_skipped_and_why(player: Player, tmp_path: Path) -> None:
    player.listen(PointStamped, '/good')
    player.listen(TwistStamped, '/other')
    odd = {'msgdef': 'int32 x\n', 'rihs01': 'RIHS01_' + '0' * 64}
    with write_bag(tmp_path / 'bag') as writer:
        for topic in ('/good', '/other', '/odd'):
            given = odd if topic == '/odd' else {'typestore': TYPES}
            connection = writer.add_connection(topic, POINT, **given)  # type: ignore[arg-type]
            writer.write(connection, stamp(0), point_message(stamp(0), 1))
        writer.add_connection(
            '/private', 'our_msgs/msg/Secret', msgdef='int32 x\n', rihs01='RIHS01_' + '1' * 64
        )
    out = player.play(tmp_path / 'bag', '--wait-for-subscribers', 1)
    out = ' '.join(out.replace('│', ' ').split())
    assert 'our_msgs/msg/Secret is not installed' in out
    assert 'differs from the installed one' in out
    assert '/observer wants geometry_msgs/msg/TwistStamped' in out


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_points(tmp_path / 'bag')
    assert 'does not exist' in fails(capsys, 'replay', tmp_path / 'nowhere')
    assert '--rate 0' in fails(capsys, 'replay', bag, '--rate', 0)
    assert '--clock -1' in fails(capsys, 'replay', bag, '--clock', -1)
    assert 'nothing is left' in fails(capsys, 'replay', bag, '--start-offset', 100)
    assert 'no topic /cam; it has /points' in fails(capsys, 'replay', bag, '--topics', '/cam')
    assert 'FROM:=TO' in fails(capsys, 'replay', bag, '--remap', '/points=/a')
    waiting = ('--wait-for-subscribers', 1, '--wait-timeout', 0.1)
    assert '0 of 1 subscriptions' in fails(capsys, 'replay', bag, *waiting)
    with open_bag(bag):
        pass
    data = (bag / 'bag.mcap').read_bytes()
    (bag / 'bag.mcap').write_bytes(data[:-50])
    assert 'cannot be read' in fails(capsys, 'replay', bag)
