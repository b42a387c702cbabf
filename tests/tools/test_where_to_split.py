# SPDX-License-Identifier: Apache-2.0
"""The experiment `where-to-split`: which cut it chooses, what it claims, and a run of seconds."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.tools.test_eval import data

pytest.importorskip('torch', reason='needs the train extra')

from mtl_split_tools.cli import main
from mtl_split_tools.experiments import where_to_split
from mtl_split_tools.experiments.claims import Verdict
from mtl_split_tools.experiments.frame import Size
from mtl_split_tools.experiments.where_to_split_choice import (
    first_below,
    keeping,
    least,
    rival,
    useful,
)
from mtl_split_tools.experiments.where_to_split_plot import draw_backbones, draw_curves
from mtl_split_tools.experiments.where_to_split_report import describe, judge_place, report

__all__ = ['data']

ROOT = Path(__file__).parents[2]
UNCODED = {'x': 0.75, 'y': 0.75}


def way(coarseness: int, size: float, accuracy: float, *, enough: bool = True) -> dict[str, Any]:
    both = {'x': accuracy - 0.125, 'y': accuracy + 0.125}
    return {'coarseness': coarseness, 'bytes': size, 'accuracy': both, 'enough': enough}


def backbone(*cuts: list[dict[str, Any]]) -> dict[str, Any]:
    stages = [
        {
            'stage': n, 'layer': 'Conv', 'parameters': 1000 * n, 'shape': [2, 3, 4],
            'raw_bytes': 96, 'edge_ms': float(n), 'answered_shape': [2, 1, 1], 'coded': ways,
        }
        for n, ways in enumerate(cuts, 1)
    ]  # fmt: skip
    return {
        'side': 64, 'picture_bytes': 900, 'chance': {'x': 0.25, 'y': 0.25}, 'uncoded': UNCODED,
        'jpeg': [way(95, 400.0, 0.75), way(80, 300.0, 0.5), way(10, 100.0, 0.5)],
        'cuts': stages,
    }  # fmt: skip


EARLY = backbone(
    [way(8, 800.0, 0.75), way(4, 400.0, 0.75)],
    [way(8, 500.0, 0.75), way(4, 250.0, 0.7)],  # 4 bits are too coarse here
    [way(8, 299.0, 0.7401), way(4, 150.0, 0.739)],
    [way(8, 100.0, 0.75), way(4, 50.0, 0.75, enough=False)],
    [way(8, 200.0, 0.75), way(4, 100.0, 0.75)],
)


def test_the_least_way_is_the_smallest_that_keeps_the_answers() -> None:
    found = [least(cut['coded'], UNCODED) for cut in EARLY['cuts']]
    assert [(w['coarseness'], w['bytes']) for w in found if w] == [
        (4, 400.0), (8, 500.0), (8, 299.0), (8, 100.0), (4, 100.0),
    ]  # fmt: skip
    assert least([way(2, 1.0, 0.5)], UNCODED) is None
    assert rival(EARLY)['bytes'] == 300.0


def test_the_first_cut_below_the_jpeg_is_where_to_cut() -> None:
    found = first_below(EARLY)
    assert found is not None
    assert (found[0]['stage'], found[1]['coarseness']) == (3, 8)
    nowhere = backbone([way(8, 100.0, 0.5)], [way(8, 500.0, 0.75)])
    assert first_below(nowhere) is None
    assert [cut['stage'] for cut, _ in keeping(nowhere)] == [2]


def test_useful_cuts_send_less_than_all_before() -> None:
    assert [cut['stage'] for cut, _ in useful(EARLY)] == [1, 3, 4]


def test_words_and_table_say_where_to_cut() -> None:
    text = describe('net', EARLY)
    assert text == (
        'net: uncoded x 0.750, y 0.750, mean 0.750 (guessing 0.250); cut after stage 3, 299 B in '
        '8 bits, 3.0 ms on the edge: the first below JPEG 80, 300 B; after the last stage, where '
        'MTL-Split cuts, 100 B in 4 bits, 5.0 ms on the edge.'
    )
    deaf = backbone([way(8, 100.0, 0.5)])
    assert 'no cut sends less than JPEG 80, 300 B' in describe('net', deaf)
    assert 'no coding keeps the answers' in describe('net', deaf)
    table = report({'net': EARLY}, [8, 4], ['x', 'y'])
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert table.rows[0][:3] == ('net', 'picture', 'JPEG 95')
    assert table.rows[0][9:] == ('400 B, 0.750 (0.625, 0.875)', '', 'yes')
    assert table.rows[1][-1] == '-'
    assert table.rows[6][9:] == (
        '100 B, 0.750 (0.625, 0.875)', '> 50 B, 0.750 (0.625, 0.875)', '8 bits, 100 B',
    )  # fmt: skip


def test_the_claim_holds_where_the_last_cut_is_the_smallest() -> None:
    last = backbone([way(8, 200.0, 0.75)], [way(8, 100.0, 0.75)])
    wide = backbone([way(8, 100.0, 0.75)], [way(8, 250.0, 0.75)])
    deaf = backbone([way(8, 100.0, 0.75)], [way(8, 50.0, 0.5)])
    (both,) = judge_place({'a': last, 'b': wide})
    assert both.verdict is Verdict.PARTLY
    assert 'Z_b there is 1.0 (a), 2.5 (b) times' in both.ours
    assert judge_place({'a': last})[0].verdict is Verdict.HOLDS
    (fails,) = judge_place({'c': deaf})
    assert fails.verdict is Verdict.FAILS
    assert 'more than any (c)' in fails.ours
    assert judge_place({'d': backbone([way(8, 1.0, 0.1)])}) == []


def test_the_picture_is_drawn_with_and_without_a_place_to_cut() -> None:
    nowhere = backbone([way(8, 500.0, 0.75)], [way(8, 400.0, 0.5)])
    results = {'early': EARLY, 'nowhere': nowhere, 'deaf': backbone([way(8, 9, 0)])}
    for found in (draw_backbones(results), draw_curves(results)):
        assert cv2.imdecode(np.frombuffer(found, np.uint8), cv2.IMREAD_COLOR) is not None


def test_a_run_of_seconds(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = replace(where_to_split.EXTENTS[Size.SMOKE], height=32, width=64)
    monkeypatch.setitem(where_to_split.EXTENTS, Size.SMOKE, tiny)
    text = (ROOT / 'experiments/where-to-split.yaml').read_text()
    one = text.replace('    - {backbone: mobilenet_v3_small, pictures: 16,', '    # {', 1)
    assert one != text
    (tmp_path / 'one.yaml').write_text(one)
    monkeypatch.setattr(where_to_split, 'config_path', lambda _: tmp_path / 'one.yaml')
    arguments = ['experiment', 'where-to-split', '--size', 'smoke', '--data', str(data)]
    arguments += ['--out', str(tmp_path), '--seed', '3']
    assert main(arguments) == 0
    assert 'resnet18: measured' in capsys.readouterr().out
    document = json.loads((tmp_path / 'results.json').read_text())
    assert document['seeds'] == [3]
    assert any('One training for each backbone' in note for note in document['notes'])
    result = document['cells']['resnet18']['result']
    assert set(result['uncoded']) == {'scale', 'shape'}
    shapes = [cut['shape'] for cut in result['cuts']]
    assert shapes == [[64, 8, 16], [64, 8, 16], [128, 4, 8], [256, 2, 4], [512, 1, 2]]
    for cut in result['cuts']:
        assert cut['raw_bytes'] == 4 * np.prod(cut['shape'])
        assert cut['edge_ms'] > 0
        eight, two = cut['coded']
        assert (eight['coarseness'], two['coarseness']) == (8, 2)
        assert 0 < two['bytes'] < eight['bytes'] <= np.prod(cut['answered_shape'])
        assert set(eight['accuracy']) == {'scale', 'shape'}
    assert result['cuts'][-1]['parameters'] == 11_176_512
    assert result['cuts'][-1]['answered_shape'] == [512, 1, 1]
    assert (tmp_path / 'runs/resnet18.pt').is_file()
    table = (tmp_path / 'table.md').read_text()
    assert '| resnet18 | 5 | Sequential | 512x1x2 | 4.1 kB |' in table
    for name in ('where-to-split', 'where-to-split-curves'):
        assert cv2.imread(str(tmp_path / f'plots/{name}.png')) is not None

    assert main(arguments) == 0
    assert 'resnet18: kept from before' in capsys.readouterr().out
