# SPDX-License-Identifier: Apache-2.0
"""Probes: few, the smallest first, larger ones as they arrive, sooner where they are news."""

from itertools import pairwise

import pytest
from tests.edge.driving import SENDING, SETTINGS, link
from tests.made_profile import made_profile

from mtl_split_core.profile import ProfilePoint
from mtl_split_edge.decision import QueueState
from mtl_split_edge.ladder import make_ladder
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_edge.probes import Probes

LADDER = make_ladder(SENDING, SETTINGS)
GOOD = link(10.0)


def probe(
    probes: Probes,
    now: float,
    estimate: LinkEstimate = GOOD,
    silence_s: float = 0.0,
    news: bool = False,
    most: float = 1e9,
) -> ProfilePoint | None:
    def in_time(point: ProfilePoint) -> bool:
        return point.bytes_p95 <= most

    return probes.next(estimate, QueueState(silence_s=silence_s), SETTINGS, news, in_time, now)


def sizes(count: int, most: float = 1e9, silence_s: float = 0.0) -> list[float]:
    """Sizes of probes that are as frequent as may be."""
    probes = Probes(LADDER)
    made = [probe(probes, float(second), silence_s=silence_s, most=most) for second in range(count)]
    return [point.bytes_p95 for point in made if point]


def test_they_grow_as_they_arrive() -> None:
    found = sizes(6)
    assert found[0] == min(point.bytes_p95 for point in LADDER)
    assert found[-1] == max(point.bytes_p95 for point in LADDER)
    assert all(later <= 4 * earlier for earlier, later in pairwise(found))


def test_they_stay_small_where_none_arrives_or_larger_ones_would_be_late() -> None:
    assert len(set(sizes(6, silence_s=0.2))) == 1
    middle = sorted(point.bytes_p95 for point in LADDER)[2]
    assert max(sizes(6, most=middle)) == middle


@pytest.mark.parametrize(('loss', 'news'), [(0.0, False), (0.05, False), (0.0, True)])
def test_they_are_few_but_for_news(loss: float, news: bool) -> None:
    probes = Probes(LADDER)
    estimate = link(10.0, loss=loss)
    at = [t / 100 for t in range(3000) if probe(probes, t / 100, estimate, news=news)]
    gap = SETTINGS.probe_first_s if loss or news else SETTINGS.probe_most_s
    assert 30.0 / gap * 0.9 <= len(at) <= 30.0 / gap + 3


def test_none_without_a_ladder() -> None:
    assert probe(Probes(()), 0.0) is None


def test_after_a_time_of_sending_they_begin_anew() -> None:
    probes = Probes(make_ladder(made_profile().points, SETTINGS))
    for second in range(5):
        probe(probes, float(second))
    probes.rest()
    assert probe(probes, 10.0) is None  # what was sent last may still arrive
    first = probe(probes, 10.0 + SETTINGS.probe_first_s)
    assert first
    assert first.bytes_p95 == min(point.bytes_p95 for point in LADDER)
