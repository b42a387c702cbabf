# SPDX-License-Identifier: Apache-2.0
"""The link estimate: what it learns of a steady link, of a change, of silence and of nonsense."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_split_edge.link import Report
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_edge.link_estimator import LinkEstimator

FINGERPRINT, PERIOD = 7, 1 / 15


def report(sequence: int, hold_s: float = 0.0, **changes: object) -> Report:
    values: dict[str, object] = {
        'fingerprint': FINGERPRINT,
        'session': 1,
        'interval': 0.1,
        'received': 1,
        'lost': 0,
        'refused': 0,
        'answered': 1,
        'goodput': 0.0,
        'last_sequence': sequence,
        'hold_s': hold_s,
        'service_s': 0.025,
        'busy_fraction': 0.2,
        'refusal': '',
    }
    return Report(**{**values, **changes})  # type: ignore[arg-type]


class Link:
    """Frames over a link of known figures; the server's clock stays out of it."""

    def __init__(self, goodput: float, delay_s: float = 0.02, jitter_s: float = 0.0) -> None:
        self.goodput, self.delay_s, self.jitter_s = goodput, delay_s, jitter_s
        self.estimator = LinkEstimator(FINGERPRINT)
        self.now, self.sequence = 100.0, 0
        self._random = random.Random(1)

    def run(self, frames: int, sizes: tuple[int, ...] = (4000,)) -> LinkEstimate:
        for _ in range(frames):
            size = round(sizes[self.sequence % len(sizes)] * self._random.uniform(0.9, 1.1))
            self.estimator.sent(self.sequence, size, 0.025, self.now)
            trip = self.delay_s + size / self.goodput
            trip += abs(self._random.gauss(0, self.jitter_s))
            hold = self._random.uniform(0, 0.05)
            self.estimator.reported(report(self.sequence, hold), self.now + trip + hold)
            self.sequence += 1
            self.now += max(PERIOD, trip + hold)
        return self.estimator.estimate(self.now)


def test_unknown_at_first() -> None:
    assert not LinkEstimator(FINGERPRINT).estimate(0.0).known


@settings(max_examples=60)
@given(goodput=st.floats(40e3, 6e6), delay_s=st.floats(0.002, 0.06), jitter_s=st.floats(0, 0.003))
def test_predicts_a_steady_link(goodput: float, delay_s: float, jitter_s: float) -> None:
    link = Link(goodput, delay_s, jitter_s)
    estimate = link.run(60)
    for size in (2000, 4000, 6000):
        truth = delay_s + size / goodput
        # What it says with its margin is no less than the truth, and what it says not far from it.
        assert estimate.travel_s(size, 2.0) >= truth
        assert estimate.travel_s(size) == pytest.approx(truth, abs=0.35 * truth + 0.01)


def test_a_delay_that_is_over_is_not_held_on_to() -> None:
    way = Link(125e3, delay_s=0.09)
    way.run(20, (900, 4000))
    way.delay_s = 0.005
    seen = way.run(3, (900,))
    assert seen.delay_s < 0.015
    assert way.run(10, (4000,)).goodput == pytest.approx(125e3, rel=0.4)


def test_what_all_round_trips_share_is_no_jitter() -> None:
    way = Link(1e6, delay_s=0.05, jitter_s=0.06)
    assert way.run(40).delay_sigma_s > 0.03
    way.delay_s, way.jitter_s = 0.005, 0.0
    assert way.run(20).delay_sigma_s < 0.025


def test_tells_delay_from_slowness_once_sizes_differ() -> None:
    estimate = Link(250e3, 0.04).run(120, (2000, 16000))
    assert estimate.goodput == pytest.approx(250e3, rel=0.1)
    assert estimate.delay_s == pytest.approx(0.04, abs=0.005)


def test_one_sample_is_enough_to_see_a_fall() -> None:
    link = Link(2.5e6)
    link.run(60)
    link.goodput = 40e3
    assert link.run(1).travel_s(4000) > 0.09


def test_a_frame_that_stays_away_counts_before_it_arrives() -> None:
    link = Link(2.5e6)
    link.run(60)
    link.estimator.sent(link.sequence, 4000, 0.025, link.now)
    seen = [link.estimator.estimate(link.now + wait).travel_s(4000) for wait in (0.1, 0.3, 0.6)]
    assert seen[0] < 0.05
    assert seen[0] < seen[1] < seen[2]
    assert seen[1] > 0.12
    assert link.estimator.silence_s(link.now + 0.6) == pytest.approx(0.6)


def test_what_was_sent_keeps_the_link_busy() -> None:
    link = Link(100e3)
    link.run(60)
    assert link.estimator.backlog_s(link.now) == 0.0
    for number in range(3):
        link.estimator.sent(link.sequence + number, 5000, 0.025, link.now)
    assert link.estimator.backlog_s(link.now) == pytest.approx(0.15, rel=0.2)
    assert link.estimator.backlog_s(link.now + 0.1) == pytest.approx(0.05, abs=0.03)


def test_own_queue_is_not_taken_for_a_slow_link() -> None:
    link = Link(100e3)
    link.run(60)
    for number in range(4):
        link.estimator.sent(link.sequence + number, 4000, 0.025, link.now)
    link.estimator.reported(report(link.sequence + 3), link.now + 4 * 0.04 + 0.02)
    estimate = link.estimator.estimate(link.now + 0.2)
    assert estimate.goodput == pytest.approx(100e3, rel=0.25)


def test_another_server_process_starts_from_nothing() -> None:
    link = Link(40e3)
    link.run(30)
    link.estimator.sent(link.sequence, 4000, 0.025, link.now)
    link.estimator.reported(report(0, received=0, session=2), link.now + 1)
    assert not link.estimator.estimate(link.now + 1).known
    assert link.estimator.silence_s(link.now + 1) == 0.0


def test_loss_is_of_packets_and_server_figures_follow() -> None:
    estimator = LinkEstimator(FINGERPRINT)
    for number in range(60):
        estimator.sent(number, 14_000, 0.025, number * PERIOD)
        estimator.reported(
            report(number, lost=1, received=1, answered=0, service_s=0.05), number * PERIOD + 0.03
        )
    estimate = estimator.estimate(4.0)
    assert estimate.loss == pytest.approx(1 - 0.5**0.1, rel=0.05)
    assert estimate.answered == pytest.approx(1 / 16, abs=0.005)  # what one frame of credit leaves
    assert estimate.server_factor == pytest.approx(2.0, rel=0.01)
    assert estimate.delivery(1400) > estimate.delivery(14_000)


def test_frames_answered_in_the_next_interval_are_answered() -> None:
    estimator = LinkEstimator(FINGERPRINT)
    for number in range(60):
        estimator.sent(number, 4000, 0.025, number * 0.2)
        estimator.reported(report(number, answered=0), number * 0.2 + 0.05)
        estimator.reported(report(number, received=0, answered=1), number * 0.2 + 0.15)
    assert estimator.estimate(12.0).answered > 0.95


def test_frames_that_an_outage_swallowed_are_no_packet_loss() -> None:
    link = Link(1e6)
    link.run(30)
    for number in range(4):
        link.estimator.sent(link.sequence + number, 4000, 0.025, link.now + number)
    link.estimator.reported(report(link.sequence + 3, lost=3), link.now + 3.05)
    assert link.estimator.estimate(link.now + 4).loss == 0.0


def test_a_foreign_bundle_answers_nothing() -> None:
    link = Link(1e6)
    link.run(10)
    link.estimator.reported(report(10, fingerprint=8), link.now)
    assert link.estimator.estimate(link.now).answered == 0.0


def test_an_answer_counts_like_a_report() -> None:
    estimator = LinkEstimator(FINGERPRINT)
    estimator.sent(0, 4000, 0.025, 0.0)
    estimator.answered(0, 0.03, 0.1)
    assert estimator.estimate(0.1).travel_s(4000) == pytest.approx(0.07, abs=0.01)


NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, -1.0, 1e300])
)
COUNTS = st.integers(0, 2**32 - 1)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(COUNTS, NUMBERS, NUMBERS, NUMBERS, COUNTS, COUNTS, COUNTS, st.integers(1, 2)),
        max_size=20,
    )
)
def test_reports_of_any_content_leave_it_sane(reports: list[tuple[float, ...]]) -> None:
    estimator = LinkEstimator(FINGERPRINT)
    now = 0.0
    for sequence, hold, service, interval, received, lost, answered, session in reports:
        estimator.sent(int(sequence), 4000, 0.025, now)
        hostile = report(
            int(sequence),
            hold,
            service_s=service,
            interval=interval,
            received=received,
            lost=lost,
            answered=answered,
            session=session,
        )
        estimator.reported(hostile, now + 0.05)
        now += PERIOD
        estimate = estimator.estimate(now)
        assert math.isfinite(estimate.travel_s(4000, 2.0))
        assert estimate.slowness > 0
        assert estimate.delay_s >= 0
        assert 0 <= estimate.loss <= 1
        assert 0 <= estimate.answered <= 1
        assert estimator.backlog_s(now) >= 0


def test_a_frame_that_is_answered_in_the_next_interval_is_not_missed() -> None:
    """Otherwise every other estimate costs a rung, and the policy moves to and fro."""
    estimator = LinkEstimator(FINGERPRINT)
    for number in range(60):
        first = number % 2 == 0
        estimator.sent(number, 4000, 0.025, number * PERIOD)
        figures = {'received': 2 if first else 1, 'answered': 1 if first else 2}
        estimator.reported(report(number, **figures), number * PERIOD + 0.03)
        assert estimator.estimate(number * PERIOD + 0.03).answered > 0.99


def test_frames_that_came_too_late_are_no_refusals_to_answer() -> None:
    estimator = LinkEstimator(FINGERPRINT)
    for number in range(30):
        estimator.sent(number, 4000, 0.025, number * PERIOD)
        estimator.reported(report(number, answered=0, late=1), number * PERIOD + 0.03)
    assert estimator.estimate(2.0).answered == 1.0


def test_an_overloaded_server_is_forgiven_soon() -> None:
    estimator = LinkEstimator(FINGERPRINT)
    for number in range(30):
        estimator.sent(number, 4000, 0.025, number * PERIOD)
        estimator.reported(report(number, answered=0), number * PERIOD + 0.03)
    assert estimator.estimate(2.0).answered < 0.1
    for number in range(30, 33):  # three probes
        estimator.sent(number, 1000, 0.025, number)
        estimator.reported(report(number), number + 0.03)
    assert estimator.estimate(33.0).answered > 0.9


@pytest.mark.parametrize('probe', [True, False])
def test_losses_are_forgotten_by_probes_that_arrive(probe: bool) -> None:
    estimator = LinkEstimator(FINGERPRINT)
    estimator.sent(0, 25_000, 0.025, 0.0)
    estimator.sent(1, 25_000, 0.025, 0.1)
    estimator.reported(report(1, received=1, lost=1), 0.15)
    assert estimator.estimate(0.2).loss > 0.02
    for number in (2, 3, 4):  # of 18 packets
        estimator.sent(number, 25_000, 0.025, number / 5, probe)
        estimator.reported(report(number), number / 5 + 0.05)
    found = estimator.estimate(1.0)
    assert found.probed_packets == (54 if probe else 0)
    assert (found.loss == 0.0) is probe
    estimator.sent(6, 25_000, 0.025, 1.2, probe)
    estimator.reported(report(6, lost=1), 1.25)
    assert estimator.estimate(1.3).probed_packets == (18 if probe else 0)
    assert estimator.estimate(1.3).loss > 0.0


def test_the_load_of_the_edge_is_followed() -> None:
    estimator = LinkEstimator(FINGERPRINT)
    for _ in range(20):
        estimator.worked(0.04, 0.12)
    estimator.worked(0.0, 5.0)
    assert estimator.estimate(1.0).edge_factor == pytest.approx(3.0, rel=0.01)
