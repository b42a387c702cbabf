# SPDX-License-Identifier: Apache-2.0
"""rclpy's executor without the second round of waiting after each callback."""

import threading
from collections.abc import Callable, Coroutine
from typing import Any

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.guard_condition import GuardCondition
from rclpy.task import Task


class _Guard(GuardCondition):
    """Wakes the thread that spins, unless that thread is awake and calls for itself.

    Args:
        context: Of the executor.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(None, None, context=context)  # type: ignore[no-untyped-call]
        self._thread = threading.get_ident()

    def trigger(self) -> None:
        """Wake the other thread; the own one collects all entities anew before it waits again."""
        if threading.get_ident() != self._thread:
            self.trigger_surely()

    def trigger_surely(self) -> None:
        """Let the next wait end at once."""
        super().trigger()  # type: ignore[no-untyped-call]


class Executor(SingleThreadedExecutor):
    """Runs callbacks in the thread that made it, and in no other.

    rclpy triggers the guard of the executor at the end of every callback, for other threads of a
    pool that might wait. Here nobody else waits; so each callback would be followed by one more
    round of collecting all entities, waiting, and finding nothing.

    Args:
        context: Of the nodes; None for rclpy's own.
    """

    def __init__(self, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        self._guard.destroy()
        self._guard = self._own_guard = _Guard(self.context)

    def create_task(
        self,
        callback: Callable[..., Any] | Coroutine[Any, Any, Any],
        *args: Any,
        **kwargs: Any,
    ) -> Task:
        """See rclpy; what a task adds is not seen by the wait behind it without a trigger."""
        task = super().create_task(callback, *args, **kwargs)
        self._own_guard.trigger_surely()
        return task
