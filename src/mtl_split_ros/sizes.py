# SPDX-License-Identifier: Apache-2.0
"""Notices that the images of a camera have another size."""

import math
import time

from mtl_split_ros.status import Level, Status

NEWS_S = 5.0
Size = tuple[int, int]
"""Width and height, pixels."""


class SizeWatch:
    """Watches the size of one stream's images; written by the worker, read by the executor."""

    def __init__(self) -> None:
        self._size: Size | None = None
        self._changed: tuple[Size, Size] | None = None
        self._at = -math.inf
        self._count = 0

    def seen(self, width: int, height: int, now: float | None = None) -> None:
        """An image was converted.

        Args:
            width: Pixels.
            height: Pixels.
            now: Monotonic seconds, for tests.
        """
        before, after = self._size, (width, height)
        self._size = after
        if before and before != after:
            self._changed = before, after
            self._at = time.monotonic() if now is None else now
            self._count += 1

    def fill(self, status: Status, now: float | None = None) -> None:
        """Add the size to a diagnostic status, and while it is news that it changed.

        Args:
            status: To fill.
            now: Monotonic seconds, for tests.
        """
        if self._size:
            status.add('size', _text(self._size))
        status.add('changes of size', self._count)
        now = time.monotonic() if now is None else now
        if self._changed and now - self._at < NEWS_S:
            before, after = self._changed
            # no trouble: results are in pixels of the image that they belong to
            status.merge_summary(
                Level.OK, f'images are {_text(after)} now, they were {_text(before)}'
            )


def _text(size: Size) -> str:
    return f'{size[0]}x{size[1]}'
