# SPDX-License-Identifier: Apache-2.0
import threading

from mtl_split_ros.outbox import KEPT, Outbox

PATIENCE_S = 40.0


class SlowPublisher:
    """Publishes once its gate is open; 0 is no message."""

    def __init__(self) -> None:
        self.gate, self.began, self.ended = (threading.Event() for _ in range(3))
        self.published: list[int] = []

    def publish(self, message: int) -> None:
        self.began.set()
        self.gate.wait(PATIENCE_S)
        if message == 0:
            raise ValueError('no message')
        self.published.append(message)
        if message == KEPT + 10:
            self.ended.set()


def test_who_sends_never_waits_and_the_newest_get_out_in_order() -> None:
    publisher, errors = SlowPublisher(), list[Exception]()
    outbox = Outbox(errors.append)
    outbox.send(publisher, 0)
    outbox.start()
    assert publisher.began.wait(PATIENCE_S)
    for number in range(1, KEPT + 11):
        outbox.send(publisher, number)
    assert publisher.published == []
    publisher.gate.set()
    assert publisher.ended.wait(PATIENCE_S)
    assert publisher.published == list(range(11, KEPT + 11))
    assert [str(error) for error in errors] == ['no message']
    outbox.close()
    outbox.send(publisher, 5)
    assert publisher.published[-1] == KEPT + 10
