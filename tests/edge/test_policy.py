# SPDX-License-Identifier: Apache-2.0
"""The policy on links as they come: down at once, up by steps, few probes, back when it pays."""

from dataclasses import replace
from itertools import pairwise

import pytest
from tests.edge.driving import PROFILE, SENDING, SETTINGS, drive, link
from tests.made_profile import made_profile

from mtl_split_core.errors import MtlSplitError
from mtl_split_core.profile import Mode
from mtl_split_edge.chooser import Chooser
from mtl_split_edge.decision import QueueState, Reason
from mtl_split_edge.ladder import make_ladder
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_edge.policy import Policy


def test_up_one_rung_at_a_time_and_not_before_it_held() -> None:
    policy = Policy(PROFILE.points, SETTINGS)
    drive(policy, 2.0, link(0.3))
    ladder = make_ladder(PROFILE.points, SETTINGS)
    at = [ladder.index(policy.rung)] if policy.rung else [0]
    moments = []
    for number in range(90):
        policy.decide(link(50), QueueState(), 2.0 + number / 15)
        assert policy.rung
        at.append(ladder.index(policy.rung))
        if at[-1] != at[-2]:
            moments.append(number / 15)
    assert at[-1] == len(ladder) - 1
    assert all(b - a in (0, 1) for a, b in pairwise(at))
    waits = [b - a for a, b in zip([0.0, *moments], moments, strict=False)]
    assert min(waits) >= SETTINGS.up_after_s - 1e-9


def test_a_step_that_fails_is_tried_more_and_more_rarely() -> None:
    policy = Policy(SENDING, SETTINGS)
    drive(policy, 5.0, link(0.3))
    low, raised = policy.rung, 0
    for number in range(900):
        before = policy.rung
        good = before is low  # a link that looks fast until it is used
        policy.decide(link(2.0 if good else 0.3), QueueState(), 5.0 + number / 15)
        raised += before is low and policy.rung is not low
    assert 1 <= raised <= 16


@pytest.mark.parametrize('local_ms', [60.0, 110.0, None])
def test_probing_is_bounded_and_finds_the_link_again(local_ms: float | None) -> None:
    points = made_profile(local_ms=local_ms).points if local_ms else SENDING
    policy = Policy(points, SETTINGS)
    drive(policy, 5.0, link(10))
    gone = link(0.001)
    decisions = drive(policy, 60.0, gone, start=5.0)
    probes = [
        number
        for number, d in enumerate(decisions)
        if d.probe or (d.point and d.reason is Reason.PROBE)
    ]
    sent = [d.probe or d.point for d in decisions if d.probe or d.reason is Reason.PROBE]
    most = 60.0 / SETTINGS.probe_most_s
    assert 0.85 * most <= len(probes) <= 1.05 * most
    assert {p.name for p in sent if p} == {'split:0'}
    # A frame that is not a probe is answered by the edge or dropped.
    assert all(d.reason in (Reason.LINK, Reason.PROBE, Reason.NO_LINK) for d in decisions)
    back = drive(policy, 2.0, link(10), start=65.0)
    assert back[0].reason is Reason.BEST
    assert back[-1].point
    assert back[-1].point.quality > 0.69


def test_local_only_where_it_gains_more_than_it_costs() -> None:
    points = made_profile(local_ms=50.0).points
    policy = Policy(points, SETTINGS)
    assert {d.point.mode for d in drive(policy, 10.0, link(10))[-10:] if d.point} == {Mode.SPLIT}
    assert {d.point.mode for d in drive(policy, 10.0, link(0.15))[-10:] if d.point} == {Mode.LOCAL}
    free = Policy(points, replace(SETTINGS, local_cost=0.0))
    assert {d.point.mode for d in drive(free, 10.0, link(10))[-10:] if d.point} == {Mode.LOCAL}


def test_late_and_paced_frames_are_dropped_and_counted() -> None:
    policy = Policy(SENDING, SETTINGS)
    drive(policy, 5.0, link(1.0))
    assert policy.decide(link(1.0), QueueState(age_s=0.14), 5.0).reason is Reason.LATE
    paced = policy.decide(link(1.0), QueueState(backlog_s=0.2), 5.1)
    assert (paced.point, paced.reason) == (None, Reason.PACED)
    assert policy.counts[Reason.LATE] == policy.counts[Reason.PACED] == 1


def test_pacing_keeps_the_socket_empty() -> None:
    """On a link that is far too slow for what is sent, less than two frames ever wait in it."""
    only = tuple(p for p in SENDING if p.name == 'split:3')
    policy = Policy(only, replace(SETTINGS, deadline_s=10.0))
    estimate = link(0.3)
    busy_until = most = 0.0
    for number in range(300):
        now = number / 15
        queue = QueueState(backlog_s=max(0.0, busy_until - now))
        decision = policy.decide(estimate, queue, now)
        if decision.point:
            start = max(busy_until, now + decision.point.edge_ms / 1e3)
            busy_until = start + decision.point.bytes_mean * estimate.slowness
        most = max(most, busy_until - now)
    one = only[0].bytes_mean * estimate.slowness
    assert most <= one + SETTINGS.period_s


def test_loss_and_a_busy_server_choose_smaller_frames() -> None:
    def settled(estimate: LinkEstimate) -> str:
        policy = Policy(SENDING, SETTINGS)
        drive(policy, 10.0, estimate)
        return policy.rung.name if policy.rung else ''

    assert settled(link(20)) == 'split:4'
    assert settled(link(20, loss=0.05)) < 'split:3'
    assert settled(link(20, server_factor=6.0)) == ''  # it works for 150 ms


def test_a_server_that_answers_nothing_is_not_sent_to() -> None:
    policy = Policy(PROFILE.points, SETTINGS)
    decisions = drive(policy, 5.0, link(20, answered=0.0))
    assert {d.point.mode for d in decisions if d.point} == {Mode.LOCAL}


def test_ladder_has_no_rung_that_costs_more_for_nothing() -> None:
    names = [p.name for p in make_ladder(PROFILE.points, SETTINGS)]
    assert names == ['split:0', 'split:1', 'split:2', 'split:3', 'split:4']
    # The server works 20 ms longer on a picture; without that a picture saves 17 ms on the edge.
    quick = [replace(p, server_ms=25.0) if p.mode is Mode.REMOTE else p for p in PROFILE.points]
    assert {p.name for p in make_ladder(quick, SETTINGS)} >= {'jpeg:30', 'split:2'}
    tenth = replace(SETTINGS, deadline_s=0.2)
    assert [p.name for p in make_ladder(quick, tenth)] == names
    slow_edge = [replace(p, edge_ms=120.0) if p.mode is Mode.SPLIT else p for p in PROFILE.points]
    ladder = make_ladder(slow_edge, SETTINGS)
    assert ladder[-1].name == 'webp:95'
    assert all(a.quality <= b.quality or a.mode is not b.mode for a, b in pairwise(ladder))


def test_chooser_switches_modes_live() -> None:
    chooser = Chooser(PROFILE, SETTINGS)
    assert chooser.decide(0.0, 0.0).point
    chooser.use(Mode.LOCAL)
    decision = chooser.decide(0.0, 0.1)
    assert decision.point
    assert decision.point.mode is Mode.LOCAL
    chooser.use(Mode.SPLIT, 2)
    decision = chooser.decide(0.0, 0.2)
    assert decision.point
    assert decision.point.name == 'split:2'
    assert decision.reason is Reason.PROBE
    chooser.sent(0, 4000, decision.point, 0.2)
    assert chooser.silence_s(0.25) == pytest.approx(0.05)
    chooser.answered(0, 0.025, 0.26)
    assert chooser.link(0.3).known
    assert chooser.decide(0.0, 0.4).reason is Reason.BEST
    chooser.set(replace(SETTINGS, deadline_s=0.02))
    assert chooser.decide(0.0, 0.5).point is None
    assert sum(chooser.counts.values()) == 5
    with pytest.raises(MtlSplitError, match='no split at rate 9'):
        chooser.use(Mode.SPLIT, 9)


def test_a_link_that_swallowed_a_frame_for_a_deadline_is_not_waited_for() -> None:
    policy = Policy(PROFILE.points, replace(SETTINGS, period_s=0.2))
    good = link(20)
    for number in range(60):
        decision = policy.decide(good, QueueState(), number * 0.2)
    assert decision.reason is Reason.BEST
    almost = QueueState(silence_s=0.9 * SETTINGS.deadline_s)
    assert policy.decide(good, almost, 12.1).reason is Reason.BEST
    silent = QueueState(silence_s=SETTINGS.deadline_s)
    decision = policy.decide(good, silent, 12.2)
    assert decision.point
    assert decision.point.mode is Mode.LOCAL
    assert policy.decide(good, QueueState(), 12.4).reason is Reason.BEST


def test_a_link_that_gets_slower_is_seen_before_a_frame_is_late() -> None:
    """The rung is left while its frames are in time, for one that is worth less than a miss."""
    policy = Policy(SENDING, SETTINGS)
    drive(policy, 10.0, link(20))
    assert policy.rung
    lowest = make_ladder(SENDING, SETTINGS)[0]
    for number in range(200):
        estimate = link(20 * 0.98**number)
        policy.decide(estimate, QueueState(), 10.0 + number / 15)
        if policy.rung is None or policy.rung is lowest:
            break
        reserve = replace(estimate, slowness=estimate.slowness * (1 + SETTINGS.reserve))
        assert policy.expected_s(policy.rung, reserve, QueueState()) <= SETTINGS.deadline_s
    assert number > 100


def test_a_link_that_wavers_does_not_move_the_rung() -> None:
    policy = Policy(SENDING, SETTINGS)
    drive(policy, 20.0, link(1.0))
    rungs = set()
    for number in range(300):
        wave = 1 + (SETTINGS.headroom - SETTINGS.reserve) * (number % 2)
        policy.decide(link(1.0 / wave), QueueState(), 20.0 + number / 15)
        rungs.add(policy.rung.name if policy.rung else '')
    assert len(rungs) <= 2
