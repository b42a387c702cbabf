# SPDX-License-Identifier: Apache-2.0
"""Messages that callbacks have to publish, published by a thread of its own."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.publisher import Publisher

from mtl_split_core.errors import MtlSplitError
from mtl_split_ros.worker import Worker

Letter = tuple[Publisher, Any]


class Outbox:
    """Takes messages and returns at once, since a slow reader or a full socket blocks `publish()`.

    The executor runs one callback after the other: one that waits would keep the next image out.
    What does not get out in time makes room for what is newer.

    Args:
        name: Of the thread.
        kept: Messages that may wait.
        failed: Called with what `publish()` raised; the next message goes on.
    """

    def __init__(self, name: str, kept: int, failed: Callable[[Exception], None]) -> None:
        self._letters = _Letters(kept)
        self._worker: Worker[Letter] = Worker(self._letters, _publish, failed, name)

    @property
    def left_out(self) -> int:
        """Messages that made room for newer ones."""
        return self._letters.left_out

    def start(self) -> None:
        """Begin to publish what was given and what will be."""
        self._worker.start()

    def send(self, publisher: Publisher, message: Any) -> None:
        """Publish a message soon, behind those before it."""
        self._letters.put((publisher, message))

    def close(self) -> None:
        """Publish what is left, as far as it goes in a few seconds, and take nothing more."""
        self._worker.stop()


class _Letters:
    """Those that wait, the oldest first."""

    def __init__(self, kept: int) -> None:
        self.left_out = 0
        self._waiting: deque[Letter] = deque(maxlen=kept)
        self._changed = threading.Condition()
        self._closed = False

    def put(self, letter: Letter) -> None:
        with self._changed:
            if self._closed:
                return
            self.left_out += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(letter)
            self._changed.notify()

    def take(self) -> Letter | None:
        """See Source; what waits at the end is still given."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """See Source."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _publish(letter: Letter) -> None:
    publisher, message = letter
    try:
        publisher.publish(message)
    except Exception as error:
        msg = f'nothing published on {publisher.topic_name}: {error}'
        raise MtlSplitError(msg) from error
