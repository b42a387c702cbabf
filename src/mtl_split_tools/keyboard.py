# SPDX-License-Identifier: Apache-2.0
"""Keys while a command runs: the space bar on a terminal, lines on a pipe."""

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_POLL_S = 0.1


@contextmanager
def keys(on_toggle: Callable[[], None], on_end: Callable[[], None]) -> Iterator[None]:
    """Call back from a thread while the body runs.

    Args:
        on_toggle: The space bar was pressed, or a line came in through a pipe.
        on_end: The pipe was closed.
    """
    fd = _usable_stdin()
    if fd is None:
        yield
        return
    terminal = termios.tcgetattr(fd) if os.isatty(fd) else None
    done = threading.Event()
    thread = threading.Thread(
        target=_listen, args=(fd, terminal is not None, done, on_toggle, on_end), daemon=True
    )
    if terminal is not None:
        tty.setcbreak(fd)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if terminal is not None:
            termios.tcsetattr(fd, termios.TCSADRAIN, terminal)


def _usable_stdin() -> int | None:
    try:
        fd = sys.stdin.fileno()
        # A background job that reads its terminal is stopped by the kernel.
        usable = not os.isatty(fd) or os.tcgetpgrp(fd) == os.getpgrp()
    except (AttributeError, OSError, ValueError):
        return None
    return fd if usable else None


def _listen(
    fd: int,
    terminal: bool,
    done: threading.Event,
    on_toggle: Callable[[], None],
    on_end: Callable[[], None],
) -> None:
    wanted = b' ' if terminal else b'\n'
    while not done.is_set():
        if not select.select([fd], [], [], _POLL_S)[0]:
            continue
        data = os.read(fd, 1024)
        if not data:
            on_end()
            return
        for _ in range(data.count(wanted)):
            on_toggle()
