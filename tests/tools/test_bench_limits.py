# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench-limits`: real nodes for a moment, and what is said of the goals."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle
from mtl_split_tools.bench import bare, limits, messages, threads
from mtl_split_tools.cli import main
from mtl_split_tools.link_bench import session

PERCENTILES = {'p50': 50.0, 'p95': 60.0, 'p99': 70.0}
STREAM = {
    'answered_hz': 15.0,
    'end_to_end_ms': PERCENTILES,
    'edge_cpu_ms': 10.0,
    'server_cpu_ms': 20.0,
    'edge_rss_mb': 160.0,
    'server_rss_mb': 210.0,
}
SUMMARY: dict[str, Any] = {
    'machine': {'processor': 'A', 'cores': 2},
    'settings': {'bundle': 'tiny 1', 'fingerprint': 'ab'},
    'bare': {'encoder': {'ms': 9.0, 'cpu_ms': 10.0}, 'tail': {'ms': 20.0, 'cpu_ms': 30.0}},
    'threads': [
        {
            'part': 'tail',
            'where': 'A',
            'threads': 2,
            'p50_ms': 9.0,
            'p95_ms': 10.0,
            'cpu_ms': 16.04,
        },
        {'part': 'tail', 'where': 'B', 'threads': 1, 'refusal': 'no driver'},
    ],
    'starts_s': [2.0, 9.0, 2.5],
    'rates': [
        {'rate_hz': 15, 'answered': 1.0, **STREAM},
        {'rate_hz': 30, 'answered': 0.9, **STREAM},
    ],
    'messages': [
        {'bytes': 60_000, 'came': 0.5, 'delay_ms': PERCENTILES},
        {'bytes': 500, 'came': 0.0, 'delay_ms': dict.fromkeys(PERCENTILES)},
    ],
    'sizes': [{'width': 640, 'height': 480, 'answered': 1.0, **STREAM}],
    'work': {
        'split': {
            'edge_cpu_ms': 12.0,
            'server_cpu_ms': 33.0,
            'stages_ms': {'edge encode': 10.0, 'server tail': 20.0},
            'end_to_end_ms': PERCENTILES,
        },
        'local': {'edge_cpu_ms': 48.0, 'server_cpu_ms': 0.0},
        'tail_alone': {'cpu_ms': 30.0},
    },
}


def test_goals_are_set_beside_what_was_measured() -> None:
    assert [measured for _, _, measured in limits.goals(SUMMARY)] == [
        '2.5 s',
        '15',
        '40%',
        '1.10',
        '0.25',
        '0.25',
    ]
    parts = limits.blocks(SUMMARY)
    assert set(parts) == set(limits.blocks({}))
    assert '| 30 Hz | 15.0 Hz, 90% | 50 | 60 |' in parts['rates']
    assert '640x480' in parts['sizes']
    assert '| 60.0 kB | 50% | 50.00 | 60.00 |' in parts['messages']
    assert '| 0.5 kB | 0% | - | - |' in parts['messages']
    assert '| tail | A | 2 | 9.0 | 10.0 | 16.0 |' in parts['threads']
    assert '| tail | B | 1 | no driver | - | - |' in parts['threads']


def test_every_provider_that_is_there_is_tried(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ['QuantumExecutionProvider', *threads.ELSEWHERE, 'CPUExecutionProvider']
    monkeypatch.setattr(threads.onnxruntime, 'get_available_providers', lambda: there)
    monkeypatch.setattr(threads, '_PICTURES', 1)
    monkeypatch.setattr(threads, '_ROUNDS', 1)
    monkeypatch.setattr(threads, 'LARGE', (64, 48))
    found = threads.measure_threads(tiny_bundle)
    for part in ('encoder', 'tail and boxes'):
        rows = {row['where']: row for row in found if row['part'] == part}
        assert list(rows) == ['QuantumExecutionProvider', 'CPUExecutionProvider']
        assert 'QuantumExecutionProvider' in rows['QuantumExecutionProvider']['refusal']
        assert rows['CPUExecutionProvider']['p50_ms'] > 0


def test_messages_are_told_by_size() -> None:
    sizes = (60_000, 500, 60_000, 500)
    sent = [
        {'sequence': number, 'bytes': size, 'at': number / 10} for number, size in enumerate(sizes)
    ]
    came = [{'sequence': number, 'at': number / 10 + 0.02 * number} for number in (0, 1, 3, 7)]
    small, large = messages.rows_of(sent, came)
    assert (small['bytes'], small['sent'], small['came']) == (500, 2, 1.0)
    assert small['delay_ms']['p50'] == pytest.approx(40)
    assert (large['bytes'], large['came']) == (60_000, 0.5)
    assert large['delay_ms']['p95'] == pytest.approx(0)
    assert messages.SIZES[-1] == 60_000


def test_a_document_without_the_parts_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / 'doc.md'
    document.write_text('# nothing\n')
    assert 'it must have measured, goals' in fails(capsys, 'bench-limits', '--doc', document)


@pytest.mark.ros(beside=True)
@pytest.mark.slow
def test_real_nodes_for_a_moment(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {'RATES_HZ': (10,), 'SIZES': ((320, 240),), '_STARTS': 1}.items():
        monkeypatch.setattr(limits, name, value)
    monkeypatch.setattr(limits, '_SECONDS', 1.5)
    monkeypatch.setattr(limits, '_PICTURES', 20)
    monkeypatch.setattr(limits, '_SETTLE_S', 0.5)
    monkeypatch.setattr(limits, '_DRAIN_S', 0.5)
    monkeypatch.setattr(bare, 'SETTLE_S', 1.0)
    monkeypatch.setattr(session, 'SETTLE_S', 1.0)
    monkeypatch.setattr(threads, '_PICTURES', 2)
    out = tmp_path / 'out'
    assert main(['bench-limits', '--bundle', str(tiny_bundle.path), '--out', str(out)]) == 0
    found = json.loads((out / 'summary.json').read_text())
    assert 0 < found['starts_s'][0] < 60
    assert {row['part'] for row in found['threads']} > {'encoder', 'tail and boxes'}
    assert all(row['cpu_ms'] > 0 for row in found['threads'])
    assert found['rates'][0]['answered'] > 0.5
    assert found['sizes'][0]['answered'] > 0.5
    assert [row['bytes'] for row in found['messages']] == list(messages.SIZES)
    assert all(row['delay_ms']['p50'] > 0 for row in found['messages'])
    assert found['work']['split']['server_cpu_ms'] > 0
    assert found['work']['tail_alone']['cpu_ms'] > 0
    assert found['work']['local']['edge_cpu_ms'] > found['bare']['encoder']['cpu_ms'] / 2
