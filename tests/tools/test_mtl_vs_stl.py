# SPDX-License-Identifier: Apache-2.0
"""The experiment `mtl-vs-stl`: its cells, its verdicts, and a whole run that takes seconds."""

import json
from pathlib import Path

import cv2
import pytest
from tests.tools.commands import fails

pytest.importorskip('torch', reason='needs the train extra')

from mtl_split_tools.cli import main
from mtl_split_tools.experiments import mtl_vs_stl
from mtl_split_tools.experiments.claims import Verdict
from mtl_split_tools.experiments.frame import Cell, Size
from mtl_split_tools.experiments.mtl_vs_stl_report import CAMVID, gather, judge_parts, report

ROOT = Path(__file__).parents[2]


def cell(network: str, tasks: list[str], seed: int) -> Cell:
    settings = {'tasks': tasks, 'together': len(tasks) > 1, 'seed': seed}
    if network != CAMVID:
        settings['backbone'] = network
    return Cell(f'{network}-{"-".join(tasks)}-{seed}', settings)


def test_gains_are_taken_seed_by_seed() -> None:
    runs = {
        'a': (('x', 0.50, 0.75), ('y', 0.75, 0.50)),
        'b': (('x', 0.25, 0.50), ('y', 0.50, 0.75)),
    }
    cells, results = [], {}
    for seed, rows in enumerate(runs.values()):
        both = cell('net', ['x', 'y'], seed)
        results[both.key] = {'test': {task: mtl for task, _, mtl in rows}}
        cells.append(both)
        for task, stl, _ in rows:
            alone = cell('net', [task], seed)
            results[alone.key] = {'test': {task: stl}, 'chance': {task: 0.2}}
            cells.append(alone)
    x, y = gather(cells, results)
    assert (x.gains, x.verdict) == ([25.0, 25.0], 'MTL in every seed')
    assert (y.gains, y.verdict) == ([-25.0, 25.0], 'seeds differ')
    rows = report([x, y]).rows
    assert rows[0][-6:] == (
        '0.375 (0.250 to 0.500)', '0.625 (0.500 to 0.750)', '+25.0 (+25.0 to +25.0)',
        'MTL in every seed', '-', '-',
    )  # fmt: skip
    why = {'Shapes': 'short', 'CamVid': 'other'}
    (claim,) = judge_parts([x, y], why)
    assert (claim.verdict, claim.why) == (Verdict.PARTLY, 'short')
    assert claim.ours == (
        'Shapes, MTL - STL in points: net x +25.0 (+25.0 to +25.0); net y +0.0 (-25.0 to +25.0). '
        'Better in every seed in 1 of 2, worse in 0'
    )
    assert judge_parts([x], why)[0].verdict is Verdict.HOLDS
    assert judge_parts([y], why)[0].verdict is Verdict.FAILS


def test_figures_of_val_stand_beside_those_of_test() -> None:
    both, alone = cell('net', ['x', 'y'], 0), cell('net', ['x'], 0)
    results = {
        both.key: {'test': {'x': 0.5, 'y': 0.5}, 'val': {'x': 0.75, 'y': 0.25}},
        alone.key: {'test': {'x': 0.5}, 'val': {'x': 0.625}},
    }
    never = cell('net', ['y'], 0)  # of a run that was stopped
    rows = report(gather([both, alone, never], results)).rows
    assert [row[-2:] for row in rows] == [('0.625', '0.750'), ('-', '0.250')]


def test_camvid_comes_last_and_an_unfinished_pair_says_nothing() -> None:
    cells = [cell(CAMVID, ['miou'], 0), cell('net', ['x'], 0)]
    results = {each.key: {'test': dict.fromkeys(each.settings['tasks'], 0.5)} for each in cells}
    net, camvid = gather(cells, results)
    assert (net.network, camvid.network, camvid.task) == ('net', CAMVID, 'mIoU')
    assert net.verdict == '-'


def test_cells_are_each_task_alone_and_all_together() -> None:
    experiment = mtl_vs_stl.Experiment(Size.SMALL, 4, 'somewhere')
    cells = experiment.cells()
    assert len({each.key for each in cells}) == len(cells)
    assert {each.settings['seed'] for each in cells} == {4, 5, 6}
    mine = [c for c in cells if c.settings.get('backbone') == 'resnet18' and c.key.endswith('-4')]
    assert [each.settings['tasks'] for each in mine] == [['scale'], ['shape'], ['scale', 'shape']]
    assert [each.settings['together'] for each in mine] == [False, False, True]
    camvid = [c.settings['row'] for c in cells if c.key.startswith('camvid') and c.key[-1] == '4']
    assert camvid == ['joint', 'segmentation', 'detection', 'classification']


def test_without_camvid_the_shapes_remain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = mtl_vs_stl.Experiment(Size.SMALL, 0, None)
    assert all(each.settings['part'] == 'shapes' for each in experiment.cells())
    assert 'CamVid: not run, data/camvid does not exist' in experiment.notes[-1]


def test_a_run_of_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ['experiment', 'mtl-vs-stl', '--size', 'smoke', '--out', str(tmp_path)]
    assert main(arguments) == 0
    assert 'camvid-joint-0: measured' in capsys.readouterr().out
    document = json.loads((tmp_path / 'results.json').read_text())
    assert document['seeds'] == [0]
    assert len(document['cells']) == 3 + 4
    both = document['cells']['mobilenet_v3_small-scale-shape-0']['result']
    assert set(both['test']) == set(both['val']) == {'scale', 'shape'}
    assert both['chance'] == {'scale': 1 / 8, 'shape': 1 / 4}
    assert len(both['loss']) == 1
    alone = document['cells']['mobilenet_v3_small-shape-0']['result']
    assert alone['edge_parameters'] == both['edge_parameters']
    assert alone['server_parameters'] < both['server_parameters']
    for row, found in (('segmentation', 'miou'), ('detection', 'map50')):
        assert set(document['cells'][f'camvid-{row}-0']['result']['test']) == {found}
    claims = document['claims']
    assert [claim['claim'] for claim in claims] == [claims[0]['claim']] * 2
    assert {claim['verdict'] for claim in claims} == {Verdict.OPEN}  # one seed
    table = (tmp_path / 'table.md').read_text()
    assert f'| {claims[1]["ours"]} | {claims[1]["verdict"]} |' in table
    assert '| mobilenet_v3_small | scale | 0.125 | 1 |' in table
    assert table.index('| mobilenet') < table.index('| camvid | mIoU |')
    assert cv2.imread(str(tmp_path / 'plots/mtl-vs-stl.png')) is not None

    assert main(arguments) == 0
    assert 'camvid-joint-0: kept from before' in capsys.readouterr().out


def test_a_damaged_budget_names_its_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'mtl-vs-stl.yaml'
    text = (ROOT / 'experiments/mtl-vs-stl.yaml').read_text()
    path.write_text(text.replace('seeds: 1', 'sedes: 1', 1))
    monkeypatch.setattr(mtl_vs_stl, 'config_path', lambda _: path)
    line = fails(capsys, 'experiment', 'mtl-vs-stl', '--size', 'smoke')
    assert 'smoke.sedes is not known' in line
