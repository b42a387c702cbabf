# SPDX-License-Identifier: Apache-2.0
from mtl_split_ros.sizes import NEWS_S, SizeWatch
from mtl_split_ros.status import Level, Status


def told(watch: SizeWatch, now: float) -> Status:
    status = Status()
    watch.fill(status, now)
    return status


def test_another_size_is_counted_and_said_while_it_is_news() -> None:
    watch = SizeWatch()
    assert told(watch, 0.0).values == [('changes of size', '0')]
    for number in range(3):
        watch.seen(640, 480, float(number))
    first = told(watch, 3.0)
    assert first.message == ''
    assert first.values == [('size', '640x480'), ('changes of size', '0')]
    watch.seen(641, 97, 4.0)
    watch.seen(641, 97, 4.1)
    status = told(watch, 4.0 + NEWS_S / 2)
    assert (status.level, status.message) == (
        Level.OK,
        'images are 641x97 now, they were 640x480',
    )
    assert status.values == [('size', '641x97'), ('changes of size', '1')]
    assert told(watch, 4.0 + NEWS_S).message == ''
