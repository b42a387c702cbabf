# SPDX-License-Identifier: Apache-2.0
from mtl_split_server.link_accounting import CAMERAS_KEPT, LinkAccounting

MODULUS = 2**32


def lost(sequences: list[int]) -> int:
    link = LinkAccounting(now=0)
    for sequence in sequences:
        link.arrived('front', sequence, 10, now=1)
    return link.close_interval(0, now=2).lost


def test_gaps_are_losses() -> None:
    assert lost([5, 6, 7]) == 0
    assert lost([5, 8, 9, 11]) == 3
    assert lost([MODULUS - 2, MODULUS - 1, 0, 2]) == 1


def test_an_edge_that_began_anew_lost_nothing() -> None:
    assert lost([500, 501, 0, 1]) == 0
    assert lost([3, MODULUS - 5]) == 0
    assert lost([4, 4, 5]) == 0


def test_cameras_are_followed_apart_and_their_number_is_bounded() -> None:
    link = LinkAccounting(now=0)
    for sequence in (0, 1):
        link.arrived('front', 10 + sequence, 10, now=1)
        link.arrived('rear', 20 + sequence, 10, now=1)
    assert link.close_interval(0, now=2).lost == 0
    for camera in range(3 * CAMERAS_KEPT):
        link.arrived(str(camera), 0, 10, now=3)
    assert len(link._last) <= CAMERAS_KEPT


def test_a_report_covers_its_interval_only() -> None:
    link = LinkAccounting(now=10)
    for sequence in range(4):
        link.arrived('front', sequence, 1000, now=10.2)
    link.answered('front', 0, 0.010)
    link.answered('front', 1, 0.030)
    link.answered('front', 3, 0.020)
    link.late()
    link.refused('crc: crc32 is 1, expected 2')
    figures = link.close_interval(0.25, now=10.5)
    assert (figures.received, figures.refused, figures.answered) == (4, 1, 3)
    assert (figures.interval, figures.goodput) == (0.5, 8000)
    assert (figures.last_sequence, figures.hold_us) == (3, 300_000)
    assert (figures.done_sequence, figures.done_mask, figures.late) == (3, 0b1101, 1)
    assert (figures.service_us, figures.busy_fraction) == (20_000, 0.5)
    assert (figures.refusal, figures.camera) == ('crc: crc32 is 1, expected 2', 'front')
    after = link.close_interval(0.25, now=11)
    assert (after.received, after.refused, after.answered, after.refusal) == (0, 0, 0, '')
    assert (after.service_us, after.busy_fraction, after.last_sequence) == (0, 0, 3)


def test_a_foreign_frame_is_received_but_its_number_is_not_followed() -> None:
    link = LinkAccounting(now=0)
    link.arrived('front', 5, 10, now=1)
    link.arrived('front', None, 10, now=1)
    link.arrived('front', 6, 10, now=1)
    figures = link.close_interval(0, now=2)
    assert (figures.received, figures.lost, figures.last_sequence) == (3, 0, 6)


def test_what_was_worked_through_long_ago_leaves_the_mask() -> None:
    link = LinkAccounting(now=0)
    for sequence in (0, 1, 63, 64, 200, 5):
        link.arrived('front', sequence, 10, now=1)
        link.answered('front', sequence, 0.01)
        figures = link.close_interval(0, now=2)
        if sequence == 64:
            assert figures.done_mask == 0b11 | 1 << 63
        if sequence == 200:
            assert figures.done_mask == 1
    assert (figures.done_sequence, figures.done_mask) == (5, 1)
