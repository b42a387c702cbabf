# SPDX-License-Identifier: Apache-2.0
"""Stages that work at the same time, each in a thread of its own."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar('T')
DEPTH = 4  # enough for a slow frame; more would only be memory


def ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """Work on items before they are asked for.

    Args:
        items: Runs in one thread of its own from the first item to its end, as sqlite needs it; is
            closed when this generator is.

    Yields:
        The items in their order; what `items` raises comes out where it was raised.
    """
    waiting: deque[Future[T | None]] = deque()
    with ThreadPoolExecutor(1, 'ahead') as worker:
        try:
            waiting.extend(worker.submit(next, items, None) for _ in range(DEPTH))
            while (item := waiting.popleft().result()) is not None:
                waiting.append(worker.submit(next, items, None))
                yield item
        finally:
            for future in waiting:
                future.cancel()
            worker.submit(items.close)
