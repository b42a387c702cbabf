# SPDX-License-Identifier: Apache-2.0
import threading
import time
from dataclasses import replace

from tests.edge.test_servers import REPORT

from mtl_split_core.codec_ids import CodecId
from mtl_split_core.profile import Mode, unmeasured
from mtl_split_edge.ledger import ALIVE_S, GRACE_S, GUARD_S, LONGEST_TRANSIT_S, Ledger, Sent
from mtl_split_edge.link import Report

SERVER = 7
POINT = unmeasured(Mode.SPLIT, CodecId.ENTROPY, 0)


def sent(name: str, until: float) -> Sent[str]:
    return Sent(name, POINT, 100, until - 0.15, until, SERVER, round(until * 1e6), 0.1, 'best')


def report(sequence: int, mask: int, clock: float = 0.0, session: int = SERVER) -> Report:
    clock_us = round(clock * 1e6)
    return replace(
        REPORT, session=session, done_sequence=sequence, done_mask=mask, clock_us=clock_us
    )


def names(frames: list[Sent[str]]) -> list[str]:
    return [frame.header for frame in frames]


def test_reports_settle_frames_once_and_in_order() -> None:
    ledger: Ledger[str] = Ledger()
    for number, name in enumerate('abcd', 2**32 - 2):
        ledger.sent(number % 2**32, sent(name, 10))
    assert ledger.done(report(0, 0), 5.0) == ([], [])
    answered, passed = ledger.done(report(0, 0b101), 5.0)
    assert (names(answered), names(passed)) == (['a', 'c'], ['b'])
    answered, passed = ledger.done(report(1, 0b1011), 5.0)
    assert (names(answered), names(passed)) == (['d'], [])
    assert ledger.done(report(1, 0b1011), 5.0) == ([], [])


def test_what_is_said_of_another_stream_settles_nothing() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.sent(5, sent('a', 10))
    assert ledger.done(report(4, 2**64 - 1), 5.0) == ([], [])
    assert ledger.done(report(2000, 2**64 - 1), 5.0) == ([], [])


def test_what_stays_away_is_missed_once() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.sent(0, sent('a', 10))
    ledger.sent(1, sent('b', 11))
    assert ledger.expire(10 + GRACE_S) == []
    assert names(ledger.expire(10 + GRACE_S + 0.01)) == ['a']
    assert ledger.done(report(0, 1), 5.0) == ([], [])


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
    threading.Timer(0.05, ledger.done, (report(0, 1), 0.0)).start()
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
    ledger.done(report(0, 1), now)
    assert ledger.wait_until_own(time.monotonic)
    assert 0.1 <= time.monotonic() - now < 5


def test_a_later_clock_of_the_server_proves_that_no_answer_comes() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.sent(0, sent('a', 10.0))
    assert ledger.done(report(0, 0, clock=10.0 + GUARD_S), 5.0) == ([], [])
    assert ledger.done(report(0, 0, clock=99.0, session=8), 5.0) == ([], [])
    answered, passed = ledger.done(report(0, 0, clock=10.0 + 2 * GUARD_S), 5.0)
    assert (answered, names(passed)) == ([], ['a'])


def test_while_reports_come_an_own_answer_waits_for_proof() -> None:
    ledger: Ledger[str] = Ledger()
    now = time.monotonic()
    ledger.sent(0, sent('a', now))

    def reports() -> None:
        for _ in range(2):
            time.sleep(ALIVE_S / 2)
            ledger.done(report(0, 0, clock=now), time.monotonic())
        ledger.done(report(0, 0, clock=now + 1), time.monotonic())

    ledger.done(report(0, 0, clock=now), now)
    thread = threading.Thread(target=reports)
    thread.start()
    assert ledger.wait_until_own(time.monotonic)
    assert now + ALIVE_S <= time.monotonic() < now + LONGEST_TRANSIT_S + 5.0
    thread.join()
