# SPDX-License-Identifier: Apache-2.0
"""Trigger services whose slow part runs beside the node, which goes on meanwhile."""

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from weakref import WeakSet

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from mtl_split_core.errors import MtlSplitError

Result = TypeVar('Result')

_aside: WeakSet[threading.Thread] = WeakSet()


class Services:
    """The services of a node; one call at a time, the others wait.

    Args:
        node: Offers them.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        # Of its own: a call that waits for its slow part would hold back the node's other work.
        self._group = MutuallyExclusiveCallbackGroup()

    def offer(self, name: str, act: Callable[[], Awaitable[str]]) -> None:
        """Offer std_srvs/Trigger `~/name`.

        Args:
            name: Of the service.
            act: Coroutine function that returns what to answer. What it raises is answered with
                success false, and logged.
        """
        log = self._node.get_logger()

        async def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                response.message = await act()
                response.success = True
                log.info(f'{name}: {response.message}')
            except (MtlSplitError, OSError) as error:
                response.message = str(error)
                log.error(f'{name}: {error}')
            except Exception as error:  # a call never ends the node
                response.message = f'internal error: {type(error).__name__}: {error}'
                log.error(f'{name}: {response.message}')
            return response

        self._node.create_service(Trigger, f'~/{name}', answer, callback_group=self._group)


@asynccontextmanager
async def at_rest(node: Node, lock: threading.Lock) -> AsyncIterator[None]:
    """Hold a lock that a worker may hold for long; the node goes on while this waits for it.

    Args:
        node: That waits; it is spun by an executor.
        lock: Held by the worker while it works.
    """
    await aside(node, lock.acquire)
    try:
        yield
    finally:
        lock.release()


async def aside(node: Node, function: Callable[[], Result]) -> Result:
    """Run a function in a thread of its own and wait without blocking the node.

    Args:
        node: That waits; it is spun by an executor.
        function: Takes long.

    Returns:
        What the function returns.

    Raises:
        Exception: What the function raises.
    """
    future = Future()
    executor = node.executor

    def run() -> None:
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)
        if executor:
            executor.wake()

    thread = threading.Thread(target=run, name='service', daemon=True)
    _aside.add(thread)
    thread.start()
    result: Result = await future
    return result


def let_end(timeout_s: float) -> None:
    """Wait for all that runs aside, before the process ends.

    A process that ends while a thread of it loads a network is aborted by the C++ library.

    Args:
        timeout_s: For how long at most, over all of them together.
    """
    end = time.monotonic() + timeout_s
    for thread in list(_aside):
        thread.join(max(0.0, end - time.monotonic()))
