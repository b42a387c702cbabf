# SPDX-License-Identifier: Apache-2.0
import threading

from mtl_split_ros.outbox import Outbox

PATIENCE_S = 40.0
KEPT = 5


class SlowPublisher:
    """Publishes once its gate is open; 0 is no message."""

    topic_name = '/slow'

    def __init__(self) -> None:
        self.gate, self.began = threading.Event(), threading.Event()
        self.published: list[int] = []

    def publish(self, message: int) -> None:
        self.began.set()
        self.gate.wait(PATIENCE_S)
        if message == 0:
            raise ValueError('no message')
        self.published.append(message)


def test_who_sends_never_waits_and_the_newest_get_out_in_order() -> None:
    publisher, errors = SlowPublisher(), list[Exception]()
    outbox = Outbox('slow', KEPT, errors.append)
    outbox.send(publisher, 0)
    outbox.start()
    assert publisher.began.wait(PATIENCE_S)
    for number in range(1, KEPT + 4):
        outbox.send(publisher, number)
    assert publisher.published == []
    assert outbox.left_out == 3
    publisher.gate.set()
    outbox.close()
    assert publisher.published == list(range(4, KEPT + 4))  # at the end, too, nothing is lost
    assert [str(error) for error in errors] == ['nothing published on /slow: no message']
    outbox.send(publisher, 99)
    assert 99 not in publisher.published
    assert outbox.left_out == 3
