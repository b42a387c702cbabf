# SPDX-License-Identifier: Apache-2.0
"""Timers that go on with use_sim_time and no /clock."""

from collections.abc import Callable

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node


def steady_timer(node: Node, period_s: float, callback: Callable[[], None]) -> None:
    """Call `callback` every `period_s` seconds of the machine's own monotonic clock."""
    node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
