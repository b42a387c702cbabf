# SPDX-License-Identifier: Apache-2.0
"""A slot that keeps only the newest item per key, and the one thread that empties it."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar('Item')


class NewestSlot(Generic[Item]):
    """Newest item per key; keys are served in the order in which they began to wait."""

    def __init__(self, limit: int = 16) -> None:
        """Hold at most `limit` keys, whatever the wire says."""
        self._limit = limit
        self._items: dict[Hashable, Item] = {}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item, key: Hashable = None) -> Item | None:
        """Store an item and return at once.

        Returns:
            The older item, which nobody had taken, that it displaced; None without one.
        """
        with self._changed:
            displaced = self._items.get(key)
            if displaced is None and len(self._items) >= self._limit:
                displaced = self._items.pop(next(iter(self._items)))
            self._items[key] = item
            self._changed.notify()
            return displaced

    def take(self) -> Item | None:
        """Wait for an item; None once the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            if self._closed:
                return None
            return self._items.pop(next(iter(self._items)))

    def close(self) -> None:
        """Let whoever waits go, and forget what is stored."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


class Worker(Generic[Item]):
    """The one thread that owns network and publishers."""

    def __init__(
        self,
        slot: NewestSlot[Item],
        handle: Callable[[Item], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Handle the items of a slot until stop().

        Args:
            slot: Where the items come from.
            handle: Called for every item.
            failed: Called with what `handle` raised; the next item goes on.
        """
        self._slot = slot
        self._handle = handle
        self._failed = failed
        self._thread = threading.Thread(target=self._run, name='worker', daemon=True)
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
        """Finish the item at hand and join the thread.

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
