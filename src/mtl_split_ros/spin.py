# SPDX-License-Identifier: Apache-2.0
"""Runs one node until Ctrl-C: exit 0 then, 2 with one clear line when it cannot start."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node

CANNOT_START = 2


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
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    make_node = load()

    import rclpy  # noqa: PLC0415  after the signal handlers, see above, as all of these
    from rclpy.exceptions import ParameterException  # noqa: PLC0415
    from rclpy.executors import (  # noqa: PLC0415
        ExternalShutdownException,
        SingleThreadedExecutor,
    )
    from rclpy.utilities import ok, try_shutdown  # noqa: PLC0415

    from mtl_split_core.errors import MtlSplitError  # noqa: PLC0415

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # rclpy's handlers run in front of these, shut the context down and wake the executor;
        # nothing is raised from here, so the clean-up is never interrupted half-way
        signal.signal(number, lambda *_: stopped.set())
    try:
        rclpy.init(args=list(args) if args is not None else None)
    except Exception as error:
        print(f'{name}: {error}', file=sys.stderr)
        return CANNOT_START
    node: Node | None = None
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while ok() and not stopped.is_set():
            executor.spin_once(timeout_sec=1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (MtlSplitError, ParameterException) as error:
        print(f'{name}: {error}', file=sys.stderr)
        return CANNOT_START
    except Exception:
        # while the context goes down under a node that is still starting, anything may fail
        if not stopped.is_set():
            raise
    finally:
        if node is not None:
            node.destroy_node()
        try_shutdown()
    return 0


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
