# SPDX-License-Identifier: Apache-2.0
import threading
import time

from mtl_split_core.codecs import CodecId
from mtl_split_core.profile import Mode, unmeasured
from mtl_split_edge.ledger import GRACE_S, GUARD_S, Ledger, Sent

POINT = unmeasured(Mode.SPLIT, CodecId.ENTROPY, 0)


def sent(name: str, until: float) -> Sent[str]:
    return Sent(name, POINT, 100, until - 0.15, until, 0.1, 'best in time')


def names(frames: list[Sent[str]]) -> list[str]:
    return [frame.header for frame in frames]


def test_reports_settle_frames_once_and_in_order() -> None:
    ledger: Ledger[str] = Ledger()
    for number, name in enumerate('abcd', 2**32 - 2):
        ledger.sent(number % 2**32, sent(name, 10))
    assert ledger.done(0, 0, 5.0) == ([], [])
    answered, passed = ledger.done(0, 0b101, 5.0)
    assert (names(answered), names(passed)) == (['a', 'c'], ['b'])
    answered, passed = ledger.done(1, 0b1011, 5.0)
    assert (names(answered), names(passed)) == (['d'], [])
    assert ledger.done(1, 0b1011, 5.0) == ([], [])
    assert (ledger.answered, ledger.missed) == (3, 1)


def test_what_is_said_of_another_stream_settles_nothing() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.sent(5, sent('a', 10))
    assert ledger.done(4, 2**64 - 1, 5.0) == ([], [])
    assert ledger.done(2000, 2**64 - 1, 5.0) == ([], [])


def test_what_stays_away_is_missed_once() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.sent(0, sent('a', 10))
    ledger.sent(1, sent('b', 11))
    assert ledger.expire(10 + GRACE_S) == []
    assert names(ledger.expire(10 + GRACE_S + 0.01)) == ['a']
    assert ledger.done(0, 1, 5.0) == ([], [])
    assert (ledger.answered, ledger.missed) == (0, 1)


def test_an_own_answer_waits_for_the_time_of_the_last_frame_that_is_out() -> None:
    ledger: Ledger[str] = Ledger()
    now = time.monotonic()
    ledger.sent(0, sent('a', now + 0.1))
    ledger.sent(1, sent('b', now + 0.05))
    assert ledger.wait_until_own(time.monotonic)
    assert time.monotonic() >= now + 0.1 + GUARD_S


def test_an_answered_frame_holds_nothing_up() -> None:
    ledger: Ledger[str] = Ledger()
    now = time.monotonic()
    ledger.sent(0, sent('a', now + 30))
    threading.Timer(0.05, ledger.done, (0, 1, 0.0)).start()
    assert ledger.wait_until_own(time.monotonic)
    assert time.monotonic() < now + 10
    assert ledger.wait_until_own(time.monotonic)


def test_closing_lets_go() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.sent(0, sent('a', time.monotonic() + 30))
    threading.Timer(0.05, ledger.close).start()
    assert not ledger.wait_until_own(time.monotonic)


def test_the_book_is_bounded() -> None:
    ledger: Ledger[str] = Ledger()
    for number in range(2000):
        ledger.sent(number, sent(str(number), 10))
    assert len(ledger.expire(100)) <= 512


def test_an_own_answer_waits_until_a_lost_answer_is_not_sent_again() -> None:
    ledger: Ledger[str] = Ledger(life_s=0.1)
    now = time.monotonic()
    ledger.sent(0, sent('a', now + 30))
    ledger.done(0, 1, now)
    assert ledger.wait_until_own(time.monotonic)
    assert 0.1 <= time.monotonic() - now < 5
