# SPDX-License-Identifier: Apache-2.0
"""A return after one that failed is rehearsed: at full pace, and no image depends on it."""

from dataclasses import replace

import pytest
from tests.edge.driving import SENDING, SETTINGS, link
from tests.made_profile import made_profile

from mtl_split_core.profile import Mode
from mtl_split_edge.decision import Decision, QueueState
from mtl_split_edge.policy import Policy
from mtl_split_edge.rehearsal import Rehearsal

QUICK_MS, SLOW_MS = 50.0, 65.0  # to answer alone, of 67 ms


def policy_after_failures(count: int, local_ms: float = QUICK_MS) -> tuple[Policy, float]:
    """Return to a good link and have it go silent, `count` times; and when the last try ended."""
    policy, now = Policy(made_profile(local_ms=local_ms).points, SETTINGS), 0.0
    for _ in range(count):
        for _ in range(200):
            # As after a rehearsal that went well, where there is one.
            seen = link(10.0, probed_packets=round(now * 15), trip_s=0.02)
            policy.decide(seen, QueueState(), now)
            now += SETTINGS.period_s
            if policy.rung:
                break
        assert policy.rung
        policy.decide(replace(link(10.0), known=False), QueueState(), now)
        now += SETTINGS.period_s
    return policy, now


def drive(
    policy: Policy, start: float, seconds: float, growth_ms: float, backlog_s: float = 0.0
) -> list[Decision]:
    """Drive over a link whose round trips grow with each probe."""
    probes, made = 0, []
    for number in range(round(seconds / SETTINGS.period_s)):
        seen = link(10.0, probed_packets=probes, trip_s=0.02 + probes * growth_ms / 1e3)
        queue = QueueState(backlog_s=backlog_s if probes > 3 else 0.0)
        made.append(policy.decide(seen, queue, start + number * SETTINGS.period_s))
        probes += made[-1].probe is not None
        if policy.rung:
            break
    return made


def test_the_first_return_is_not_rehearsed() -> None:
    policy, now = policy_after_failures(0)
    policy.decide(link(10.0), QueueState(), now)
    assert policy.rung
    assert not policy.held_back


def test_after_a_failure_frames_are_sent_at_full_pace_and_answered_alone() -> None:
    policy, now = policy_after_failures(1)
    policy.decide(link(0.01), QueueState(), now)
    assert not policy.held_back  # nothing would be in time, whatever failed before
    policy.decide(link(10.0), QueueState(), now)
    assert policy.held_back
    decisions = drive(policy, now, 3.0, growth_ms=0.0)
    assert policy.rung
    assert not policy.held_back
    *before, _ = decisions
    assert 7 <= len(before) <= 9  # half a second
    assert all(d.point and d.point.mode is Mode.LOCAL for d in before)
    assert {d.probe for d in before if d.probe} == {policy.rung}
    assert sum(d.probe is not None for d in before) >= len(before) - 1


@pytest.mark.parametrize('growth_ms', [10.0, 20.0])
def test_round_trips_that_grow_end_it_and_count_as_a_failure(growth_ms: float) -> None:
    policy, now = policy_after_failures(1)
    decisions = drive(policy, now, 2.0, growth_ms)
    assert not policy.rung
    rehearsed = sum(d.probe is not None for d in decisions)
    assert 7 <= rehearsed <= 13  # one rehearsal and few probes: the next one has to wait


def test_a_frame_that_would_have_to_be_left_out_ends_it() -> None:
    policy, now = policy_after_failures(1)
    decisions = drive(policy, now, 2.0, growth_ms=0.0, backlog_s=0.05)
    assert not policy.rung
    assert sum(d.probe is not None for d in decisions) < 10


def test_an_edge_that_has_no_time_left_tries_it_for_good_and_more_rarely() -> None:
    policy, now = policy_after_failures(1, SLOW_MS)
    drive(policy, now, 0.1, growth_ms=0.0)
    assert policy.rung
    policy, now = policy_after_failures(2, SLOW_MS)
    drive(policy, now, 3 * SETTINGS.return_after_s, growth_ms=0.0)
    assert not policy.rung
    drive(policy, now + 4 * SETTINGS.return_after_s, 0.1, growth_ms=0.0)
    assert policy.rung


def test_growth_is_followed_further_and_a_better_end_is_not() -> None:
    for trips, expected in (([10, 10, 10, 10, 16, 16, 16], 28), ([16, 16, 16, 10, 10, 10, 10], 10)):
        rehearsal = Rehearsal()
        rehearsal.begin(SENDING[0], link(1.0), 0.0)
        for number, trip in enumerate(trips, 1):
            assert not rehearsal.over(0.4)
            rehearsal.look(link(1.0, probed_packets=number, trip_s=trip / 1e3))
        assert not rehearsal.over(0.4)
        assert rehearsal.over(0.5)
        assert rehearsal.trip_s() == pytest.approx(expected / 1e3)
