# SPDX-License-Identifier: Apache-2.0
"""Publishes /diagnostics as diagnostic_updater does, which has no wheel on PyPI."""

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.publisher import Publisher

from mtl_split_ros.status import Status
from mtl_split_ros.timers import steady_timer

Task = Callable[[Status], None]


class Updater:
    """Runs diagnostic tasks at a fixed period and publishes their states in one array."""

    def __init__(
        self,
        node: Node,
        hardware_id: str,
        period_s: float,
        send: Callable[[Publisher, Any], None] = Publisher.publish,
    ) -> None:
        """Publish every `period_s` seconds.

        Args:
            node: Names the states: 'edge: image', or 'front/edge: image' in a namespace.
            hardware_id: The machine on which the node runs.
            period_s: Seconds between two messages.
            send: Publishes; where the executor must not wait for it, Outbox.send.
        """
        self._node = node
        self._name = node.get_fully_qualified_name().lstrip('/')
        self._hardware_id = hardware_id
        self._send = send
        self._tasks: dict[str, Task] = {}
        self._latest: DiagnosticArray | None = None
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        steady_timer(node, period_s, self.update)

    def add(self, name: str, task: Task) -> None:
        """Add a task that fills a fresh status at every update."""
        self._tasks[name] = task

    def latest(self) -> DiagnosticArray:
        """What was published last; before the first time what would be."""
        if self._latest is None:
            self.update()
        assert self._latest is not None
        return self._latest

    def update(self) -> None:
        """Run all tasks and publish."""
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        for name, task in self._tasks.items():
            status = Status()
            task(status)
            array.status.append(
                DiagnosticStatus(
                    level=bytes([status.level]),
                    name=f'{self._name}: {name}',
                    message=status.message,
                    hardware_id=self._hardware_id,
                    values=[KeyValue(key=key, value=value) for key, value in status.values],
                )
            )
        self._latest = array
        self._send(self._publisher, array)
