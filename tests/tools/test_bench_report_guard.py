# SPDX-License-Identifier: Apache-2.0
"""The guard of `make bench-quick`: what it lets pass, and what it says when it does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from mtl_split_core.errors import DataError
from mtl_split_tools.bench.plan import UNLIMITED, make_turns
from mtl_split_tools.bench.session import estimate_s
from mtl_split_tools.bench_report.guard import (
    LOCAL,
    PICTURE,
    RAW,
    Bare,
    compare,
    make_ratios,
    read_baseline,
    write_baseline,
)
from mtl_split_tools.bench_report.quick import BASELINE, IMAGES, report

ROOT = Path(__file__).parents[2]
SPLIT = 'split:3'
KNOWN = {'edge CPU, split over local': 0.4, 'bytes, split over JPEG': 0.15}


def make_row(way: str, size: float, delay: float | None) -> dict[str, Any]:
    stages = {'edge encode': 10.0, 'server tail': 20.0}
    ends = dict.fromkeys(('p50', 'p95', 'p99'), delay)
    row = {'transport': way, 'frames': 9, 'bytes_app': size, 'end_to_end_ms': ends}
    row |= {'answered': 1.0, 'images': [[i, i, 0.04, way, size] for i in range(9)]}
    return row | {'stages_ms': stages, 'edge_cpu_ms': 18.0, 'server_cpu_ms': 42.0}


@pytest.fixture
def rows() -> dict[str, dict[str, Any]]:
    sizes = {SPLIT: 5000, PICTURE: 32_000, LOCAL: 0, RAW: 518_400}
    return {way: make_row(way, size, 40.0) for way, size in sizes.items()}


@pytest.mark.parametrize(('times', 'status'), [(0.2, 0), (1.0, 0), (1.4, 0), (1.6, 1)])
def test_only_much_worse_fails(
    times: float, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    now = {**KNOWN, 'edge CPU, split over local': 0.4 * times}
    assert report(compare(now, KNOWN)) == status
    said = [line for line in capsys.readouterr().out.splitlines() if 'bench-quick: WORSE' in line]
    assert len(said) == status
    for line in said:
        assert 'edge CPU, split over local: 0.640, baseline 0.400 (1.60 times)' in line


def test_all_that_is_worse_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(compare({name: 2 * value for name, value in KNOWN.items()}, KNOWN)) == 1
    out = capsys.readouterr().out
    assert all(f'WORSE {name}: ' in out for name in KNOWN)


def test_ratios_of_one_run(rows: dict[str, dict[str, Any]]) -> None:
    rows[LOCAL]['edge_cpu_ms'] = 45.0
    found = make_ratios(rows, SPLIT, Bare(encoder_cpu_ms=12.0, tail_cpu_ms=40.0))
    assert found['edge CPU, split over local'] == pytest.approx(0.4)
    assert found['server CPU over the bare tail'] == pytest.approx(1.05)
    assert found['edge CPU over the bare encoder'] == pytest.approx(1.5)
    assert found['share of the delay outside encoder and tail'] == pytest.approx(0.25)
    assert found['delay, split over raw'] == pytest.approx(1)


def test_twice_as_slow_a_machine_changes_nothing(rows: dict[str, dict[str, Any]]) -> None:
    before = make_ratios(rows, SPLIT, Bare(12.0, 40.0))
    for row in rows.values():
        row['images'] = [[*line[:2], 2 * line[2], *line[3:]] for line in row['images']]
        for key in ('end_to_end_ms', 'stages_ms'):
            row[key] = {name: 2 * value for name, value in row[key].items()}
        for key in ('edge_cpu_ms', 'server_cpu_ms'):
            row[key] *= 2
    assert make_ratios(rows, SPLIT, Bare(24.0, 80.0)) == pytest.approx(before)


def test_images_left_out_do_not_count(rows: dict[str, dict[str, Any]]) -> None:
    """A busy machine works on fewer of them, which makes neither node better."""
    before = make_ratios(rows, SPLIT, Bare(12.0, 40.0))
    mine = rows[SPLIT]
    mine['images'] = [line if line[0] % 3 else [*line[:2], None, '', 0] for line in mine['images']]
    mine['answered'] = 2 / 3
    for key in ('bytes_app', 'edge_cpu_ms', 'server_cpu_ms'):
        mine[key] *= 2 / 3
    assert make_ratios(rows, SPLIT, Bare(12.0, 40.0)) == pytest.approx(before)


def test_run_without_answers_is_no_run(rows: dict[str, dict[str, Any]]) -> None:
    rows[RAW] = make_row(RAW, 518_400, None)
    with pytest.raises(DataError, match='raw had no answer in 9 images'):
        make_ratios(rows, SPLIT, Bare(12.0, 40.0))


def test_baseline_goes_round(tmp_path: Path) -> None:
    path = tmp_path / 'baseline.json'
    write_baseline(path, KNOWN, {'cores': 2})
    assert read_baseline(path) == KNOWN


@pytest.mark.parametrize('text', ['', '[]', '{"ratios": {"a": null}}', '{"ratios": {"a": 0}}'])
def test_damaged_baseline_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / 'baseline.json'
    path.write_text(text)
    with pytest.raises(DataError, match=r'baseline\.json'):
        read_baseline(path)


def test_baseline_of_other_ratios_is_refused() -> None:
    with pytest.raises(DataError, match='differs in delay; renew it with --update'):
        compare({**KNOWN, 'delay': 1.0}, KNOWN)


def test_a_run_is_planned_for_less_than_three_minutes() -> None:
    turns = make_turns((SPLIT, PICTURE, LOCAL, RAW), (UNLIMITED,), 1)
    assert estimate_s(turns, IMAGES) < 120  # the rest is for the bare networks and the answers


def test_baseline_that_ships_has_what_is_compared(rows: dict[str, dict[str, Any]]) -> None:
    shipped = json.loads((ROOT / BASELINE).read_text())
    assert set(shipped['ratios']) == set(make_ratios(rows, SPLIT, Bare(1.0, 1.0)))
    assert shipped['machine']['cores'] >= 1
