# SPDX-License-Identifier: Apache-2.0
"""The executor of the nodes: one round of waiting for a callback, and awake when others call."""

import threading
import time
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from mtl_split_ros.executor import Executor

CALLBACKS = 8


@pytest.fixture
def node() -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context)
    node = Node('spun', context=context, start_parameter_services=False)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def rounds(kind: type[SingleThreadedExecutor], node: Node) -> int:
    """Return how often an executor waits in CALLBACKS callbacks, each with a pause behind it."""

    class Counting(kind):  # type: ignore[misc,valid-type]
        count = 0

        def get_nodes(self) -> list[Node]:
            self.count += 1  # the first thing that it does in each round
            found: list[Node] = super().get_nodes()
            return found

    executor = Counting(context=node.context)
    executor.add_node(node)
    called: list[int] = []
    guard = node.create_guard_condition(lambda: called.append(1))
    for number in range(CALLBACKS):
        guard.trigger()
        while len(called) == number:
            executor.spin_once()
        executor.spin_once(timeout_sec=0.02)
    node.destroy_guard_condition(guard)
    executor.shutdown()
    return int(executor.count)


def test_a_callback_is_followed_by_no_round_for_nothing(node: Node) -> None:
    assert rounds(Executor, node) < rounds(SingleThreadedExecutor, node) - CALLBACKS // 2


def test_others_wake_it(node: Node) -> None:
    """A call from another thread ends a wait that nothing else would end in time."""
    executor = Executor(context=node.context)
    executor.add_node(node)
    ran = threading.Event()
    thread = threading.Timer(0.2, lambda: executor.create_task(ran.set))
    thread.start()
    executor.spin_once(timeout_sec=60)
    assert ran.is_set()
    thread.join()
    executor.shutdown()


def test_what_a_callback_adds_comes_next(node: Node) -> None:
    executor = Executor(context=node.context)
    executor.add_node(node)
    ran = threading.Event()
    executor.create_task(lambda: executor.create_task(ran.set))
    began = time.monotonic()
    while not ran.is_set():
        executor.spin_once(timeout_sec=60)
    assert time.monotonic() - began < 59  # else only the time-out ended the wait
    executor.shutdown()
