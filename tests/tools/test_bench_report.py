# SPDX-License-Identifier: Apache-2.0
"""What is made of the figures of a bench: pictures, findings, the document, the video's ages."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mtl_split_core.errors import DataError
from mtl_split_tools.bench_report.document import COMMAND, PARTS, blocks
from mtl_split_tools.bench_report.drawing import spread
from mtl_split_tools.bench_report.findings import choices, losses, winners
from mtl_split_tools.bench_report.pictures import NAMES, draw_all
from mtl_split_tools.bench_report.reading import (
    Run,
    Shot,
    delays_of,
    fps_of,
    make_run,
    outside_network,
    read_run,
    stack_of,
    unnamed_share,
)
from mtl_split_tools.bench_report.side_by_side import answers_at_hand, choose_rows
from mtl_split_tools.marked import fill

ROOT = Path(__file__).parents[2]
# bytes, mIoU, edge CPU, delay without a limit; over 1 Mbit/s at 10 Hz 12.5 kB fit
WAYS: dict[str, tuple[float, float, float, float]] = {
    'raw': (518_400, 0.632, 4, 49),
    'jpeg:30': (13_800, 0.600, 6, 33),
    'jpeg:80': (32_000, 0.626, 6, 41),
    'webp:30': (9_000, 0.610, 16, 45),
    'h264:33': (13_000, 0.605, 14, 44),
    'float16': (176_640, 0.632, 17, 42),
    'split:0': (1_150, 0.627, 18, 39),
    'split:3': (4_949, 0.633, 18, 40),
    'local': (0, 0.632, 41, 42),
    'auto': (4_949, 0.633, 18, 40),
}
FRAMES = 20


def make_row(way: str, link: str) -> dict[str, Any]:
    size, miou, edge_cpu, delay = WAYS[way]
    fits = link == 'unlimited' or size <= 12_500
    encoder = way.startswith(('split', 'float'))
    delays = [delay / 1e3 if fits else None] * FRAMES
    return {
        'link': link,
        'transport': way,
        'frames': FRAMES,
        'in_time': float(fits),
        'answered': float(fits),
        'bytes_app': size,
        'bytes_wire': size + 1000,
        'bytes_wire_back': 3000,
        'end_to_end_ms': dict.fromkeys(('p50', 'p95', 'p99'), delay if fits else None),
        'stages_ms': {'edge edge': 12.0, 'edge encode': 10.0, 'edge entropy': 1.0}
        | {'server tail': 20.0 if encoder else 28.0, 'server publish': 1.0},
        'edge_cpu_ms': edge_cpu,
        'server_cpu_ms': 40,
        'edge_rss_mb': 150,
        'server_rss_mb': 200,
        'miou': miou if fits else None,
        'map50': 0.5 if fits else None,
        'accuracy': 1.0 if fits else None,
        'streaming_miou': miou if fits else 0.2,
        'repeat': 0,
        'images': [[5 + i / 10, i, value, way, size] for i, value in enumerate(delays)],
    }


@pytest.fixture(scope='module')
def run() -> Run:
    measured = [make_row(way, link) for link in ('unlimited', '1') for way in WAYS]
    summary = {
        'machine': {'processor': 'A', 'cores': 2, 'kernel': '6', 'python': '3.11'},
        'settings': {'bundle': 'b 1', 'fingerprint': '0f', 'deadline_ms': 150.0, 'images': FRAMES},
        'uncompressed': {'miou': 0.632, 'map50': 0.5, 'accuracy': 1.0},
        'rows': [{**row, 'repeats': 1, 'spread': {}} for row in measured],
    }
    return make_run(summary, measured)


def test_pictures_are_drawn(run: Run) -> None:
    drawn = draw_all(run)
    assert set(drawn) == set(NAMES)
    for data in drawn.values():
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[1] > 600


def test_run_of_one_link_is_drawn(run: Run) -> None:
    """On loopback there is one link, and nothing counts what is on the wire."""
    measured = [{**row, 'bytes_wire': 0} for row in run.measured if row['link'] == 'unlimited']
    rows = [{**row, 'bytes_wire': 0} for row in run.rows if row['link'] == 'unlimited']
    alone = make_run({**run.summary, 'rows': rows}, measured)
    assert alone.rows[0]['bytes_wire'] == WAYS['raw'][0]
    assert set(draw_all(alone)) == set(NAMES)


def test_run_without_answers_in_time_is_drawn(run: Run) -> None:
    late = [{**row, 'in_time': 0.0, 'miou': None} for row in run.rows]
    assert set(draw_all(Run(run.summary, late, run.measured))) == set(NAMES)


def test_what_others_win_is_said(run: Run) -> None:
    found = losses(run.rows)
    assert [text.split(' ')[:2] for text in found].count(['no', 'limit,']) == 2
    assert any('soonest answer: `jpeg:30` 33 ms against `split:0` 39 ms' in text for text in found)
    assert any('for the edge: `raw` 4.0 ms of CPU' in text for text in found)
    # Over the slow link JPEG does not arrive, so it wins nothing there.
    assert not [text for text in found if text.startswith('1 Mbit/s') and 'jpeg' in text]


def test_local_wins_where_no_rate_arrives(run: Run) -> None:
    rows = [
        {**row, 'in_time': 0.5, 'streaming_miou': 0.4}
        if row['transport'].startswith('split')
        else row
        for row in run.rows
    ]
    found = [text for text in losses(rows) if text.startswith('1 Mbit/s')]
    assert '1 Mbit/s, accuracy at hand: `local` mIoU 0.632 against `split:0` mIoU 0.400' in found
    assert any(
        '`local` 42 ms, and no rate answers 95% of the images in time' in text for text in found
    )


def test_choice_names_the_cheapest_of_equals(run: Run) -> None:
    wide, slow = choices(run.rows)
    assert wide[0] == 'no limit'
    assert wide[1] == '`split:3` 100%, 0.633'  # more than 0.005 above rate 0
    assert slow[4] == '`webp:30` 100%, 0.610'
    rows = [{**row, 'streaming_miou': 0.63} for row in run.rows]
    assert choices(rows)[0][1] == '`split:0` 100%, 0.630'


def test_winners_are_in_time(run: Run) -> None:
    wide, slow = winners(run.rows)
    assert wide[2] == '`jpeg:30` 33 ms'
    assert slow[2] == '`split:0` 39 ms'
    assert slow[5] == '`split:0` 2.1 kB'


def test_stages_add_up_to_the_whole(run: Run) -> None:
    by_way = {row['transport']: row for row in run.rows if row['link'] == 'unlimited'}
    stack = stack_of(by_way['split:3'])
    assert sum(stack.values()) == pytest.approx(40)
    # a millisecond of the edge has no name: it is not the link's
    assert stack['between the nodes'] == pytest.approx(40 - 33)
    assert stack['all else'] == pytest.approx(1 + 1)
    assert outside_network(by_way['split:3']) == pytest.approx(0.25)
    # What the edge does to a picture is coding, not a network.
    assert stack_of(by_way['jpeg:80'])['coding'] == pytest.approx(11)
    assert 'network on the edge' not in stack_of(by_way['jpeg:80'])


def test_stages_are_held_against_the_totals_of_the_nodes(run: Run) -> None:
    row = next(row for row in run.rows if row['transport'] == 'split:3')
    assert unnamed_share(row) is None  # the server told no total
    times = {**row['stages_ms'], 'server server': 22.0}
    assert unnamed_share({**row, 'stages_ms': times}) == pytest.approx((1 + 1) / 40)
    # too long a stage is as wrong as one that is missing
    much = {**row, 'stages_ms': {**times, 'edge encode': 15.0}}
    assert unnamed_share(much) == pytest.approx((4 + 1) / 40)
    assert stack_of(much)['all else'] == pytest.approx(1 + 1)
    mixed = {**much, 'transport': 'auto', 'end_to_end_ms': dict.fromkeys(('p50', 'p95', 'p99'), 6)}
    told = blocks(Run(run.summary, [much, mixed], run.measured))['measured']
    assert 'its own whole differ by at most 12% of the median time' in told
    assert 'differ by' not in blocks(run)['measured']


def test_document_has_all_parts(run: Run) -> None:
    parts = blocks(run)
    text = (ROOT / 'docs/performance.md').read_text()
    assert tuple(parts) == PARTS
    filled = fill(text, COMMAND, parts)
    assert '| no limit | `split:3` 100%, 0.633 | `auto` 100%, 0.633 |' in filled
    assert fill(filled, COMMAND, parts) == filled


def test_run_is_read_from_its_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / 'cells').mkdir()
    (tmp_path / 'summary.json').write_text(json.dumps(run.summary))
    for number, row in enumerate(run.measured):
        # what is left of a run with another bundle does not belong to this one
        settings = run.summary['settings'] if number else {}
        cell = {'settings': settings, 'row': row}
        (tmp_path / f'cells/{number}.json').write_text(json.dumps(cell))
    found = read_run(tmp_path)
    assert found.rows == run.rows
    assert len(found.measured) == len(run.measured) - 1
    assert fps_of(found.measured) == 10
    assert delays_of(found.measured)[1.0, 'split:0'] == [39.0] * FRAMES
    with pytest.raises(DataError, match='run `mtl-split bench` first'):
        read_run(tmp_path / 'cells')


def test_ages_of_answers() -> None:
    images = [
        Shot(0.0, 0, 0.05, 'a'),
        Shot(0.1, 1, None, ''),
        Shot(0.2, 2, 0.15, 'a'),  # there when the next but one begins
        Shot(0.3, 3, None, ''),
    ]
    found = [(shot and shot.index, round(age)) for shot, age in answers_at_hand(images)]
    assert found == [(0, 100), (0, 200), (0, 300), (2, 200)]
    assert answers_at_hand([Shot(0.0, 0, None, ''), Shot(0.1, 1, None, '')])[1] == (None, 0.0)


def test_video_takes_the_best_of_each(run: Run) -> None:
    rows = choose_rows(run.measured)
    assert rows is not None
    assert [row['transport'] for row in rows] == ['split:3', 'jpeg:30']
    assert choose_rows([row for row in run.measured if row['link'] != '1']) is None


def test_names_keep_apart() -> None:
    places = spread([100, 100, 3, 99], 5, 0, 100)
    ordered = sorted(places)
    assert all(after - before >= 5 for before, after in pairwise(ordered))
    assert ordered[0] == 3
    assert ordered[-1] == 100
