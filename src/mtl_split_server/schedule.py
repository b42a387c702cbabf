# SPDX-License-Identifier: Apache-2.0
"""Whose frame is next: the newest of each camera, the earliest deadline first, nobody passed twice.

Earliest deadline first alone starves: a camera with short deadlines and many frames is always
before one that has time. So while a frame waits, each other camera may pass it once: a camera that
was served since the oldest one began to wait stands back. With N cameras a frame waits for those
at work and N - 1 others at most, whatever they send and whatever deadlines they claim; and a camera
whose frames come no faster than N take is never passed over.

Where there is more than can be done, cameras lose frames, and who happened to wait when another one
had just been served would get more than that one. So a camera that lost a frame lately counts as
waiting from its last turn on: then all get the same number of turns.
"""

import math
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar('Item')

Joins = Callable[[Sequence[Item], Item], bool]
"""Whether an item can go together with those that were taken before it."""

NO_DEADLINE = math.inf
_OWED_TURNS = 3
"""For how many turns without a loss a camera still counts as one that lost a frame."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item]):
    """What waits.

    Args:
        item: The newest.
        deadline: Until when it helps, on any one clock.
        since: How many items had been taken when its camera began to wait.
        lost: Whether it took the place of an older one.
    """

    item: Item
    deadline: float
    since: int
    lost: bool = False


@dataclass(frozen=True, slots=True)
class _Served:
    """A camera's last turn: its number, and for how many turns more it is owed."""

    turn: int
    owed: int


class Schedule(Generic[Item]):
    """The newest item of each key, and which of them is next. Not for several threads.

    Args:
        limit: Most keys that wait, whatever the wire says; above 0.
    """

    def __init__(self, limit: int = 16) -> None:
        self._limit = limit
        self._waiting: dict[Hashable, _Waiting[Item]] = {}
        self._turn = 0
        self._served: dict[Hashable, _Served] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, key: Hashable, item: Item, deadline: float = NO_DEADLINE) -> Item | None:
        """Store an item; its key keeps its place if it waits already.

        Args:
            key: Whose it is.
            item: Any.
            deadline: Until when it helps; those without one come behind those that have one.

        Returns:
            The item that it displaced: the older one of its key or, with `limit` others there, that
            of the key that has waited longest; None without one.
        """
        if before := self._waiting.get(key):
            self._waiting[key] = _Waiting(item, deadline, before.since, lost=True)
            return before.item
        displaced = None
        if len(self._waiting) >= self._limit:
            displaced = self._waiting.pop(self._oldest()).item
        last = self._served.get(key)
        since = last.turn + 1 if last and last.owed else self._turn
        self._waiting[key] = _Waiting(item, deadline, since)
        return displaced

    def take(self) -> Item | None:
        """Return the item whose turn it is, None if nothing waits."""
        return self._taken(self._next()) if self._waiting else None

    def take_together(self, most: int, joins: Joins[Item]) -> list[Item]:
        """Return what take() would give one after the other, as far as it can go together.

        Args:
            most: Most items, at least 1.
            joins: Says which can; the first that cannot ends the list, so that nothing is passed
                over.

        Returns:
            The items, whoever's turn it is first; empty if nothing waits.
        """
        items: list[Item] = []
        while self._waiting and len(items) < most:
            key = self._next()
            if items and not joins(items, self._waiting[key].item):
                break
            items.append(self._taken(key))
        return items

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def _taken(self, key: Hashable) -> Item:
        taken, last = self._waiting.pop(key), self._served.get(key)
        owed = _OWED_TURNS if taken.lost else max(0, last.owed - 1 if last else 0)
        self._served[key] = _Served(self._turn, owed)
        self._turn += 1
        horizon = self._turn - self._limit
        self._served = {k: last for k, last in self._served.items() if last.turn >= horizon}
        return taken.item

    def _oldest(self) -> Hashable:
        return min(self._waiting, key=lambda key: self._waiting[key].since)

    def _next(self) -> Hashable:
        oldest = self._oldest()
        since = self._waiting[oldest].since
        # keys that are new each time would pass without end
        if self._turn - since >= self._limit:
            return oldest
        # the oldest is always among these: its last turn was before it began to wait
        fair = (
            key
            for key in self._waiting
            if (last := self._served.get(key)) is None or last.turn < since
        )
        return min(fair, key=lambda key: self._waiting[key].deadline)


class CameraQueue(Generic[Item]):
    """A schedule between the thread that stores and the one that works.

    Args:
        limit: As of Schedule.
        joins: As of Schedule.take_together(); nothing goes together when left out.
    """

    def __init__(self, limit: int = 16, joins: Joins[Item] = lambda _items, _item: False) -> None:
        self.most = 1
        """Most items that are taken together, at least 1; may be set at any time."""
        self._joins = joins
        self._schedule: Schedule[Item] = Schedule(limit)
        self._changed = threading.Condition()
        self._closed = False

    def put(self, key: Hashable, item: Item, deadline: float = NO_DEADLINE) -> Item | None:
        """Store an item and return at once; arguments and result as of Schedule.put()."""
        with self._changed:
            displaced = self._schedule.put(key, item, deadline)
            self._changed.notify()
            return displaced

    def take(self) -> list[Item] | None:
        """Wait for an item and return it with what waits beside it; None once it is closed.

        Nothing is waited for when there is an item.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._schedule))
            if self._closed:
                return None
            return self._schedule.take_together(self.most, self._joins)

    def close(self) -> None:
        """Let whoever waits go, and forget what is stored."""
        with self._changed:
            self._closed = True
            self._schedule.clear()
            self._changed.notify_all()
