# SPDX-License-Identifier: Apache-2.0
"""The clock of a replay without a graph: rate, pause, stop."""

import threading
import time

import pytest

from mtl_split_tools.playback import Playback

MS = 1_000_000


def test_position_follows_the_rate() -> None:
    now = [0]
    playback = Playback(2.0, False, lambda: now[0])
    playback.seek(1000)
    now[0] = 50
    assert playback.position() == 1100
    playback.seek(0)
    assert playback.position() == 0


def test_a_pause_stands_still_and_goes_on_from_there() -> None:
    now = [0]
    playback = Playback(1.0, True, lambda: now[0])
    playback.seek(1000)
    now[0] = 500
    assert playback.paused
    assert playback.position() == 1000
    playback.toggle()
    now[0] = 700
    assert playback.position() == 1200
    playback.toggle()
    now[0] = 900
    assert playback.position() == 1200


@pytest.mark.real_time
@pytest.mark.parametrize('rate', [1.0, 4.0])
def test_waits_as_long_as_the_rate_says(rate: float) -> None:
    playback = Playback(rate, False)
    began = time.monotonic()
    playback.seek(0)
    for step in range(1, 6):
        assert playback.wait_until(step * 100 * MS)
    took = time.monotonic() - began
    # a wait at another rate would take at least half a second
    assert 0.5 / rate <= took < 0.5 / rate + 0.35


@pytest.mark.real_time
def test_the_past_does_not_wait() -> None:
    playback = Playback(1.0, False)
    playback.seek(1000 * MS)
    began = time.monotonic()
    assert playback.wait_until(5 * MS)
    assert time.monotonic() - began < 0.9  # less than what lies between the two


@pytest.mark.parametrize('paused', [True, False])
def test_stop_ends_a_wait(paused: bool) -> None:
    playback = Playback(1.0, paused)
    threading.Timer(0.05, playback.stop).start()
    assert not playback.wait_until(3600 * 1000 * MS)
    assert playback.stopped
