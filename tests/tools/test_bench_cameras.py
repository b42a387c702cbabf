# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench-cameras`: its figures, its picture, and real nodes for a moment."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle
from mtl_split_tools.bench import cameras
from mtl_split_tools.bench_report.cameras_plot import draw_cameras
from mtl_split_tools.cli import main
from mtl_split_tools.lab import Answer, Published, Stream

PNG = b'\x89PNG'


def stream(sent: int, delays: Sequence[float]) -> Stream:
    """So many frames a second apart, the first of them answered after these seconds."""
    images = [Published((n, 0), float(n), 0, good=True) for n in range(sent)]
    answers = [Answer((n, 0), n + delay) for n, delay in enumerate(delays)]
    return Stream(images, answers)


def row(rates: Sequence[float], *streams: Stream) -> dict[str, Any]:
    return cameras.row_of(rates, streams, 10.0, 0.5, 200.0)


def test_fairness_of_equal_and_of_one_for_all() -> None:
    assert cameras.jain([3, 3, 3]) == pytest.approx(1)
    assert cameras.jain([5, 0, 0, 0]) == pytest.approx(0.25)
    assert cameras.jain([0, 0]) is None


def test_a_row_counts_camera_by_camera() -> None:
    found = row((1, 1), stream(10, [0.1] * 10), stream(10, [0.1] * 4 + [0.2]))
    assert (found['sent_hz'], found['answered_hz']) == (2.0, 1.5)
    assert found['answered_hz_by_camera'] == [1.0, 0.5]
    assert found['in_time_by_camera'] == [1.0, 0.4]
    assert found['in_time'] == pytest.approx(0.7)
    assert found['jain'] == pytest.approx(14**2 / (2 * (10**2 + 4**2)))
    assert found['server_cpu_ms'] == pytest.approx(500 / 15)
    assert found['end_to_end_ms']['p50'] == pytest.approx(100)


def test_cameras_of_other_rates_have_no_index() -> None:
    assert row((6, 1), stream(60, [0.1] * 20), stream(10, [0.1] * 10))['jain'] is None


def test_document_and_picture() -> None:
    rows = [
        row((15, 15), stream(10, [0.1] * 10), stream(10, [0.1] * 5)),
        row((60, 10), stream(60, [0.1] * 20), stream(10, [0.1] * 10)),
    ]
    summary = {
        'machine': {'processor': 'A', 'cores': 2},
        'settings': {'bundle': 'tiny 1', 'fingerprint': 'ab', 'deadline_ms': 150.0},
        'seconds': 10.0,
        'rows': rows,
    }
    parts = cameras.blocks(summary)
    assert set(parts) == set(cameras.blocks({}))
    assert '| 2 at 15 Hz | 2.0 Hz | 1.5 Hz | 75% | 50%, 100% | 0.900 | 100 |' in parts['rows']
    # the order of the rates, not of the shares
    assert '| 60 and 10 Hz | 7.0 Hz | 3.0 Hz | 43% | 33%, 100% | - |' in parts['rows']
    assert draw_cameras(rows).startswith(PNG)


def test_a_document_without_the_parts_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / 'doc.md'
    document.write_text('# nothing\n')
    assert 'it must have measured, rows' in fails(capsys, 'bench-cameras', '--doc', document)


@pytest.mark.ros
@pytest.mark.slow
def test_real_nodes_for_a_moment(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras, 'CAMERAS', (2,))
    monkeypatch.setattr(cameras, 'GREEDY', (20.0, 5.0))
    # what is in time on a busy machine is not the question
    monkeypatch.setattr(cameras, 'DEADLINE_MS', 20_000.0)
    document = tmp_path / 'doc.md'
    document.write_text(
        ''.join(f'<!-- bench-cameras: {part} -->\n<!-- end -->\n' for part in ('measured', 'rows'))
    )
    out = tmp_path / 'out'
    options = ('--bundle', tiny_bundle.path, '--seconds', 2, '--out', out, '--doc', document)
    assert main(['bench-cameras', *map(str, options)]) == 0
    equal, greedy = json.loads((out / 'summary.json').read_text())['rows']
    assert equal['jain'] > 0.8
    assert min(equal['in_time_by_camera']) > 0.5
    assert greedy['in_time_by_camera'][1] > 0.5
    assert equal['server_cpu_ms'] > 0
    assert '| 2 at 15 Hz |' in document.read_text()
    assert (tmp_path / 'doc/cameras.png').read_bytes().startswith(PNG)
