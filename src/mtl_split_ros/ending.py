# SPDX-License-Identifier: Apache-2.0
"""The end of a node, which Fast DDS does not always let happen."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_S = 8.0
"""Less than the ten seconds after which `ros2 launch` kills."""

_STDERR = 2


@contextmanager
def ends_in_time() -> Iterator[None]:
    """End the process (exit code 1, with where it hung) when the block takes too long.

    Fast DDS 2.14 may wait for ever in the destruction of a participant, with the lock of Python,
    where another one leaves the graph at the same time (eProsima/Fast-DDS#6513). Then no signal
    handler of Python runs either; this timer needs no lock.
    """
    # the file as a number, since sys.stderr may be something that has none
    faulthandler.dump_traceback_later(LONGEST_S, exit=True, file=_STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
