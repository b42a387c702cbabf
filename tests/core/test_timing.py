# SPDX-License-Identifier: Apache-2.0
import pytest

from mtl_split_core.timing import StageClock


def test_stages_in_order_and_repeated_stages_add_up() -> None:
    ticks = iter([0, 2_000_000, 2_000_000, 2_500_000, 3_000_000, 4_000_000])
    clock = StageClock(lambda: next(ticks))
    for name in ('b', 'a', 'b'):
        with clock.stage(name):
            pass
    assert clock.times == {'b': 3.0, 'a': 0.5}
    assert list(clock.times) == ['b', 'a']
    assert clock.microseconds('a') == 500
    assert clock.microseconds('never') == 0


def test_a_stage_that_raises_is_timed_too() -> None:
    clock = StageClock()
    with pytest.raises(RuntimeError), clock.stage('a'):
        raise RuntimeError
    assert clock.times['a'] >= 0
