# SPDX-License-Identifier: Apache-2.0
import threading
import time

from mtl_split_ros.worker import NewestSlot, Worker

PATIENCE_S = 40.0


def test_worker_skips_what_it_is_too_slow_for_and_survives_an_error() -> None:
    slot: NewestSlot[int] = NewestSlot()
    begun, release = threading.Event(), threading.Event()
    handled: list[int] = []
    errors: list[Exception] = []

    def handle(item: int) -> None:
        handled.append(item)
        begun.set()
        if item == 0:
            release.wait(PATIENCE_S)
            msg = 'bad frame'
            raise ValueError(msg)

    worker = Worker(slot, handle, errors.append)
    worker.start()
    slot.put(0)
    assert begun.wait(PATIENCE_S)
    assert not slot.put(1)
    assert slot.put(2) == 1
    assert worker.busy_s > 0
    release.set()
    deadline = time.monotonic() + PATIENCE_S
    while len(handled) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert handled == [0, 2]
    assert [str(error) for error in errors] == ['bad frame']
    assert worker.stop()
    slot.put(3)
    assert slot.take() is None
