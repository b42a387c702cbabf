# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench-link`: what it makes of what camera, edge and consumer wrote down."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.made_profile import made_profile
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import DataError
from mtl_split_core.profile import Mode, machine_name, profile_path, save_profile
from mtl_split_edge.fates import Outcome
from mtl_split_tools.lab import Answer, FrameFate, Published
from mtl_split_tools.link_bench.command import profile_of_this_machine
from mtl_split_tools.link_bench.frames import Frame, Measured, count_disorder, match_frames
from mtl_split_tools.link_bench.judge import Judge, kept_answers
from mtl_split_tools.link_bench.plan import (
    CUT,
    FAST,
    SLOW_UP,
    Cell,
    edge_settings,
    make_plan,
    trace_steps,
)
from mtl_split_tools.link_bench.plot import draw_delays, draw_links, draw_trace
from mtl_split_tools.link_bench.rows import (
    compare_traces,
    cut_figures,
    judge_goals,
    judge_trace,
    link_figures,
    make_row,
)
from mtl_split_tools.link_bench.session import Session
from mtl_split_tools.link_bench.tables import comma_separated, markdown
from mtl_split_tools.simulation.trace import Trace

DEADLINE_S = 0.15
PNG = b'\x89PNG'


@pytest.fixture(scope='module')
def bundle(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp('bench') / 'tiny'
    shutil.copytree(tiny_bundle.path, path)
    bundle = load_bundle(path)
    made = made_profile(bundle.fingerprint, 12.0, 2)
    # what this small bundle really sends, and local answers only where need be
    points = [
        replace(point, bytes_mean=210, bytes_p95=390, bytes_max=400)
        if point.mode is Mode.SPLIT
        else replace(point, miou=0.3, map50=0.3)
        for point in made.points
        if point.mode is not Mode.REMOTE
    ]
    save_profile(replace(made, points=tuple(points)), profile_path(bundle, machine_name()))
    return bundle


@pytest.fixture(scope='module')
def judge(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    return Judge(bundle, tmp_path_factory.mktemp('answers'))


def server(at: float, index: int, delay_s: float | None, way: str = 'split:0') -> Frame:
    outcome = Outcome.MISSED if delay_s is None else Outcome.ANSWERED_BY_SERVER
    return Frame(at, index, delay_s, way, outcome, 'best in time', 1000)


def edge(at: float, index: int, delay_s: float) -> Frame:
    return Frame(at, index, delay_s, 'local', Outcome.ANSWERED_BY_EDGE, 'link', 0)


def measured(frames: Sequence[Frame], way: str = 'auto', **more: object) -> Measured:
    values = {'link': '1', 'way': way, 'before': (), 'begin': 10.0, 'bytes_up': 4000, **more}
    figures = {'bytes_down': 2000, 'edge_cpu_s': 0.1, 'server_cpu_s': 0.2}
    memory = {'edge_rss_mb': 100.0, 'server_rss_mb': 200.0}
    return Measured(frames=frames, **values, **figures, **memory)  # type: ignore[arg-type]


def test_every_cell_of_a_plan_can_be_set(bundle: Bundle) -> None:
    short, whole = make_plan(bundle, quick=True), make_plan(bundle, quick=False)
    assert {cell.condition for cell in short} == {cell.condition for cell in whole}
    for cell in whole:
        assert edge_settings(cell.way, bundle)
    assert edge_settings('split:1', bundle) == {'mode': 'split', 'rate': 1}
    assert edge_settings('webp:10', bundle) == {'mode': 'remote', 'picture': 'webp:10'}
    for way in ('split:2', 'split', 'jpeg:11', 'raw'):
        with pytest.raises(DataError, match='no way of a frame: there are split:0 to split:1'):
            edge_settings(way, bundle)


def test_trace_is_played_in_steps_that_the_link_can_follow() -> None:
    slow = Trace.steps('slow', [0.0, 2.0, 3.0], [1.0, 0.0, 5.0], 4.0)
    assert trace_steps(slow) == [(0.0, 1.0), (2.0, 0.0), (3.0, 5.0)]
    fine = Trace.steps('fine', np.arange(0, 2, 0.1).tolist(), [1.0, 3.0] * 10, 2.0)
    steps = trace_steps(fine)
    assert [at for at, _ in steps] == pytest.approx(np.arange(0, 2, 0.25))
    assert np.mean([mbit for _, mbit in steps]) == pytest.approx(2.0)


def test_frame_is_answered_when_it_has_every_result() -> None:
    published = [Published((number, 0), number / 10, number, True) for number in range(3)]
    boxes = [Answer((0, 0), 0.05), Answer((1, 0), 0.14)]
    classes = [Answer((0, 0), 0.07), Answer((1, 0), 0.12), Answer((1, 0), 0.13)]
    fates = [FrameFate((0, 0), 0.08, 2, 'auto', 'split:0', 'best in time', 900, 50.0, 60.0)]
    first, second, third = match_frames(published, [boxes, classes], fates)
    assert first == Frame(0.0, 0, 0.07, 'split:0', Outcome.ANSWERED_BY_SERVER, 'best in time', 900)
    assert second.delay_s == pytest.approx(0.04)
    assert (second.outcome, second.way) == (None, '')
    assert third.delay_s is None
    assert count_disorder(published, [boxes, classes]) == (1, 0)
    assert count_disorder(published, [boxes[::-1]]) == (0, 1)


def test_consumer_keeps_the_latest_answer() -> None:
    frames = [server(10.0, 5, 0.2), server(10.1, 6, None), edge(10.2, 7, 0.05)]
    # the late answer to 5 is there when the time of 6 is over
    assert list(kept_answers(frames, DEADLINE_S)) == [
        (None, 5),
        ((5, 'split:0'), 6),
        ((7, 'local'), 7),
    ]
    before = [server(9.9, 4, 0.04)]
    assert next(iter(kept_answers(frames, DEADLINE_S, before))) == ((4, 'split:0'), 5)


def test_row(judge: Judge, bundle: Bundle) -> None:
    frames = [server(10.0, 0, 0.04), edge(10.1, 1, 0.06), server(10.2, 2, None)]
    frames += [server(10.3, 3, 0.3)]
    row = make_row(measured(frames), judge, DEADLINE_S)
    assert (row['in_time'], row['answered'], row['by_edge']) == (0.5, 0.75, 0.25)
    assert row['ways'] == {'split:0': 1, 'local': 1}
    assert row['not_answered'] == {'missed': 1}
    assert (row['bytes_app'], row['bytes_wire'], row['bytes_wire_back']) == (750, 1000, 500)
    assert row['end_to_end_ms']['p50'] == pytest.approx(60.0)
    assert (row['edge_cpu_ms'], row['server_cpu_ms']) == (pytest.approx(25), pytest.approx(50))
    for key in ('miou', 'map50', 'accuracy', 'streaming_miou'):
        assert 0 <= row[key] <= 1
    # from the files of before
    again = Judge(bundle, judge._results._folder)
    again._results._encode = None  # type: ignore[assignment]
    assert make_row(measured(frames), again, DEADLINE_S) == row
    nothing = make_row(measured([server(10.0, 0, None)]), judge, DEADLINE_S)
    assert nothing['miou'] is nothing['end_to_end_ms']['p95'] is None
    assert nothing['streaming_miou'] == 0.0


def test_cut() -> None:
    frames = [server(10.0, 0, None), server(10.1, 1, None), edge(10.2, 2, 0.05)]
    after = [edge(12.0, 3, 0.05), server(12.1, 4, 0.04)]
    before = [server(9.9, 9, 0.04)]
    found = cut_figures(measured(frames, before=before, restored=12.0, after=after), DEADLINE_S)
    assert found['fallback_ms'] == pytest.approx(100)
    assert found['gap_ms'] == pytest.approx(310)
    assert found['return_ms'] == pytest.approx(140)
    assert found['missed_later'] == 0
    # one that is missed once the edge answers is not the cut's
    again = [*frames, edge(10.3, 3, 0.05), server(10.4, 4, None)]
    assert cut_figures(measured(again), DEADLINE_S)['missed_later'] == 1
    silent = cut_figures(measured(frames[:2], 'split:0'), DEADLINE_S)
    assert silent['fallback_ms'] is silent['return_ms'] is None
    assert link_figures(CUT, measured(frames), DEADLINE_S)['link_mbit'] == 0
    assert link_figures(SLOW_UP, measured(frames), DEADLINE_S) == {
        'link_mbit': 0.3,
        'link_down_mbit': 10.0,
    }


def test_goals_and_traces() -> None:
    uncompressed = {'miou': 0.58, 'map50': 0.54, 'accuracy': 1.0}
    row = {'link': '1', 'transport': 'auto', 'in_time': 0.99, **uncompressed, 'map50': 0.525}
    (goal,) = judge_goals([row, {**row, 'transport': 'split:0'}], uncompressed)
    assert goal['points_lost'] == pytest.approx(1.5)
    assert goal['met']
    (missed,) = judge_goals([{**row, 'in_time': 0.97}], uncompressed)
    assert not missed['met']
    fixed = [
        {**row, 'transport': 'split:0', 'in_time': 0.95},
        {**row, 'transport': 'jpeg:10', 'in_time': 1.0, 'miou': 0.5},
    ]
    found = compare_traces([row, *fixed])
    assert found
    assert found['best_fixed'] == 'split:0'
    assert found['fewer_misses'] == pytest.approx(0.8)
    assert compare_traces([row, fixed[1]]) is None
    assert judge_trace('steps', found)['met']
    assert not judge_trace('steps', {**found, 'fewer_misses': 0.19})['met']
    nothing = {**found, 'fewer_misses': None}
    assert not judge_trace('steps', nothing)['met']
    assert judge_trace('steps', {**nothing, 'misses': 0.0})['met']


@pytest.mark.parametrize(
    ('fallback', 'later', 'met'), [(87, 0, True), (200, 0, True), (201, 0, False), (87, 1, False)]
)
def test_the_cut_is_a_goal_too(fallback: float, later: int, met: bool) -> None:
    row = {'link': 'cut', 'transport': 'auto', 'fallback_ms': fallback, 'missed_later': later}
    (goal,) = judge_goals([row, {**row, 'transport': 'split:3'}], {})
    assert goal['met'] is met
    assert f'after {fallback} ms' in goal['text']
    (silent,) = judge_goals([{**row, 'fallback_ms': None}], {})
    assert not silent['met']


def test_tables_and_plots(judge: Judge) -> None:
    frames = [server(10 + number / 15, number, 0.04) for number in range(20)]
    frames += [edge(12.0, 20, 0.03), Frame(12.1, 21, None, '', Outcome.DROPPED, 'paced')]
    ones = [measured(frames), measured(frames, 'jpeg:80')]
    rows = [make_row(one, judge, DEADLINE_S) for one in ones]
    lines = markdown(rows).splitlines()
    assert len({line.count('|') for line in lines}) == 1
    assert '| 1 | jpeg:80 | 95.5% | 4.5% |' in lines[3]
    header, first, _ = comma_separated(rows).splitlines()
    assert 'end_to_end_ms.p95' in header
    assert first.startswith('1,auto,22,')
    assert draw_links(rows, DEADLINE_S, 'links').startswith(PNG)
    assert draw_delays(ones, DEADLINE_S, 'delays').startswith(PNG)
    trace = Trace.steps('steps', [0.0, 1.0], [1.0, 0.0], 3.0)
    by_way = {row['transport']: row for row in rows}
    assert draw_trace(trace, ones, by_way, DEADLINE_S).startswith(PNG)


def test_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert '--laps 0 is not from 1 to 100' in fails(capsys, 'bench-link', '--laps', 0)
    assert '--deadline 0 is not' in fails(capsys, 'bench-link', '--deadline', 0)
    assert 'no such file, shipped are' in fails(capsys, 'bench-link', '--trace', 'nowhere')


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.usefixtures('lab_rights')
def test_real_nodes_over_a_real_link(bundle: Bundle, judge: Judge, tmp_path: Path) -> None:
    assert profile_of_this_machine(bundle).machine == 'made-up'
    with Session(bundle, tmp_path, 0.25) as session:
        fast = session.measure(Cell(FAST, 'split:1'), 15)
        cut = session.measure(Cell(CUT, 'auto'), 60)
    row = make_row(fast, judge, 1.0)
    assert row['frames'] == 15
    assert row['in_time'] >= 0.8
    assert set(row['ways']) == {'split:1'}
    assert 0 < row['bytes_app'] < row['bytes_wire']
    assert {'edge encode', 'server tail'} <= set(row['stages_ms'])
    assert row['server_cpu_ms'] > 0
    found = make_row(cut, judge, 1.0)
    assert found['by_edge'] > 0.3
    assert link_figures(CUT, cut, 1.0)['return_ms'] is not None
