# SPDX-License-Identifier: Apache-2.0
"""The policy: better links never give worse answers, no oscillation, down at once, few probes."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_profile import made_profile, point

from mtl_split_core.codecs import CodecId
from mtl_split_core.errors import MtlSplitError
from mtl_split_core.profile import Mode, ProfilePoint
from mtl_split_edge.chooser import Chooser
from mtl_split_edge.decision import Decision, PolicySettings, QueueState, Reason
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_edge.policy import Policy, make_ladder

SETTINGS = PolicySettings()
PROFILE = made_profile()
SENDING = tuple(point for point in PROFILE.points if point.mode is not Mode.LOCAL)


def link(mbit: float, delay_ms: float = 20.0, **changes: float) -> LinkEstimate:
    made = LinkEstimate(known=True, delay_s=delay_ms / 1e3, slowness=1 / (mbit * 125e3))
    return replace(made, **changes)  # type: ignore[arg-type]


def drive(
    policy: Policy, seconds: float, estimate: LinkEstimate, start: float = 0.0, age_s: float = 0.0
) -> list[Decision]:
    frames = round(seconds / policy.settings.period_s)
    queue = QueueState(age_s)
    return [
        policy.decide(estimate, queue, start + number * policy.settings.period_s)
        for number in range(frames)
    ]


@st.composite
def profiles(draw: st.DrawFn) -> tuple[ProfilePoint, ...]:
    count = draw(st.integers(1, 6))
    points = [
        point(
            Mode.SPLIT,
            CodecId.ENTROPY,
            rate,
            draw(st.floats(2, 80)),
            draw(st.floats(2, 80)),
            draw(st.floats(500, 60_000)),
            draw(st.floats(0.2, 0.75)),
        )
        for rate in range(count)
    ]
    if draw(st.booleans()):
        points.append(
            point(Mode.LOCAL, None, 0, draw(st.floats(20, 300)), 0.0, 0, draw(st.floats(0.2, 0.75)))
        )
    return tuple(points)


LINKS = st.builds(
    link,
    mbit=st.floats(0.05, 50),
    delay_ms=st.floats(0, 80),
    loss=st.floats(0, 0.05),
    answered=st.floats(0.2, 1),
)
SETTLE_S = 12.0


@settings(max_examples=40, deadline=None)
@given(profiles(), LINKS, st.floats(1.0, 20.0))
def test_monotone_in_bandwidth(
    points: tuple[ProfilePoint, ...], estimate: LinkEstimate, factor: float
) -> None:
    def worth(slowness: float) -> float:
        policy = Policy(points, SETTINGS)
        seen = replace(estimate, slowness=slowness)
        last = drive(policy, SETTLE_S, seen)[-1]
        return max(0.0, policy.worth(last.point, seen)) if last.point else 0.0

    # Hysteresis keeps a rung while another one is worth up to 2 % more.
    assert worth(estimate.slowness / factor) >= 0.98 * worth(estimate.slowness) - 1e-9


@settings(max_examples=40, deadline=None)
@given(profiles(), LINKS)
def test_no_oscillation_on_a_constant_link(
    points: tuple[ProfilePoint, ...], estimate: LinkEstimate
) -> None:
    policy = Policy(points, SETTINGS)
    rungs = []
    for decision in drive(policy, SETTLE_S, estimate):
        rungs.append(policy.rung)
        assert decision.point is None or decision.point in points
    changes = sum(a != b for a, b in pairwise(rungs))
    assert changes <= len(points)
    assert len(set(rungs[-60:])) == 1


@settings(max_examples=10, deadline=None)
@given(st.floats(0.1, 20), st.integers(0, 10))
def test_hardly_any_change_where_the_estimate_wavers(mbit: float, seed: int) -> None:
    policy, wavering = Policy(PROFILE.points, SETTINGS), random.Random(seed)
    rungs = []
    for number in range(900):
        estimate = link(mbit * wavering.uniform(0.95, 1.05), slowness_sigma=0.05 / (mbit * 125e3))
        policy.decide(estimate, QueueState(), number / 15)
        rungs.append(policy.rung)
    settled = rungs[150:]
    assert sum(a != b for a, b in pairwise(settled)) <= 4


@settings(max_examples=80, deadline=None)
@given(
    profiles(),
    st.lists(st.tuples(LINKS, st.floats(0, 0.1), st.floats(0, 0.3)), min_size=1, max_size=30),
)
def test_never_what_cannot_arrive_if_something_can(
    points: tuple[ProfilePoint, ...], frames: list[tuple[LinkEstimate, float, float]]
) -> None:
    policy = Policy(points, SETTINGS)
    for number, (estimate, age_s, backlog_s) in enumerate(frames):
        queue = QueueState(age_s, backlog_s)
        decision = policy.decide(estimate, queue, number / 15)
        # What waits for a busy link is left out on purpose, see pacing.
        room_s = backlog_s - SETTINGS.period_s / 2
        can = any(
            policy.expected_s(p, estimate, queue) <= SETTINGS.deadline_s
            and (p.mode is Mode.LOCAL or p.edge_ms / 1e3 >= room_s)
            for p in points
        )
        if decision.point is None:
            assert not can
        elif decision.reason is not Reason.PROBE:
            assert decision.expected_s <= SETTINGS.deadline_s
            assert policy.expected_s(decision.point, estimate, queue) == decision.expected_s


@settings(max_examples=40, deadline=None)
@given(profiles(), LINKS, LINKS)
def test_down_at_once(
    points: tuple[ProfilePoint, ...], before: LinkEstimate, after: LinkEstimate
) -> None:
    policy = Policy(points, SETTINGS)
    drive(policy, SETTLE_S, before)
    decision = policy.decide(after, QueueState(), SETTLE_S)
    if rung := policy.rung:
        assert policy.expected_s(rung, after, QueueState()) <= SETTINGS.deadline_s
    if decision.point and decision.reason is not Reason.PROBE:
        assert decision.expected_s <= SETTINGS.deadline_s


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


def returns(policy: Policy, seconds: float, start: float, estimate: LinkEstimate) -> list[float]:
    """Drive over a link whose probes are fine and that goes silent when frames are answered."""
    period_s, sent_since, silent_until = policy.settings.period_s, None, -1.0
    times = []
    for number in range(round(seconds / period_s)):
        now = start + number * period_s
        if policy.rung and sent_since is None:
            sent_since = now
            times.append(now)
        if sent_since is not None and now - sent_since > 0.5:
            sent_since, silent_until = None, now + 0.3
        policy.decide(replace(estimate, known=now > silent_until), QueueState(), now)
    return times


def test_returns_that_fail_are_tried_more_and_more_rarely() -> None:
    policy = Policy(PROFILE.points, SETTINGS)
    times = returns(policy, 60.0, 0.0, link(1.0))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] < 1.0  # one failure may have been the link's
    assert 5 <= len(times) <= 8
    assert all(later > 1.5 * earlier for earlier, later in pairwise(gaps[1:5]))
    assert max(gaps) < SETTINGS.return_after_most_s + 1.0


@pytest.mark.parametrize('news', ['outage', 'faster'])
def test_a_link_that_is_another_one_is_returned_to_at_once(news: str) -> None:
    policy = Policy(PROFILE.points, SETTINGS)
    times = returns(policy, 20.0, 0.0, link(1.0))
    now = 20.0 if policy.rung is None else times[-1] + 0.5
    if news == 'outage':
        drive(policy, 2.0, replace(link(1.0), known=False), now)
        back = drive(policy, 0.2, link(1.0), now + 2.0)
    else:
        assert all(
            d.point and d.point.mode is Mode.LOCAL for d in drive(policy, 0.2, link(1.0), now)
        )
        back = drive(policy, 0.2, link(20.0, 5.0), now + 0.2)
    assert back[-1].point
    assert back[-1].point.mode is not Mode.LOCAL
