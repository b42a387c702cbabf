# SPDX-License-Identifier: Apache-2.0
"""Keys on a real terminal and lines on a real pipe."""

import os
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mtl_split_tools import keyboard

PATIENCE_S = 40.0


@contextmanager
def stdin_is(fd: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with os.fdopen(fd) as stream, monkeypatch.context() as patch:
        patch.setattr('sys.stdin', stream)
        yield


def test_the_space_bar_toggles_and_the_terminal_is_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = os.openpty()
    # The terminal of a test is not the one that controls its process group.
    monkeypatch.setattr('os.tcgetpgrp', lambda _: os.getpgrp())
    before = termios.tcgetattr(theirs)
    pressed = threading.Semaphore(0)
    with stdin_is(theirs, monkeypatch):
        with keyboard.keys(pressed.release, lambda: None):
            os.write(ours, b'x  ')
            assert pressed.acquire(timeout=PATIENCE_S)
            assert pressed.acquire(timeout=PATIENCE_S)
            assert not pressed.acquire(timeout=0.2)
        assert termios.tcgetattr(theirs) == before
    os.close(ours)


def test_a_background_job_leaves_the_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    monkeypatch.setattr('os.tcgetpgrp', lambda _: os.getpgrp() + 1)
    threads = threading.active_count()
    with stdin_is(theirs, monkeypatch), keyboard.keys(lambda: None, lambda: None):
        assert threading.active_count() == threads
    os.close(ours)


def test_each_line_of_a_pipe_toggles_and_its_end_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    pressed, ended = threading.Semaphore(0), threading.Event()
    with stdin_is(reading, monkeypatch), keyboard.keys(pressed.release, ended.set):
        os.write(writing, b'pause\nresume\n')
        assert pressed.acquire(timeout=PATIENCE_S)
        assert pressed.acquire(timeout=PATIENCE_S)
        assert not ended.is_set()
        os.close(writing)
        assert ended.wait(PATIENCE_S)
