# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from mtl_split_edge.link import LinkState, Report
from mtl_split_ros.status import Level, Status

REPORT = Report(
    fingerprint=7,
    session=1,
    interval=0.5,
    received=80,
    lost=1,
    refused=0,
    answered=7,
    goodput=9000,
    last_sequence=3,
    hold_s=0.1,
    service_s=0.02,
    busy_fraction=0.3,
    refusal='',
)


def filled(link: LinkState, now: float, subscribers: int = 1, servers: int = 1) -> Status:
    status = Status()
    link.fill(status, subscribers, servers, now)
    return status


def test_without_a_report() -> None:
    link = LinkState(7)
    assert filled(link, 1).level == Level.WARN
    assert 'nobody subscribes' in filled(link, 1, subscribers=0).message


def test_a_good_link() -> None:
    link = LinkState(7)
    link.sent(3, now=10)
    link.reported(REPORT, now=10.15)
    link.reported(replace(REPORT, received=0, lost=2), now=11)
    status = filled(link, 11)
    values = dict(status.values)
    assert (status.level, status.message) == (Level.OK, '14.0 Hz answered, 2 lost')
    assert values['round trip ms p50'] == '50.00'
    assert values['lost total'] == '3'


def test_much_loss_is_said_while_it_lasts() -> None:
    link = LinkState(7)
    link.reported(REPORT, now=10)
    link.reported(replace(REPORT, received=7, lost=8), now=12)
    status = filled(link, 12)
    assert status.level == Level.WARN
    assert '9 of 96 frames did not arrive in 5 s' in status.message
    link.reported(replace(REPORT, lost=0), now=18)
    assert filled(link, 18).level == Level.OK


def test_silence_refusal_and_another_bundle() -> None:
    link = LinkState(7)
    link.reported(REPORT, now=10)
    assert filled(link, 14).level == Level.WARN
    link.reported(replace(REPORT, refusal='crc: crc32 is 1, expected 2', refused=1), now=14)
    status = filled(link, 14)
    assert (status.level, status.message) == (
        Level.ERROR,
        'the server refuses: crc: crc32 is 1, expected 2',
    )
    link.reported(replace(REPORT, fingerprint=8), now=15)
    assert 'give both the same bundle' in filled(link, 15).message


def test_a_second_server_is_said() -> None:
    link = LinkState(7)
    link.reported(REPORT, now=10)
    status = filled(link, 10, servers=2)
    assert status.level == Level.ERROR
    assert '2 servers report to this edge' in status.message
