# SPDX-License-Identifier: Apache-2.0
"""The policy on any profile and link: better links never give worse answers, no oscillation."""

import random
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.edge.driving import PROFILE, SETTINGS, drive, link
from tests.made_profile import point

from mtl_split_core.codec_ids import CodecId
from mtl_split_core.profile import Mode, ProfilePoint
from mtl_split_edge.decision import QueueState, Reason
from mtl_split_edge.ladder import make_ladder
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_edge.policy import Policy


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


def slower_by(share: float, seen: LinkEstimate) -> LinkEstimate:
    slowness, sigma = seen.slowness * (1 + share), seen.slowness_sigma * (1 + share)
    return replace(seen, slowness=slowness, slowness_sigma=sigma)


@settings(max_examples=40)
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


@settings(max_examples=40)
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


@settings(max_examples=10)
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


@settings(max_examples=80)
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


@settings(max_examples=40)
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


@settings(max_examples=40)
@given(profiles(), st.lists(st.tuples(LINKS, st.floats(0.1, 3.0)), min_size=2, max_size=6))
def test_up_one_step_at_a_time(
    points: tuple[ProfilePoint, ...], links: list[tuple[LinkEstimate, float]]
) -> None:
    """A step up comes after a wait, and leaves out only what would be no better or not in time.

    But where the present rung is not in time, what is in time is taken at once.
    """
    policy, ladder = Policy(points, SETTINGS), make_ladder(points, SETTINGS)
    now, moved_at = 0.0, 0.0

    def in_time(rung: ProfilePoint, seen: LinkEstimate) -> bool:
        return policy.expected_s(rung, seen, QueueState()) <= SETTINGS.deadline_s

    for estimate, seconds in links:
        slower = slower_by(SETTINGS.headroom, estimate)
        reserve = slower_by(SETTINGS.reserve, estimate)
        for _ in range(round(seconds / SETTINGS.period_s)):
            before = policy.rung
            policy.decide(estimate, QueueState(), now)
            after = policy.rung
            up = before and after and ladder.index(after) > ladder.index(before)
            if before and after and up and in_time(before, reserve):
                least = policy.worth(before, slower)
                above = ladder[ladder.index(before) + 1 :]
                pays = [r for r in above if in_time(r, slower) and policy.worth(r, slower) > least]
                assert after is pays[0]
                assert now - moved_at >= SETTINGS.up_after_s - 1e-9
            if before is not after:
                moved_at = now
            now += SETTINGS.period_s


@settings(max_examples=40)
@given(profiles(), LINKS)
def test_probing_is_bounded_while_nothing_is_heard(
    points: tuple[ProfilePoint, ...], before: LinkEstimate
) -> None:
    seconds = 30.0
    policy = Policy(points, SETTINGS)
    drive(policy, SETTLE_S, before)
    decisions = drive(policy, seconds, replace(before, known=False), start=SETTLE_S)
    probes = [d.probe or d.point for d in decisions if d.probe or d.reason is Reason.PROBE]
    most = seconds / SETTINGS.probe_most_s
    assert 0.85 * most <= len(probes) <= 1.05 * most + 1
    least = min(point.bytes_p95 for point in make_ladder(points, SETTINGS))
    assert {probe.bytes_p95 for probe in probes if probe} == {least}
