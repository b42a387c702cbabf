# SPDX-License-Identifier: Apache-2.0
"""A slot that keeps only the newest item, and the one thread that empties it."""

import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

Item = TypeVar('Item')
Given = TypeVar('Given', covariant=True)


class Source(Protocol[Given]):
    """Where a worker's items come from."""

    def take(self) -> Given | None:
        """Wait for an item; None once the source is closed."""
        ...

    def close(self) -> None:
        """Let whoever waits go; nothing more comes in."""
        ...


class NewestSlot(Generic[Item]):
    """Room for one item: the newest."""

    def __init__(self) -> None:
        """Begin empty."""
        self._item: Item | None = None
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> Item | None:
        """Store an item and return at once.

        Returns:
            The older item, which nobody had taken, that it displaced; None without one.
        """
        with self._changed:
            displaced, self._item = self._item, item
            self._changed.notify()
            return displaced

    def take(self) -> Item | None:
        """Wait for an item; None once the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed)
            if self._closed:
                return None
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Let whoever waits go, and forget what is stored."""
        with self._changed:
            self._closed = True
            self._item = None
            self._changed.notify_all()


class Worker(Generic[Item]):
    """A thread that handles one item after the other, such as the one that owns the network."""

    def __init__(
        self,
        slot: Source[Item],
        handle: Callable[[Item], None],
        failed: Callable[[Exception], None],
        name: str = 'worker',
    ) -> None:
        """Handle the items of a slot until stop().

        Args:
            slot: Where the items come from.
            handle: Called for every item.
            failed: Called with what `handle` raised; the next item goes on.
            name: Of the thread.
        """
        self._slot = slot
        self._handle = handle
        self._failed = failed
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._busy_s = 0.0
        self._began: float | None = None

    @property
    def busy_s(self) -> float:
        """Seconds spent in `handle` since the start, the running call included."""
        began = self._began
        return self._busy_s + (0.0 if began is None else time.monotonic() - began)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Finish the item at hand, and what the source still gives, and join the thread.

        Returns:
            Whether the thread ended within `timeout` seconds.
        """
        self._slot.close()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._slot.take()) is not None:
            self._began = began = time.monotonic()
            try:
                self._handle(item)
            except Exception as error:  # one frame never ends the node
                self._failed(error)
            self._began = None
            self._busy_s += time.monotonic() - began
