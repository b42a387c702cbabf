# SPDX-License-Identifier: Apache-2.0
"""What loading a bundle sets for the whole process."""

from collections.abc import Iterator
from typing import cast

import cv2
import pytest

from mtl_split_core.bundle import Bundle
from mtl_split_edge.loading import load
from mtl_split_ros.parameters import Parameters


class Settings:
    """The parameters that loading reads."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self._texts = {'bundle': str(bundle.path), 'backend': 'onnxruntime'}
        self._threads = threads

    def text(self, name: str) -> str:
        return self._texts[name]

    def integer(self, name: str) -> int:
        assert name == 'threads'
        return self._threads

    def texts(self, name: str) -> tuple[str, ...]:
        assert name == 'providers'
        return ()


@pytest.fixture(autouse=True)
def threads_of_opencv() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.mark.parametrize('threads', [1, 2])
def test_opencv_has_as_many_threads_as_the_network(tiny_bundle: Bundle, threads: int) -> None:
    cv2.setNumThreads(3 - threads)
    load(cast('Parameters', Settings(tiny_bundle, threads)))
    assert cv2.getNumThreads() == threads
