# SPDX-License-Identifier: Apache-2.0
from mtl_split_core.bundle import Bundle
from mtl_split_ros.status import Level, Status
from mtl_split_server.pipeline import Contract, ServerFigures


def test_refusals_are_counted_by_reason_and_reported(tiny_bundle: Bundle) -> None:
    lines: list[str] = []
    figures = ServerFigures(tiny_bundle, lines.append)
    for _ in range(3):
        figures.arrived('front', None, 100)
        figures.refused('crc', 'crc: crc32 is 1, expected 2')
    status = Status(message='15.0 Hz on /features')
    figures.fill_features(status)
    values = dict(status.values)
    assert (values['refused'], values['refused: crc'], values['bytes p50']) == ('3', '3', '100')
    assert status.level == Level.ERROR
    assert 'crc32 is 1' in status.message
    assert lines == ['frame refused: crc: crc32 is 1, expected 2']
    assert figures.link.close_interval(0).refusal == 'crc: crc32 is 1, expected 2'


def test_a_foreign_fingerprint_is_explained_by_the_contract(tiny_bundle: Bundle) -> None:
    lines: list[str] = []
    figures = ServerFigures(tiny_bundle, lines.append)
    status = Status()
    figures.fill_contract(status)
    assert status.level == Level.WARN
    figures.contract(Contract('other', '2.0', 99, 1))
    figures.arrived('front', None, 100)
    figures.refused('fingerprint', 'fingerprint: fingerprint is 63')
    assert 'the edge announced bundle other 2.0' in lines[0]
    status = Status()
    figures.fill_contract(status)
    assert status.level == Level.ERROR
    assert 'other 2.0' in status.message
    assert 'tiny 1.0.0' in status.message
    figures.contract(Contract('tiny', '1.0.0', tiny_bundle.fingerprint, 1))
    status = Status()
    figures.fill_contract(status)
    assert status.level == Level.OK


def test_answers_give_percentiles(tiny_bundle: Bundle) -> None:
    figures = ServerFigures(tiny_bundle, lambda _: None)
    for _ in range(5):
        times = {'decode': 1, 'tail': 20}
        figures.answered('front', 0, times, total_s=0.03, service_s=0.025, batch=3)
    figures.drawn(2)
    status = Status()
    figures.fill_results(status, ())
    values = dict(status.values)
    assert (values['answered'], values['batch mean']) == ('5', '3.00')
    assert [values[f'server ms p{p}'] for p in (50, 95, 99)] == ['30.00'] * 3
    assert (values['tail ms p95'], values['overlay ms p50']) == ('20.00', '2.00')
    assert figures.link.close_interval(0).service_us == 25_000


def test_a_second_server_is_said(tiny_bundle: Bundle) -> None:
    status = Status()
    ServerFigures(tiny_bundle, lambda _: None).fill_results(status, (7,))
    assert status.level == Level.ERROR
    assert '2 servers share one link_report topic (others: 0000000000000007)' in status.message
