# SPDX-License-Identifier: Apache-2.0
"""Nodes killed, stalled, in the wrong company; a link cut: answers go on, once each, in order."""

import time

import pytest
from tests.allowance import within
from tests.faults.drive import BY_EDGE, BY_SERVER, FALLBACK_S, RETURN_S, Drive

from mtl_split_core.bundle import Bundle

DRIVE = 'small'
pytestmark = [pytest.mark.ros, pytest.mark.slow]
LONGEST_GAP_S = 0.25 + FALLBACK_S + 0.1
"""Between two answers: the deadline that is missed, the fallback, the period of the camera."""

OVERLOAD_S, AWAY_S, THERE_S = 6.0, 0.4, 0.05


def test_server_killed_and_started_again(drive: Drive) -> None:
    killed = time.monotonic()
    drive.server.kill()
    assert drive.fallback_s(killed) <= within(FALLBACK_S)
    drive.wait_for_finding('edge: answers', 'no server reports', killed)
    ready = drive.start_server()
    assert drive.wait_for_answer_by(BY_SERVER, ready) <= within(RETURN_S)
    # nobody was without answers, before, between and after
    settled = drive.settle()
    assert drive.longest_gap_s(killed + 0.1, settled) <= within(LONGEST_GAP_S)


def test_edge_killed_and_started_again(drive: Drive) -> None:
    killed = time.monotonic()
    drive.edge.kill()
    drive.wait_for_finding('server: features', 'no message on /features', killed)
    ready = drive.start_edge()
    drive.consumer.wait_for_answers(1, since=ready)
    assert drive.consumer.answers(since=ready)[0].at - ready <= within(1.0)
    assert drive.wait_for_answer_by(BY_SERVER, ready) <= within(RETURN_S)


def test_server_starts_late(drive: Drive) -> None:
    drive.server.kill()
    drive.edge.kill()
    alone = drive.start_edge()
    soon = within(drive.deadline_s + FALLBACK_S)
    assert drive.wait_for_answer_by(BY_EDGE, alone) <= soon
    drive.wait_for_finding('edge: link', 'no server has reported yet', alone)
    ready = drive.start_server()
    assert drive.wait_for_answer_by(BY_SERVER, ready) <= within(RETURN_S)
    assert drive.longest_gap_s(alone + soon, drive.settle()) <= within(LONGEST_GAP_S)


def test_link_cut_for_five_seconds(drive: Drive) -> None:
    cut = time.monotonic()
    drive.lab.link.cut()
    assert drive.fallback_s(cut) <= within(FALLBACK_S)
    drive.wait_for_finding('edge: answers', 'no server reports', cut)
    time.sleep(max(0.0, cut + 5.0 - time.monotonic()))
    drive.wait_for_finding('edge: link', 'no report from the server for', cut)
    drive.lab.link.restore()
    back = time.monotonic()
    assert drive.wait_for_answer_by(BY_SERVER, back) <= within(RETURN_S)
    # the edge computes each frame in a few milliseconds: none is left out while it answers
    alone = [fate for fate in drive.consumer.fates(cut + 1.0) if fate.at < back]
    assert sum(fate.outcome == BY_EDGE for fate in alone) >= 0.9 * len(alone) > 20


def test_server_stalled(drive: Drive) -> None:
    stalled = time.monotonic()
    drive.server.stall()
    assert drive.fallback_s(stalled) <= within(FALLBACK_S)
    time.sleep(max(0.0, stalled + 3.0 - time.monotonic()))
    drive.server.go_on()
    back = time.monotonic()
    assert drive.wait_for_answer_by(BY_SERVER, back) <= within(RETURN_S)
    drive.wait_for_finding('edge: answers', 'no server reports', stalled)


def test_server_overloaded(drive: Drive) -> None:
    """Others take its computer: it works a moment now and then, and its answers come too late."""
    begun = time.monotonic()
    try:
        while time.monotonic() < begun + OVERLOAD_S:
            drive.server.stall()
            time.sleep(AWAY_S)
            drive.server.go_on()
            time.sleep(THERE_S)
    finally:
        drive.server.go_on()
    back = time.monotonic()
    assert drive.fallback_s(begun) <= within(FALLBACK_S)
    assert drive.wait_for_answer_by(BY_SERVER, back) <= within(RETURN_S)
    settled = drive.settle()
    assert drive.longest_gap_s(begun + 0.1, settled) <= within(LONGEST_GAP_S)
    # most of the time there is no server to speak of
    assert len(drive.by(BY_EDGE, begun)) > len(drive.by(BY_SERVER, begun)) - len(
        drive.by(BY_SERVER, back)
    )


def test_server_with_another_bundle(drive: Drive, other_bundle: Bundle) -> None:
    killed = time.monotonic()
    drive.server.kill()
    foreign = drive.start_server(other_bundle.path)
    drive.wait_for_finding('edge: link', 'the server runs the bundle', foreign, level=2)
    drive.wait_for_finding('edge: answers', 'the server runs another bundle', foreign)
    drive.wait_for_finding('server: contract', f'{drive.bundle.fingerprint:016x}', foreign, level=2)
    answered = time.monotonic()
    drive.consumer.wait_for_answers(5, since=answered)
    assert not [fate for fate in drive.by(BY_SERVER, foreign) if fate.at > foreign]
    drive.server.kill()
    ready = drive.start_server()
    assert drive.wait_for_answer_by(BY_SERVER, ready) <= within(RETURN_S)
    assert drive.longest_gap_s(killed + 0.1, ready) <= within(LONGEST_GAP_S)


def test_two_servers(drive: Drive) -> None:
    started = time.monotonic()
    second = drive.lab.server(bundle=drive.bundle.path)
    drive.wait_for_finding('edge: link', '2 servers report', started, level=2)
    drive.wait_for_finding('server: results', '2 servers share', started, level=2)
    both = time.monotonic()
    drive.consumer.wait_for_answers(10, since=both)
    second.kill()
    gone = time.monotonic()
    assert drive.wait_for_answer_by(BY_SERVER, gone) <= within(RETURN_S)


def test_modes_change_while_driving(drive: Drive) -> None:
    for mode in ('local', 'split', 'remote', 'local', 'auto'):
        drive.consumer.set('edge', mode=mode)
        drive.consumer.wait_for_answers(8, since=time.monotonic())
