# SPDX-License-Identifier: Apache-2.0
"""Returns to the link: rarer as they fail, at once where the probes say that it is another one."""

from dataclasses import replace
from itertools import pairwise

import pytest
from tests.edge.driving import PROFILE, SETTINGS, drive, link

from mtl_split_edge.decision import QueueState
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_edge.policy import Policy
from mtl_split_edge.returns import Returns

SLOW = link(1.0, probed_packets=4)
LEAST = 900.0


def returns(policy: Policy, seconds: float, start: float, estimate: LinkEstimate) -> list[float]:
    """Drive over a link whose probes are fine and that goes silent when frames are answered."""
    period_s, sent_since, silent_until = policy.settings.period_s, None, -1.0
    times, packets = [], estimate.probed_packets
    for number in range(round(seconds / period_s)):
        now = start + number * period_s
        if policy.rung and sent_since is None:
            sent_since = now
            times.append(now)
        if sent_since is not None and now - sent_since > 0.5:
            sent_since, silent_until = None, now + 0.3
        seen = replace(estimate, known=now > silent_until, probed_packets=packets)
        packets += policy.decide(seen, QueueState(), now).probe is not None
    return times


def may_return(
    returns: Returns, estimate: LinkEstimate, now: float, rehearsed: bool = True
) -> bool:
    return returns.may_return(estimate, LEAST, SETTINGS, now, rehearsed=rehearsed)


def look(returns: Returns, estimate: LinkEstimate, queue: QueueState, now: float) -> None:
    returns.look(estimate, queue, now, well=estimate.known)


def failed(count: int, link: LinkEstimate = SLOW) -> Returns:
    """Return to the link and leave it again, one second before 0 for the last time."""
    made = Returns()
    for number in range(count):
        made.returned(number - count - 0.5)
        made.left(number - count)
    look(made, link, QueueState(), -0.9)
    return made


def test_returns_that_fail_are_tried_more_and_more_rarely() -> None:
    policy = Policy(PROFILE.points, SETTINGS)
    times = returns(policy, 60.0, 0.0, link(1.0))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] < 1.0  # one failure may have been the link's
    assert 5 <= len(times) <= 8
    assert all(later > 1.5 * earlier for earlier, later in pairwise(gaps[1:5]))
    assert max(gaps) < 4 * SETTINGS.return_after_most_s + 1.0  # this edge cannot rehearse


def test_after_an_outage_the_link_is_returned_to_at_once() -> None:
    policy = Policy(PROFILE.points, SETTINGS)
    times = returns(policy, 20.0, 0.0, link(1.0))
    now = 20.0 if policy.rung is None else times[-1] + 0.5
    drive(policy, 2.0, replace(link(1.0), known=False), now)
    drive(policy, 0.2, link(1.0), now + 2.0)
    assert policy.rung


@pytest.mark.parametrize(('count', 'waits_s'), [(1, 0.0), (2, 2.0), (3, 4.0), (9, 8.0)])
@pytest.mark.parametrize(('rehearsed', 'times'), [(True, 1.0), (False, 4.0)])
def test_wait(count: int, waits_s: float, rehearsed: bool, times: float) -> None:
    made = failed(count)
    assert may_return(made, SLOW, -1.0 + times * waits_s, rehearsed)
    if waits_s:
        assert not may_return(made, SLOW, -1.1 + times * waits_s, rehearsed)


def test_probes_that_come_faster_end_the_wait() -> None:
    made = failed(6)
    fast = link(10.0, probed_packets=4)
    look(made, fast, QueueState(), 0.0)
    assert made.news
    assert not may_return(made, fast, 0.0)  # a shaper lets a few packets pass at once
    surer = replace(fast, probed_packets=13)
    look(made, surer, QueueState(), 0.3)
    assert may_return(made, surer, 0.3)


@pytest.mark.parametrize(
    'doubt', [link(1.0, probed_packets=7), link(10, known=False), link(10, probed_packets=0)]
)
def test_news_that_do_not_hold_are_forgotten(doubt: LinkEstimate) -> None:
    made = failed(6)
    look(made, link(10.0, probed_packets=4), QueueState(), 0.0)
    look(made, doubt, QueueState(), 0.3)
    assert not made.news
    again = link(10.0, probed_packets=13)
    look(made, again, QueueState(), 0.6)
    assert not may_return(made, again, 0.6)


def test_a_probe_that_is_out_says_nothing_yet() -> None:
    made = failed(6)
    look(made, link(10.0, probed_packets=4), QueueState(), 0.0)
    look(made, link(0.01, probed_packets=4), QueueState(silence_s=0.05), 0.1)
    later = link(10.0, probed_packets=13)
    look(made, later, QueueState(), 0.2)
    assert may_return(made, later, 0.2)


def test_what_the_failed_stream_left_in_the_queues_is_no_news() -> None:
    made = Returns()
    for _ in range(6):
        made.returned(-1.5)
        made.left(-1.0)
    look(made, link(0.05, probed_packets=1), QueueState(), -0.7)  # a probe behind it
    for packets in (4, 10, 16):
        look(made, link(0.7, probed_packets=packets), QueueState(), packets / 16)
    assert not made.news


@pytest.mark.parametrize(('mbit', 'may'), [(10.0, True), (0.6, False)])
def test_losses_that_are_over_end_the_wait_unless_the_link_was_full(mbit: float, may: bool) -> None:
    lossy = link(mbit, loss=0.2, probed_packets=4)
    made = failed(3, lossy)
    assert not may_return(made, lossy, 0.0)
    assert may_return(made, replace(lossy, loss=0.0), 0.0) is may


def test_trouble_that_probes_alone_had_and_that_is_over_ends_the_wait() -> None:
    made = failed(6)
    look(made, replace(SLOW, known=False), QueueState(), 0.3)
    look(made, SLOW, QueueState(), 0.4)
    assert not may_return(made, SLOW, 0.8)
    assert may_return(made, SLOW, 0.95)
    assert not may_return(made, SLOW, 0.95, rehearsed=False)
    made.failed(0.95)  # it was not over: calm counts anew, and the trouble is the same
    look(made, SLOW, QueueState(), 1.0)
    assert not may_return(made, SLOW, 1.4)
    assert may_return(made, SLOW, 1.6)
    made.returned(1.6)
    made.left(1.8)
    look(made, SLOW, QueueState(), 2.5)
    assert not may_return(made, SLOW, 3.0)


def test_a_return_for_that_reason_that_fails_makes_the_next_one_wait_for_twice_as_long() -> None:
    made, now = failed(6), 0.0
    for calm_s in (0.5, 1.0, 2.0):
        now += 2.0
        made.look(SLOW, QueueState(), now, well=False)
        look(made, SLOW, QueueState(), now)
        assert not may_return(made, SLOW, now + calm_s - 0.1)
        now += calm_s
        assert may_return(made, SLOW, now)
        made.returned(now)
        made.left(now + 1.0)
        now += 1.0
    made.returned(now)
    made.left(now + 3.0)  # that one held
    assert may_return(made, SLOW, now + 3.0)


def test_what_the_failed_stream_left_in_the_queues_is_no_trouble_of_the_probes() -> None:
    made = failed(6)
    look(made, replace(SLOW, known=False), QueueState(), -0.2)
    look(made, SLOW, QueueState(), -0.1)
    assert not may_return(made, SLOW, 0.9)
