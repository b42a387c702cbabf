# SPDX-License-Identifier: Apache-2.0
"""The search for a placement, against a search of its own, against the simulator, and monotone."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.made_profile import FINGERPRINT, made_profile, point

from mtl_split_core.codec_ids import CodecId
from mtl_split_core.profile import Mode, ProfilePoint
from mtl_split_tools.plan.candidate import Candidate, Limit, Way
from mtl_split_tools.plan.demand import Demand, Objective
from mtl_split_tools.plan.search import Plan, search
from mtl_split_tools.simulation.drivers import Fixed
from mtl_split_tools.simulation.trace import Trace
from mtl_split_tools.simulation.world import Drive, World

WAYS = [Way('made', point) for point in made_profile().points]


@st.composite
def way_lists(draw: st.DrawFn) -> list[Way]:
    ways = []
    for number in range(draw(st.integers(1, 3))):
        points = []
        for rate in range(draw(st.integers(1, 4))):
            mode, codec = draw(
                st.sampled_from(
                    [
                        (Mode.SPLIT, CodecId.ENTROPY),
                        (Mode.REMOTE, CodecId.JPEG),
                        (Mode.LOCAL, None),
                    ]
                )
            )
            # Few values, so that candidates are often equal in one of the three.
            edge_ms = draw(st.sampled_from([2.0, 20.0, 40.0, 80.0, 150.0]))
            server_ms = draw(st.sampled_from([5.0, 25.0, 70.0])) if codec else 0.0
            size = draw(st.sampled_from([500, 2000, 8000, 60_000])) if codec else 0
            quality = draw(st.sampled_from([0.3, 0.5, 0.6, 0.61, 0.7]))
            made = point(mode, codec, rate, edge_ms, server_ms, size, quality)
            memory = draw(st.sampled_from([60.0, 120.0, 400.0]))
            points.append(replace(made, edge_memory_mb=memory))
        ways += [Way(f'p{number}', made) for made in points]
    return ways


DEMANDS = st.builds(
    Demand,
    bandwidth_bit_s=st.floats(5e4, 5e7),
    deadline_ms=st.floats(20, 500) | st.just(math.inf),
    fps=st.sampled_from([1.0, 10.0, 15.0, 30.0]),
    rtt_ms=st.floats(0, 80),
    loss=st.sampled_from([0.0, 0.01, 0.1]),
    edge_factor=st.sampled_from([0.5, 1.0, 4.0]),
    server_factor=st.sampled_from([1.0, 2.0]),
    edge_share=st.sampled_from([0.3, 1.0]),
    memory_mb=st.none() | st.floats(50, 500),
    min_accuracy=st.sampled_from([0.0, 0.55]),
    objective=st.sampled_from(list(Objective)),
)


def by_hand(found: ProfilePoint, demand: Demand) -> tuple[bool, float, float, float]:
    """Return whether a point fits, and its accuracy, latency and bytes, written out anew."""
    edge_ms, server_ms = found.edge_ms * demand.edge_factor, found.server_ms * demand.server_factor
    latency_ms, accuracy = edge_ms, found.quality
    if found.mode is not Mode.LOCAL:
        latency_ms += found.bytes_p95 * 8 / demand.bandwidth_bit_s * 1e3
        latency_ms += demand.rtt_ms + server_ms
        accuracy *= (1 - demand.loss) ** math.ceil(found.bytes_mean / 1400)
    fits = (
        latency_ms <= demand.deadline_ms
        and found.bytes_mean * 8 * demand.fps <= demand.bandwidth_bit_s
        and edge_ms * demand.fps / 1e3 <= demand.edge_share
        and server_ms * demand.fps / 1e3 <= 1
        and (demand.memory_mb is None or (found.edge_memory_mb or 0) <= demand.memory_mb)
        and accuracy >= demand.min_accuracy
    )
    return fits, accuracy, latency_ms, found.bytes_mean


@settings(max_examples=150)
@given(way_lists(), DEMANDS)
def test_equals_exhaustive_search(ways: list[Way], demand: Demand) -> None:
    plan = search(ways, demand)
    figures = [by_hand(way.point, demand) for way in ways]
    fitting = [number for number, found in enumerate(figures) if found[0]]
    assert [number for number, one in enumerate(plan.candidates) if one.fits] == fitting
    for one, (_, accuracy, latency_ms, size) in zip(plan.candidates, figures, strict=True):
        assert one.accuracy == pytest.approx(accuracy)
        assert one.latency_ms == pytest.approx(latency_ms)
        assert one.size == size
    if not fitting:
        assert plan.chosen is None
        return
    assert plan.chosen
    best = {
        Objective.ACCURACY: lambda one: (-one[1], one[2], one[3]),
        Objective.LATENCY: lambda one: (one[2], -one[1], one[3]),
        Objective.BYTES: lambda one: (one[3], -one[1], one[2]),
    }[demand.objective]
    assert best(figures[plan.candidates.index(plan.chosen)]) == min(
        best(figures[number]) for number in fitting
    )


@settings(max_examples=150)
@given(way_lists(), DEMANDS)
def test_front_is_what_nothing_beats(ways: list[Way], demand: Demand) -> None:
    plan = search(ways, demand)
    assert plan.chosen is None or plan.chosen in plan.front
    assert bool(plan.front) == bool(plan.chosen)
    names = {one.name for one in plan.front}
    for one in plan.candidates:
        beaters = [other for other in plan.candidates if other.fits and other.dominates(one)]
        if one.fits:
            assert bool(one.reasons) == bool(beaters)
        for reason in one.reasons:
            if reason.limit is Limit.DOMINATED:
                better = reason.text.removeprefix('dominated by ').partition(': ')[0]
                assert better in names
                assert better in {other.name for other in beaters}


@settings(max_examples=100)
@given(way_lists(), DEMANDS, st.floats(1, 20), st.integers(0, 6))
def test_more_never_gives_less(ways: list[Way], demand: Demand, factor: float, which: int) -> None:
    def best(asked: Demand) -> tuple[bool, float]:
        chosen = search(ways, replace(asked, objective=Objective.ACCURACY)).chosen
        return (True, chosen.accuracy) if chosen else (False, 0.0)

    assume(demand.memory_mb is not None or which != 2)
    easier = (
        replace(demand, bandwidth_bit_s=demand.bandwidth_bit_s * factor),
        replace(demand, deadline_ms=demand.deadline_ms * factor),
        replace(demand, memory_mb=(demand.memory_mb or 0) * factor),
        replace(demand, rtt_ms=demand.rtt_ms / factor),
        replace(demand, fps=demand.fps / factor),
        replace(demand, edge_factor=demand.edge_factor / factor),
        replace(demand, memory_mb=None),
    )[which]
    assert best(easier) >= best(demand)


@settings(max_examples=25)
@given(way_lists(), st.floats(1e5, 2e7), st.floats(40, 400), st.sampled_from([5.0, 15.0]))
def test_what_fits_is_in_time_in_the_simulator(
    ways: list[Way], bandwidth: float, deadline_ms: float, fps: float
) -> None:
    """The simulator has a camera, queues and a link of its own: every picture, or too late."""
    demand = Demand(bandwidth, deadline_ms, fps)
    steady = []
    for way in ways:
        size = way.point.bytes_mean
        steady.append(Way(way.profile, replace(way.point, bytes_p95=size, bytes_max=size)))
    trace = Trace.steps('t', [0, 4], [bandwidth / 1e6, bandwidth / 1e6], 4)
    world = World(trace, FINGERPRINT, deadline_ms / 1e3, fps, jitter_s=0.0)
    for one in search(steady, demand).candidates:
        if 0.98 < max(one.latency_ms / deadline_ms, one.link_busy) < 1.02:
            continue  # the simulator's link has steps of a packet
        frames = Drive(world, Fixed(one.way.point)).run()[: round(2 * fps)]
        answered = [f.delay_s for f in frames if f.delay_s is not None]
        in_time = [delay for delay in answered if delay <= deadline_ms / 1e3]
        if one.fits:
            assert len(in_time) == len(frames)
            assert max(answered) * 1e3 == pytest.approx(one.latency_ms, abs=2, rel=0.02)
        elif any(reason.limit is Limit.DEADLINE for reason in one.reasons):
            assert not in_time
        else:
            assert len(in_time) < len(frames)


def reasons(plan: Plan, name: str) -> list[str]:
    return [reason.text for reason in find(plan, name).reasons]


def find(plan: Plan, name: str) -> Candidate:
    return next(one for one in plan.candidates if one.name == name)


def with_memory(ways: Sequence[Way]) -> list[Way]:
    memory = {Mode.LOCAL: 150.0, Mode.SPLIT: 117.0, Mode.REMOTE: 117.0}
    return [
        replace(way, point=replace(way.point, edge_memory_mb=memory[way.point.mode]))
        for way in ways
    ]


def test_reasons_name_the_amount() -> None:
    plan = search(WAYS, Demand(1e6, 105.0))
    assert plan.chosen
    assert plan.chosen.name == 'made split:2'
    # 20 ms edge, 8000 bytes and 15 % over 1 Mbit/s: 73.6 ms, 20 ms round trip, 25 ms server
    assert find(plan, 'made split:3').latency_ms == pytest.approx(138.6)
    assert reasons(plan, 'made split:3') == ['deadline missed by 34 ms']
    assert reasons(plan, 'made split:4')[1] == 'over bandwidth at 15 Hz: needs 1.92 Mbit/s'
    assert reasons(plan, 'made local') == [
        'deadline missed by 5.0 ms',
        'edge over 100% busy at 15 Hz: 165%',
    ]
    assert reasons(search(WAYS, Demand(1e6, fps=50.0)), 'made jpeg:10') == [
        'over bandwidth at 50 Hz: needs 2.92 Mbit/s',
        'server over 100% busy at 50 Hz: 225%',
    ]
    tight = search(with_memory(WAYS), Demand(1e6, memory_mb=149.5))
    assert '0.5 MB over the memory of the edge' in reasons(tight, 'made local')
    picky = search(WAYS, Demand(1e6, 105.0, min_accuracy=0.7))
    assert picky.chosen is None
    assert reasons(picky, 'made split:2') == ['accuracy 0.010 under what is asked for']


def test_dominated_says_by_what() -> None:
    plan = search(WAYS, Demand(1e7, 150.0, fps=5.0))
    (text,) = reasons(plan, 'made jpeg:10')
    assert text.startswith('dominated by made ')
    assert 'accuracy +' in text
    assert 'kB less' in text
    equal = search([Way('a', WAYS[1].point), Way('b', WAYS[1].point)], Demand(1e7))
    assert [one.name for one in equal.front] == ['a split:0', 'b split:0']
    assert equal.chosen
    assert equal.chosen.name == 'a split:0'


def test_the_published_searches_are_cases() -> None:
    """As docs/planning.md words them."""
    soonest = search(WAYS, Demand(1e6, objective=Objective.LATENCY, fps=1.0)).chosen
    assert soonest
    assert soonest.name == 'made split:0'
    busy = search(WAYS, Demand(1e6, objective=Objective.LATENCY, fps=1.0, server_factor=5)).chosen
    assert busy
    assert busy.name == 'made local'
    cheapest = search(WAYS, Demand(1e7, 150.0, objective=Objective.BYTES, min_accuracy=0.68)).chosen
    assert cheapest
    assert cheapest.name == 'made split:2'
