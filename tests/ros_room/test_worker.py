# SPDX-License-Identifier: Apache-2.0
import threading
import time

from mtl_split_ros.worker import NewestSlot, Worker


def test_the_newest_item_of_each_key_in_the_order_of_waiting() -> None:
    slot: NewestSlot[int] = NewestSlot()
    assert not slot.put(1, 'front')
    assert not slot.put(2, 'rear')
    assert slot.put(3, 'front') == 1
    assert [slot.take(), slot.take()] == [3, 2]


def test_the_number_of_keys_is_bounded() -> None:
    slot: NewestSlot[int] = NewestSlot(limit=2)
    assert [slot.put(i, i) for i in range(4)] == [None, None, 0, 1]
    assert [slot.take(), slot.take()] == [2, 3]


def test_worker_skips_what_it_is_too_slow_for_and_survives_an_error() -> None:
    slot: NewestSlot[int] = NewestSlot()
    begun, release = threading.Event(), threading.Event()
    handled: list[int] = []
    errors: list[Exception] = []

    def handle(item: int) -> None:
        handled.append(item)
        begun.set()
        if item == 0:
            release.wait(5)
            msg = 'bad frame'
            raise ValueError(msg)

    worker = Worker(slot, handle, errors.append)
    worker.start()
    slot.put(0)
    assert begun.wait(5)
    assert not slot.put(1)
    assert slot.put(2) == 1
    assert worker.busy_s > 0
    release.set()
    deadline = time.monotonic() + 5
    while len(handled) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert handled == [0, 2]
    assert [str(error) for error in errors] == ['bad frame']
    assert worker.stop()
    assert slot.take() is None
