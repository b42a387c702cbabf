# SPDX-License-Identifier: Apache-2.0
"""Brings an image and its results together by their exact stamp, whichever comes first."""

import threading
from typing import Generic, TypeVar

ImageT = TypeVar('ImageT')
ResultT = TypeVar('ResultT')

Stamp = tuple[str, int]
"""frame_id and nanoseconds."""


class OverlayMatcher(Generic[ImageT, ResultT]):
    """A few images and a few results that wait for each other.

    message_filters would run callbacks inside its lock and jam after a jump back in time.
    """

    def __init__(self, keep: int = 16) -> None:
        """Let at most `keep` images and `keep` results wait."""
        self._keep = keep
        self._images: dict[Stamp, ImageT] = {}
        self._results: dict[Stamp, ResultT] = {}
        self._newest: dict[str, int] = {}
        self._lock = threading.Lock()

    def image(self, stamp: Stamp, image: ImageT) -> tuple[ImageT, ResultT] | None:
        """An image arrived; the pair if its results wait for it."""
        with self._lock:
            self._follow(stamp)
            if stamp in self._results:
                return image, self._results.pop(stamp)
            _put(self._images, stamp, image, self._keep)
            return None

    def result(self, stamp: Stamp, result: ResultT) -> tuple[ImageT, ResultT] | None:
        """Results were made; the pair if their image waits for them."""
        with self._lock:
            if stamp in self._images:
                return self._images.pop(stamp), result
            _put(self._results, stamp, result, self._keep)
            return None

    def clear(self) -> None:
        """Forget everything; nobody looks any more."""
        with self._lock:
            self._images.clear()
            self._results.clear()
            self._newest.clear()

    def _follow(self, stamp: Stamp) -> None:
        camera, nanoseconds = stamp
        if nanoseconds < self._newest.get(camera, nanoseconds):
            # a bag began anew: what waits belongs to the pass before
            self._images = {key: kept for key, kept in self._images.items() if key[0] != camera}
            self._results = {key: kept for key, kept in self._results.items() if key == stamp}
        _put(self._newest, camera, nanoseconds, self._keep)


Key = TypeVar('Key')
Kept = TypeVar('Kept')


def _put(store: dict[Key, Kept], key: Key, value: Kept, keep: int) -> None:
    store.pop(key, None)
    while len(store) >= keep:
        del store[next(iter(store))]
    store[key] = value
