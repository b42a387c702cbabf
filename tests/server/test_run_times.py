# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from mtl_split_server.run_times import RunTimes


def test_nobody_is_late_before_a_run_was_timed() -> None:
    assert not RunTimes().costs_one([0.001, math.inf], now=0.0)


def test_sizes_that_were_not_run_are_in_proportion_to_the_nearest() -> None:
    times = RunTimes()
    times.add(2, 0.04)
    assert [times.of(n) for n in (1, 2, 4)] == pytest.approx([0.02, 0.04, 0.08])
    times.add(4, 0.05)
    assert [times.of(n) for n in (1, 3, 4)] == pytest.approx([0.02, 0.06, 0.05])


def test_the_mean_follows() -> None:
    times = RunTimes()
    times.add(1, 1.0)
    for _ in range(30):
        times.add(1, 0.02)
    assert times.of(1) == pytest.approx(0.02, abs=0.002)


@pytest.mark.parametrize(
    ('deadline', 'costs'),
    [(100.02, False), (100.05, True), (100.06, True), (100.07, False), (math.inf, False)],
)
def test_who_is_in_time_without_another_frame_stays_in_time(deadline: float, costs: bool) -> None:
    """Whoever is late anyway, or in time anyway, has no say."""
    times = RunTimes()
    times.add(1, 0.03125)
    assert times.costs_one([deadline], now=100.0) is costs
    assert not times.costs_one([deadline, math.inf], now=99.0)
