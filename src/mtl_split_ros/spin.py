# SPDX-License-Identifier: Apache-2.0
"""Runs one node until Ctrl-C: exit 0 then, 2 with one clear line when it cannot start."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node

CANNOT_START = 2
LOOK_UP_S = 0.2
LONGEST_END_S = 5.0


def run(
    name: str, load: 'Callable[[], Callable[[], Node]]', args: Sequence[str] | None = None
) -> int:
    """Load, build and spin one node.

    Args:
        name: Names the node in a message from before it exists.
        load: Imports the node's module and returns its class; called once signals are handled,
            since the imports take a second in which Ctrl-C has to work, too.
        args: Command line, default sys.argv.

    Returns:
        The exit code: 0 after SIGINT or SIGTERM, 2 when the node could not start.
    """
    # there is nothing to clean up yet, and an exception could get lost inside an import
    _on_signals(lambda: os._exit(0))
    try:
        make_node = load()
    except ImportError as error:
        # as with the system's Python, which does not see the packages of a virtual environment
        remedy = 'run scripts/setup once, then in each new shell: source ros2_ws/env.sh'
        print(f'{name}: {error}, for {sys.executable}: {remedy}', file=sys.stderr)
        return CANNOT_START

    import rclpy  # noqa: PLC0415  after the signal handlers, see above, as all of these
    from rclpy.utilities import remove_ros_args  # noqa: PLC0415

    if others := remove_ros_args(args)[1:]:
        usage = f'usage: {name} [--ros-args -p NAME:=VALUE ... -r FROM:=TO ... --params-file FILE]'
        if {'-h', '--help'} & set(others):
            print(f'{usage}\nParameters: README.md, and `ros2 param describe` while it runs.')
            return 0
        print(f'{name}: unknown argument {others[0]!r}; {usage}', file=sys.stderr)
        return CANNOT_START
    from rclpy.exceptions import ParameterException  # noqa: PLC0415
    from rclpy.executors import ExternalShutdownException  # noqa: PLC0415

    from mtl_split_core.errors import MtlSplitError  # noqa: PLC0415
    from mtl_split_ros import discovery, ending, security, services  # noqa: PLC0415
    from mtl_split_ros.executor import Executor  # noqa: PLC0415

    stopped: list[bool] = []
    _on_signals(lambda: stopped.append(True))
    try:
        # rclpy's own handlers take the context away under a running worker, in the middle of a
        # publish call; here the node ends first and the context after it
        discovery.announce_often()
        security.start(args)
    except Exception as error:
        print(f'{name}: {error}', file=sys.stderr)
        return CANNOT_START
    node: Node | None = None
    try:
        # the middleware itself starts with the node
        with security.refusals(os.environ):
            node = make_node()
        executor = Executor()
        executor.add_node(node)
        while not stopped:
            # Python's signal handlers wait for this call to return
            executor.spin_once(timeout_sec=LOOK_UP_S)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (MtlSplitError, ParameterException) as error:
        print(f'{name}: {error}', file=sys.stderr)
        return CANNOT_START
    finally:
        with ending.ends_in_time():
            if node is not None:
                node.destroy_node()
            services.let_end(LONGEST_END_S)
            rclpy.try_shutdown()
    return 0


def _on_signals(act: Callable[[], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: act())
