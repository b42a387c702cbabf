# SPDX-License-Identifier: Apache-2.0
"""Messages that callbacks have to publish, published by a thread of its own."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.publisher import Publisher

from mtl_split_ros.worker import Worker

KEPT = 200

Letter = tuple[Publisher, Any]


class Outbox:
    """Takes messages and returns at once, since a slow reader or a full socket blocks `publish()`.

    The executor runs one callback after the other: one that waits would keep the next image out.
    What does not get out in time makes room for what is newer.

    Args:
        failed: Called with what `publish()` raised; the next message goes on.
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._letters = _Letters()
        self._worker: Worker[Letter] = Worker(self._letters, _publish, failed)

    def start(self) -> None:
        """Begin to publish what was given and what will be."""
        self._worker.start()

    def send(self, publisher: Publisher, message: Any) -> None:
        """Publish a message soon, behind those before it."""
        self._letters.put((publisher, message))

    def close(self) -> None:
        """Forget what is left, and wait until the message at hand is out."""
        self._worker.stop()


class _Letters:
    """Those that wait, the oldest first."""

    def __init__(self) -> None:
        self._waiting: deque[Letter] = deque(maxlen=KEPT)
        self._changed = threading.Condition()
        self._closed = False

    def put(self, letter: Letter) -> None:
        with self._changed:
            self._waiting.append(letter)
            self._changed.notify()

    def take(self) -> Letter | None:
        """See Source."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else self._waiting.popleft()

    def close(self) -> None:
        """See Source."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()


def _publish(letter: Letter) -> None:
    publisher, message = letter
    publisher.publish(message)
