# SPDX-License-Identifier: Apache-2.0
from mtl_split_ros.windows import RateMeter, SlidingWindow, StageWindows


def test_percentiles_of_the_newest_values() -> None:
    window = SlidingWindow(100)
    for value in range(1000):
        window.add(value)
    assert len(window) == 100
    assert window.mean() == 949.5
    assert window.percentiles() == {50: 949.5, 95: 994.05, 99: 998.01}


def test_an_empty_window_has_no_percentiles() -> None:
    assert SlidingWindow().percentiles() == {}
    assert SlidingWindow().mean() == 0


def test_rate_forgets_what_is_old() -> None:
    meter = RateMeter(seconds=5)
    for frame in range(20):
        meter.add(100, now=frame * 0.5)
    assert meter.rates(now=9.5) == (11 / 5, 1100 / 5)
    assert meter.rates(now=100) == (0, 0)
    assert meter.total == 20


def test_rate_of_a_stream_that_has_just_begun() -> None:
    meter = RateMeter(seconds=5)
    for frame in range(30):
        meter.add(now=frame / 15)
    assert meter.rates(now=2)[0] == 15


def test_stages_keep_their_order() -> None:
    windows = StageWindows()
    windows.add({'decode': 1, 'tail': 2})
    windows.add({'decode': 3, 'tail': 2, 'publish': 1})
    values = dict(windows.values())
    assert values['decode ms p50'] == '2.00'
    assert (values['decode frames'], values['publish frames']) == ('2', '1')
    assert list(values)[1::4] == ['decode ms p50', 'tail ms p50', 'publish ms p50']
