# SPDX-License-Identifier: Apache-2.0
from builtin_interfaces.msg import Time

from mtl_split_ros.stamps import TROUBLE_S, StampWatch
from mtl_split_ros.status import Level, Status


def seen(watch: StampWatch, now: float) -> Status:
    status = Status()
    watch.fill(status, now)
    return status


def test_stamps_that_go_back_are_counted_and_said_while_they_are_news() -> None:
    watch = StampWatch()
    for number, (sec, nanosec) in enumerate([(5, 0), (5, 0), (5, 500), (6, 0), (0, 0), (6, 1)]):
        watch.heard(Time(sec=sec, nanosec=nanosec), float(number))
    assert seen(watch, 4.0 + TROUBLE_S).level is Level.OK
    watch.heard(Time(sec=4, nanosec=500_000_001), 10.0)
    watch.heard(Time(sec=4, nanosec=600_000_000), 10.1)
    status = seen(watch, 11.0)
    assert status.level is Level.WARN
    assert 'went back by 1.500 s' in status.message
    assert ('stamps that went back', '1') in status.values
    assert seen(watch, 10.0 + TROUBLE_S).level is Level.OK


def test_stamps_of_zero_are_counted_and_said_while_they_come() -> None:
    watch = StampWatch()
    watch.heard(Time(sec=5), 0.0)
    assert ('stamps of zero', '0') in seen(watch, 0.5).values
    for number in (1, 2):
        watch.heard(Time(), float(number))
    status = seen(watch, 2.0 + TROUBLE_S / 2)
    assert status.level is Level.WARN
    assert 'stamps of zero' in status.message
    assert ('stamps of zero', '2') in status.values
    assert ('stamps that went back', '0') in status.values
    assert seen(watch, 2.0 + TROUBLE_S).level is Level.OK
