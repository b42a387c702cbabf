# SPDX-License-Identifier: Apache-2.0
from mtl_split_server.turn import PEER_ALIVE_S, Turn, Turns, clock_us


def test_a_frame_of_ours_is_answered_until_its_time_is_over() -> None:
    turns = Turns(5, now=0)
    assert turns.of(5, 0, now=9) is Turn.ANSWER
    assert turns.of(5, clock_us(9.5), now=9) is Turn.ANSWER
    assert turns.of(5, clock_us(9.5), now=9.5) is Turn.LATE
    # the clock of another server means nothing here
    assert turns.of(6, 1, now=9) is Turn.ANSWER


def test_a_frame_of_another_server_is_left_to_it_while_it_is_alive() -> None:
    turns = Turns(5, now=0)
    turns.heard(6, now=10)
    turns.heard(5, now=10)
    assert turns.peers(now=11) == (6,)
    assert turns.of(6, 0, now=11) is Turn.ELSEWHERE
    assert turns.of(6, 0, now=10 + PEER_ALIVE_S) is Turn.ANSWER


def test_a_frame_of_nobodys_is_answered_by_one() -> None:
    sessions = (5, 6, 7)
    servers = [Turns(session, now=-10) for session in sessions]
    for server in servers:
        for session in sessions:
            server.heard(session, now=1)
    for addressed in (0, 99):
        turns = [server.of(addressed, 0, now=2) for server in servers]
        assert turns == [Turn.ANSWER, Turn.ELSEWHERE, Turn.ELSEWHERE]


def test_the_peers_are_bounded() -> None:
    turns = Turns(1, now=0)
    for session in range(2, 1000):
        turns.heard(session, now=1)
    assert len(turns.peers(now=1)) <= 16


def test_a_young_server_leaves_what_may_be_another_ones() -> None:
    turns = Turns(5, now=10)
    assert turns.of(6, 0, now=11) is Turn.ELSEWHERE
    assert turns.of(0, 0, now=11) is Turn.ANSWER
    assert turns.of(5, 0, now=11) is Turn.ANSWER
    assert turns.of(6, 0, now=10 + PEER_ALIVE_S) is Turn.ANSWER
