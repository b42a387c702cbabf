# SPDX-License-Identifier: Apache-2.0
"""`mtl-split replay`: publishes a recording over DDS, as `ros2 bag play` does."""

import argparse
import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock

from mtl_split_core.errors import DataError
from mtl_split_ros import security
from mtl_split_tools.bags import Bag, message_stamp, open_bag
from mtl_split_tools.console import console, progress_bar, table
from mtl_split_tools.keyboard import keys
from mtl_split_tools.playback import Playback
from mtl_split_tools.publishing import Route, acknowledge, make_routes, subscribers
from mtl_split_tools.shipped import bag_path
from mtl_split_tools.tool_node import tool_node

DESCRIPTION = """Publish a rosbag2 recording (MCAP or sqlite3, Humble to Jazzy, compressed or not)
with its timing and QoS. Before the first message a table says which topics go where, who listens,
and what is skipped and why. The space bar pauses and goes on; where stdin is a pipe, each line
does."""
EPILOG = """examples:
  mtl-split replay camvid_val
  mtl-split replay my_bag --rate 0.5 --loop --clock
  mtl-split replay my_bag --topics /cam/compressed --remap /cam/compressed:=/image/compressed
  mtl-split replay my_bag --start-paused          then the space bar
"""
DISCOVERY_S = 0.5
POLL_S = 0.02


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        'bag',
        type=bag_path,
        metavar='BAG',
        help='directory, .mcap or .db3 file, or the name of a shipped clip',
    )
    parser.add_argument('-r', '--rate', type=float, default=1.0, help='speed (default: 1)')
    parser.add_argument('-l', '--loop', action='store_true', help='start again at the end')
    parser.add_argument(
        '--clock',
        type=float,
        nargs='?',
        const=40.0,
        metavar='HZ',
        help='publish /clock, HZ times a second (default: 40), for use_sim_time',
    )
    parser.add_argument(
        '-m', '--remap', nargs='+', default=[], metavar='FROM:=TO', help='publish under other names'
    )
    parser.add_argument('-p', '--start-paused', action='store_true', help='wait for the space bar')
    parser.add_argument('--topics', nargs='+', metavar='TOPIC', help='only these')
    parser.add_argument(
        '--start-offset',
        type=float,
        default=0.0,
        metavar='SECONDS',
        help='start later in the recording',
    )
    parser.add_argument(
        '--wait-for-subscribers',
        type=int,
        default=0,
        metavar='N',
        help='start when N subscriptions to one topic are matched',
    )
    parser.add_argument(
        '--wait-timeout',
        type=float,
        default=30.0,
        metavar='SECONDS',
        help='give up waiting for them after this (default: 30)',
    )
    parser.add_argument(
        '--report',
        type=Path,
        metavar='FILE',
        help='write when each message was published: JSON lines with topic, stamp and monotonic_ns',
    )


def run(options: argparse.Namespace) -> int:
    """Publish the recording."""
    _check(options)
    try:
        _replay(options)
    except KeyboardInterrupt:
        # Ctrl-C is how a replay is ended, and ros2 launch calls any other status an error.
        console.print('stopped')
    return 0


def _replay(options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        bag = stack.enter_context(open_bag(options.bag))
        start = bag.reader.start_time + round(options.start_offset * 1e9)
        if start >= bag.reader.end_time:
            msg = (
                f'{options.bag} lasts {bag.reader.duration / 1e9:.1f} s and has '
                f'{bag.reader.message_count} messages; nothing is left after '
                f'--start-offset {options.start_offset:g}'
            )
            raise DataError(msg)
        report = stack.enter_context(options.report.open('w')) if options.report else None
        node = stack.enter_context(tool_node('mtl_split_replay'))
        routes = make_routes(node, bag, options.topics, options.remap, options.clock is not None)
        _wait_for_subscribers(routes, options)
        time.sleep(DISCOVERY_S)
        _print_preflight(node, options.bag, routes)
        if not any(route.publisher for route in routes):
            msg = f'{options.bag} has no topic that can be published here; the table says why'
            raise DataError(msg)
        playback = Playback(options.rate, options.start_paused)
        playback.seek(start)
        lost_input: list[str] = []

        def input_ended() -> None:
            if playback.paused:  # nobody can resume it any more
                lost_input.append('stdin was closed while paused')
                playback.stop()

        stack.enter_context(keys(playback.toggle, input_ended))
        opened = threading.Event()
        if options.clock is not None:
            _start_clock(stack, node, playback, options.clock, opened)
        if options.start_paused:
            console.print('paused: the space bar (or a line on a pipe) starts')
        while _play(bag, routes, start, playback, report, opened) and options.loop:
            pass
        acknowledge(routes)
        if lost_input:
            raise DataError(lost_input[0])


def _check(options: argparse.Namespace) -> None:
    if not 0 < options.rate <= 1000:
        msg = f'--rate {options.rate:g} is not above 0 and at most 1000'
        raise DataError(msg)
    if options.clock is not None and not 0 < options.clock <= 1000:
        msg = f'--clock {options.clock:g} is not above 0 and at most 1000 Hz'
        raise DataError(msg)
    if options.start_offset < 0:
        msg = f'--start-offset {options.start_offset:g} is not at least 0 seconds'
        raise DataError(msg)


def _wait_for_subscribers(routes: list[Route], options: argparse.Namespace) -> None:
    deadline = time.monotonic() + options.wait_timeout
    while (count := subscribers(routes)) < options.wait_for_subscribers:
        if time.monotonic() > deadline:
            topics = ', '.join(route.topic for route in routes if route.publisher)
            msg = (
                f'{count} of {options.wait_for_subscribers} subscriptions to {topics} after '
                f'{options.wait_timeout:g} s; check topic names, QoS and ROS_DOMAIN_ID'
            )
            raise DataError(msg)
        time.sleep(POLL_S)


def _print_preflight(node: Node, path: Path, routes: list[Route]) -> None:
    rows = [
        (r.topic, r.connection.msgtype, r.connection.msgcount, r.qos_text(), r.remark(node))
        for r in routes
    ]
    columns = ('topic', 'type', 'messages', 'QoS', 'subscribers')
    console.print(table(f'replay of {path}', columns, rows))


def _start_clock(
    stack: ExitStack, node: Node, playback: Playback, rate: float, opened: threading.Event
) -> None:
    with security.rights('/clock'):
        publisher = node.create_publisher(Clock, '/clock', QoSProfile(depth=10))
    done = threading.Event()

    def publish() -> None:
        opened.wait()  # else the time would go back once the recording is open
        due = time.monotonic()
        while not done.wait(max(0.0, due - time.monotonic())):
            position = playback.position()
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(position, 10**9)
            publisher.publish(message)
            due = max(due + 1 / rate, time.monotonic())

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    stack.callback(thread.join)
    stack.callback(opened.set)
    stack.callback(done.set)


def _play(
    bag: Bag,
    routes: list[Route],
    start: int,
    playback: Playback,
    report: TextIO | None,
    opened: threading.Event,
) -> bool:
    """Publish everything once; False when stopped."""
    by_connection = {route.connection.id: route for route in routes if route.publisher}
    connections = [route.connection for route in routes if route.publisher]
    total = sum(connection.msgcount for connection in connections)
    with progress_bar() as progress:
        task = progress.add_task('replay', total=total or None)
        for number, (connection, moment, data) in enumerate(bag.messages(connections, start)):
            if number == 0:
                playback.seek(start)  # only now: opening the first chunk took its time
                opened.set()
            if not playback.wait_until(moment):
                return False
            route = by_connection[connection.id]
            published = time.monotonic_ns()
            route.publish(data)
            if report is not None:
                stamp = message_stamp(data) if route.has_header else None
                line = {'topic': route.topic, 'stamp': stamp, 'monotonic_ns': published}
                report.write(json.dumps(line) + '\n')
                report.flush()
            progress.advance(task)
    return True
