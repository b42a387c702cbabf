# SPDX-License-Identifier: Apache-2.0
"""Repeats of a bench: least and most in CSV, Markdown, the document and the pictures."""

import csv
import io
from typing import Any

import pytest

from mtl_split_tools.bench.record import middle
from mtl_split_tools.bench_report.document import blocks
from mtl_split_tools.bench_report.pictures import draw_all
from mtl_split_tools.bench_report.reading import Run, make_run
from mtl_split_tools.link_bench.tables import comma_separated, markdown
from mtl_split_tools.spreads import limits, whisker, with_limits

LINKS = ('unlimited', '1')
WAYS = ('split:3', 'jpeg:30', 'jpeg:80', 'local', 'auto')


def measured(link: str, way: str, repeat: int) -> dict[str, Any]:
    delay = 30.0 + 4 * repeat
    return {
        'link': link,
        'transport': way,
        'repeat': repeat,
        'frames': 4,
        'ways': {way: 4},
        'not_answered': {},
        'disorder': 0,
        'in_time': 1.0 - repeat / 20,
        'answered': 1.0,
        'by_edge': 0.0,
        'bytes_app': 4000.0 + len(way),
        'bytes_sent': {'mean': 4000.0, 'p95': 4100.0},
        'bytes_wire': 5000.0,
        'bytes_wire_back': None,
        'end_to_end_ms': {'p50': delay, 'p95': delay, 'p99': delay},
        'stages_ms': {'edge encode': 10.0, 'server tail': 15.0},
        'edge_cpu_ms': 20.0 + repeat,
        'server_cpu_ms': 30.0,
        'edge_cpu_s': 1.0,
        'server_cpu_s': 1.0,
        'edge_rss_mb': 100.0,
        'server_rss_mb': 100.0,
        'miou': 0.6 + repeat / 100,
        'map50': 0.5,
        'accuracy': 1.0,
        'streaming_miou': 0.6 + repeat / 100,
        'images': [[i / 15, i, delay / 1e3, way, 4000] for i in range(4)],
    }


def run_of(repeats: int) -> Run:
    rows = [measured(link, way, n) for link in LINKS for way in WAYS for n in range(repeats)]
    groups = [rows[place : place + repeats] for place in range(0, len(rows), repeats)]
    summary = {
        'machine': {'processor': 'P', 'cores': 2, 'kernel': '6', 'python': '3.11'},
        'settings': {'bundle': 'b', 'fingerprint': 'f', 'images': 4, 'deadline_ms': 150.0},
        'uncompressed': {'miou': 0.6, 'map50': 0.5, 'accuracy': 1.0},
        'rows': [middle(group) for group in groups],
    }
    return make_run(summary, rows)


@pytest.fixture(scope='module')
def thrice() -> Run:
    return run_of(3)


def test_limits_are_of_repeats_only(thrice: Run) -> None:
    row, once = thrice.rows[0], run_of(1).rows[0]
    assert limits(row, 'edge_cpu_ms') == (20.0, 22.0)
    assert limits(row, 'end_to_end_ms', 'p50') == (30.0, 38.0)
    assert whisker(row, 'end_to_end_ms', 'p50') == [[4.0], [4.0]]
    assert limits(row, 'bytes_wire_back') is None
    assert limits(once, 'edge_cpu_ms') is whisker(once, 'end_to_end_ms', 'p50') is None
    assert with_limits('21', row, 'edge_cpu_ms', lambda v: f'{v:.0f}') == '21 (20..22)'
    assert with_limits('30', row, 'server_cpu_ms', lambda v: f'{v:.0f}') == '30'


def test_csv_has_a_column_for_each_limit(thrice: Run) -> None:
    row = next(csv.DictReader(io.StringIO(comma_separated(thrice.rows))))
    assert row['edge_cpu_ms'] == '21.0'
    assert (row['spread.edge_cpu_ms.least'], row['spread.edge_cpu_ms.most']) == ('20.0', '22.0')
    assert row['spread.end_to_end_ms.p50.most'] == '38.0'
    assert row['spread.bytes_wire_back.most'] == ''
    assert not [value for value in row.values() if '[' in value or '{' in value]


def test_tables_show_limits_of_repeats_alone(thrice: Run) -> None:
    several, once = markdown(thrice.rows), markdown(run_of(1).rows)
    assert '| 34 (30..38) |' in several
    assert '| 95.0% (90.0%..100.0%) |' in several
    assert '..' not in once
    assert '| 30 |' in once


def test_document_says_how_many_runs(thrice: Run) -> None:
    several, once = blocks(thrice), blocks(run_of(1))
    assert '3 runs in turn: medians, with the least and the most in brackets' in several['measured']
    assert 'one run' in once['measured']
    assert '21.0 (20.0..22.0)' in several['costs']
    assert '95% (90%..100%), 0.610 (0.600..0.620)' in several['links']
    assert '..' not in once['costs'] + once['links']


def test_another_bundle_has_a_column_and_a_kind_of_its_own() -> None:
    run = run_of(1)
    of = {'version': '0.1', 'family': 'ladon', 'fingerprint': 'ff', 'map50': None, 'accuracy': 1.0}
    rows = [{**row, 'transport': row['transport'].replace('jpeg', 'mine')} for row in run.rows]
    summary = {**run.summary, 'rival_bundles': {'mine': {**of, 'miou': 0.5}}}
    parts = blocks(Run(summary, rows, run.measured))
    assert '`mine` is another bundle: mine 0.1, family ladon' in parts['measured']
    assert parts['choice'].startswith('| link | split | auto | edge alone | another bundle |')
    assert '`mine:' in parts['choice']
    assert 'another bundle' not in blocks(run)['choice']


def test_pictures_show_limits(thrice: Run) -> None:
    """The same medians without limits look another way in each picture."""
    plain = Run(thrice.summary, [{**row, 'repeats': 1} for row in thrice.rows], thrice.measured)
    with_them, without = draw_all(thrice), draw_all(plain)
    assert with_them.keys() == without.keys()
    for name, picture in with_them.items():
        assert picture != without[name], name
