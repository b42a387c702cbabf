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
    assert seen(watch, 6.0).level is Level.OK
    watch.heard(Time(sec=4, nanosec=500_000_001), 7.0)
    watch.heard(Time(sec=4, nanosec=600_000_000), 7.1)
    status = seen(watch, 8.0)
    assert status.level is Level.WARN
    assert 'went back by 1.500 s' in status.message
    assert ('stamps that went back', '1') in status.values
    assert seen(watch, 7.0 + TROUBLE_S).level is Level.OK
