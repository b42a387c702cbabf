# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace
from itertools import pairwise

import pytest
from tests.edge.test_servers import REPORT

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.profile import Mode, Profile, unmeasured
from mtl_split_edge.chooser import LARGEST_BACKLOG_S, LONGEST_PAUSE_S, Chooser
from mtl_split_edge.decision import PolicySettings, Reason
from mtl_split_edge.fates import Fate, Fates, LinkView, Outcome
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_edge.modes import Wish
from mtl_split_ros.status import Level, Status

SPLIT = Wish('split', -1, 'entropy', 'jpeg:80', 150.0)
GOOD = LinkEstimate(known=True, delay_s=0.01, slowness=1e-6)


def chooser() -> Chooser:
    return Chooser(Profile('tiny', REPORT.fingerprint, 'unmeasured', 0, ()), PolicySettings())


@pytest.mark.parametrize(
    ('changes', 'name', 'codec'),
    [
        ({}, 'split:1', CodecId.ENTROPY),
        ({'rate': 0}, 'split:0', CodecId.ENTROPY),
        ({'codec': 'lossless'}, 'lossless', CodecId.LOSSLESS),
        ({'mode': 'remote'}, 'jpeg:80', CodecId.JPEG),
        ({'mode': 'remote', 'picture': 'webp:10'}, 'webp:10', CodecId.WEBP),
        ({'mode': 'local'}, 'local', None),
    ],
)
def test_a_fixed_mode_has_one_way(
    tiny_bundle: Bundle, changes: dict[str, object], name: str, codec: CodecId | None
) -> None:
    point = replace(SPLIT, **changes).point(replace(tiny_bundle, default_rate=1))  # type: ignore[arg-type]
    assert point
    assert (point.name, point.codec) == (name, codec)


def test_auto_has_none(tiny_bundle: Bundle) -> None:
    auto = replace(SPLIT, mode='auto')
    assert auto.point(tiny_bundle) is None


def test_a_fixed_way_is_taken_while_nothing_is_known_of_the_link() -> None:
    held = chooser()
    point = unmeasured(Mode.SPLIT, CodecId.ENTROPY, 0)
    held.hold(point)
    for number in range(10):
        decision = held.decide(0.0, now=number * 0.01)
        assert (decision.point, decision.reason) == (point, Reason.FIXED)
        held.sent(number, 200_000, point, now=number * 0.01)


def test_a_fixed_way_keeps_to_the_pace_of_the_link() -> None:
    """50 kB a frame at 15 Hz over 100 kB/s: every seventh or eighth goes through."""
    held = chooser()
    point = unmeasured(Mode.REMOTE, CodecId.JPEG, 3)
    held.hold(point)
    arrivals: list[tuple[float, int]] = []
    free, number, gone = 0.0, 0, 0
    for tick in range(300):
        now = tick / 15
        while arrivals and arrivals[0][0] <= now:
            at, sequence = arrivals.pop(0)
            held.reported(
                replace(REPORT, last_sequence=sequence, hold_s=0.0, interval=0.07), now=at
            )
        if held.decide(0.0, now=now).point:
            held.sent(number, 50_000, point, now=now)
            free = max(free, now) + 0.5
            arrivals.append((free + 0.01, number))
            number, gone = number + 1, gone + (tick >= 150)
        # nothing piles up
        if tick > 60:
            assert free - now <= LARGEST_BACKLOG_S + 0.5 + 0.1
    assert 16 <= gone <= 25
    assert held.counts[Reason.PACED] > 100


def test_a_dead_link_is_asked_now_and_then() -> None:
    held = chooser()
    point = unmeasured(Mode.SPLIT, CodecId.ENTROPY, 0)
    held.hold(point)
    held.sent(0, 5000, point, now=0)
    held.reported(replace(REPORT, last_sequence=0, hold_s=0.01), now=0.05)
    times = []
    for tick in range(1, 150):
        if held.decide(0.0, now=tick / 15).point:
            held.sent(tick, 5000, point, now=tick / 15)
            times.append(tick / 15)
    gaps = [b - a for a, b in pairwise(times[5:])]
    assert max(gaps) <= LONGEST_PAUSE_S + 0.1


def test_the_camera_and_the_deadline_are_followed() -> None:
    follows = chooser()
    follows.follow(0.2)
    follows.aim(0.5)
    assert follows.settings.period_s == 0.2
    follows.follow(0.21)
    assert follows.settings == PolicySettings(deadline_s=0.5, period_s=0.2)


@pytest.mark.parametrize(
    ('view', 'text'),
    [
        (LinkView(0, True, 0, GOOD), 'no server reports'),
        (LinkView(1, False, 0, GOOD), 'another bundle'),
        (LinkView(1, True, 3.0, GOOD), 'no sign of the frames sent for 3.0 s'),
        (LinkView(1, True, 0, replace(GOOD, known=False)), 'not known yet'),
        (LinkView(1, True, 0, replace(GOOD, answered=0.2)), 'answers 20% of the frames'),
        (LinkView(1, True, 0, replace(GOOD, slowness=1e-4)), r'10 kB/s, 10 ms'),
        (LinkView(1, True, 0, GOOD), 'nothing better would be in time'),
        (LinkView(1, True, 0, GOOD, held_back=True), 'the latest return to the link failed'),
    ],
)
def test_why_the_edge_answers_itself_is_said(view: LinkView, text: str) -> None:
    fates, status = Fates(), Status()
    fates.add(Fate(Outcome.ANSWERED_BY_SERVER, 'split:3', elapsed_s=0.05))
    fates.fill(status, 'auto', 0.15, {}, view)
    assert status.level == Level.OK
    fates.add(Fate(Outcome.ANSWERED_BY_EDGE, 'local', elapsed_s=0.07))
    fates.fill(status, 'auto', 0.15, {Reason.LINK: 2}, view)
    assert status.level == Level.WARN
    assert text in status.message
    values = dict(status.values)
    assert (values['answered by edge'], values['decided: link']) == ('1', '2')
    assert values['answer local ms p50'] == '70.00'
    fates.fill(status, 'local', 0.15, {}, view)
    assert status.level == Level.OK
    assert math.isfinite(float(values['link loss']))
