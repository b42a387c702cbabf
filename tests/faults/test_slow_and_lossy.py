# SPDX-License-Identifier: Apache-2.0
"""Links that are slow or lose packets: fewer bytes or local answers, and back when they recover."""

import time

import pytest
from tests.allowance import within
from tests.faults.drive import BY_SERVER, PATIENCE_S, RETURN_S, Drive

from mtl_split_tools.lab.processes import wait_for

DRIVE = 'real'
pytestmark = [pytest.mark.ros, pytest.mark.slow]
FAST_MBIT, SLOW_MBIT = 20.0, 0.3
SHORT_QUEUE_MS, LONG_QUEUE_MS = 200.0, 1000.0
LONGEST_GAP_S = 1.0
"""Some images may be lost in a queue before the new link is known, but not many."""

NOTICED = 5.0
"""Per cent from which on it is trouble; below that lost frames are counted only."""
FORGET_S = 5.0
"""From the last lost packet until the link is trusted again."""


@pytest.mark.parametrize('queue_ms', [SHORT_QUEUE_MS, LONG_QUEUE_MS])
def test_bandwidth_falls_and_recovers(drive: Drive, queue_ms: float) -> None:
    top = max(rate.bytes_mean or 0.0 for rate in drive.bundle.rates) * 0.9

    def at_the_best_rate() -> bool:
        return drive.by(BY_SERVER, 0.0)[-1].bytes > top

    drive.lab.link.shape(FAST_MBIT, FAST_MBIT)
    wait_for(at_the_best_rate, 'the best rate', PATIENCE_S)
    slow = time.monotonic()
    # One way: the answers, a list of boxes with all that belongs to them, are as many bytes again.
    drive.lab.link.shape(SLOW_MBIT, FAST_MBIT, queue_ms=queue_ms)
    time.sleep(5.0)
    back = time.monotonic()
    drive.lab.link.shape(FAST_MBIT, FAST_MBIT)
    assert drive.longest_gap_s(slow, back) <= within(LONGEST_GAP_S)
    sent = [fate for fate in drive.consumer.fates(slow + 2.0) if fate.at < back]
    assert sum(fate.bytes for fate in sent) * 8 / (back - slow - 2.0) < SLOW_MBIT * 1e6
    assert max(fate.bytes for fate in sent) < top
    if queue_ms == LONG_QUEUE_MS:
        # a frame that is longer than the queue is lost there, and says nothing of the rate
        known = [
            float(finding.values['link kB/s'])
            for finding in drive.consumer.findings('edge: answers', slow + 0.5)
            if finding.at < back
        ]
        assert min(known) < 2 * SLOW_MBIT * 1e3 / 8
    else:
        drive.wait_for_link_trouble(slow)
    assert drive.wait_for_answer_by(BY_SERVER, back) <= within(RETURN_S)
    wait_for(at_the_best_rate, 'the best rate again', PATIENCE_S)
    drive.lab.link.shape()


@pytest.mark.parametrize('percent', [1.0, 5.0, 20.0])
def test_packets_are_lost(drive: Drive, percent: float) -> None:
    before, lossy = drive.lost(), time.monotonic()
    drive.lab.link.lose(percent)
    time.sleep(4.0)
    back = time.monotonic()
    drive.lab.link.lose(0.0)
    assert drive.longest_gap_s(lossy, back) <= within(LONGEST_GAP_S)
    assert drive.wait_for_answer_by(BY_SERVER, back) <= within(FORGET_S)
    wait_for(lambda: drive.lost() > before, 'lost frames in the diagnostics', PATIENCE_S)
    if percent >= NOTICED:
        drive.wait_for_link_trouble(lossy)
