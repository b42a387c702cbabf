# SPDX-License-Identifier: Apache-2.0
"""The experiments `loc-roc-sc` and `one-vs-three`: pieces, and what follows from them."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny_bundle import FEATURE_SHAPE, HEIGHT, WIDTH, street_image
from tests.tools.commands import fails
from tests.tools.test_eval import data

from mtl_split_core.bundle import Bundle
from mtl_split_tools.cli import main
from mtl_split_tools.experiments.one_vs_three_findings import best_reduction, sooner_from
from mtl_split_tools.experiments.pieces import (
    FLOAT32,
    JPEG,
    LOCAL,
    RAW,
    Piece,
    latency_ms,
    link_name,
    measure_pieces,
)
from mtl_split_tools.experiments.shaped_link import Check, check_on_link

__all__ = ['data']

PIECES = st.builds(
    Piece, *(st.floats(0, 1e6) for _ in range(3)), edge_spread_ms=st.just(0.0),
    server_spread_ms=st.just(0.0),
)  # fmt: skip


def test_latency_by_hand() -> None:
    piece = Piece(edge_ms=10, bytes=1000, server_ms=5)
    assert latency_ms([piece], 1.0) == pytest.approx(10 + 8 + 5)
    assert latency_ms([piece], 1.0, edge_factor=3) == pytest.approx(30 + 8 + 5)
    # Slow link: both wait for it. Fast link: the second waits for the edge.
    assert latency_ms([piece, piece], 0.1) == pytest.approx(10 + 80 + 80 + 5)
    assert latency_ms([piece, piece], 1000.0) == pytest.approx(10 + 10 + 0.008 + 5)
    slow_server = replace(piece, server_ms=50)
    assert latency_ms([slow_server, slow_server], 1.0) == pytest.approx(10 + 8 + 50 + 50)
    assert latency_ms([Piece(7, 0, 0)] * 3, 1.0) == pytest.approx(21)


@given(st.lists(PIECES, min_size=1, max_size=4), st.floats(0.01, 1000), st.floats(1, 100))
def test_latency_lies_between_the_busiest_part_and_everything_in_turn(
    pieces: list[Piece], mbit: float, factor: float
) -> None:
    found = latency_ms(pieces, mbit, factor)
    alone = [latency_ms([piece], mbit, factor) for piece in pieces]
    busiest = max(
        sum(piece.edge_ms for piece in pieces) * factor,
        sum(piece.bytes for piece in pieces) * 8 / (mbit * 1e3),
        sum(piece.server_ms for piece in pieces),
    )
    assert max(*alone, busiest) <= found * (1 + 1e-9) + 1e-9
    assert found <= sum(alone) * (1 + 1e-9) + 1e-9
    assert latency_ms(pieces, 2 * mbit, factor) <= found * (1 + 1e-9)
    assert latency_ms(pieces, mbit, 1.0) <= found * (1 + 1e-9)


def test_names_of_links() -> None:
    assert [link_name(mbit) for mbit in (0.0375, 1.0, 10.0, 1000.0)] == [
        '37.5 kbit/s', '1 Mbit/s', '10 Mbit/s', '1 Gbit/s',
    ]  # fmt: skip


def test_pieces_have_the_bytes_that_travel(tiny_bundle: Bundle) -> None:
    found = measure_pieces(tiny_bundle, [street_image(WIDTH, HEIGHT)], rounds=2)
    assert found[LOCAL].bytes == found[LOCAL].server_ms == 0
    assert found[RAW].bytes == WIDTH * HEIGHT * 3
    assert found[FLOAT32].bytes == 4 * np.prod(FEATURE_SHAPE)
    assert 0 < found['split:0'].bytes < found['split:1'].bytes < found[FLOAT32].bytes
    assert 0 < found[JPEG].bytes < found[RAW].bytes
    assert all(piece.edge_ms > 0 for piece in found.values())
    assert all(piece.server_ms > 0 for way, piece in found.items() if way != LOCAL)


def test_what_one_network_saves_by_hand() -> None:
    def of(*latencies: float) -> dict[str, dict[str, float]]:
        return {'latency_ms': dict(zip(('slow', 'fast'), latencies, strict=True))}

    found = {
        'one, local': of(1, 1), '3, local': of(100, 100),
        'one, split, rate 0': of(80, 40), '3, split, rate 0': of(200, 50),
        'one, split, rate 3': of(400, 60), '3, split, rate 3': of(500, 200),
    }  # fmt: skip
    assert best_reduction(found, 'latency_ms', 'local') == (pytest.approx(0.6), 'fast')
    assert best_reduction(found, 'latency_ms', 'split') == (pytest.approx(0.7), 'fast')
    assert sooner_from(found, 'latency_ms', '3, local') == 'on every link'
    found['3, local'] = of(79, 41)
    assert sooner_from(found, 'latency_ms', '3, local') == 'from fast on'
    found['3, local'] = of(1, 1)
    assert sooner_from(found, 'latency_ms', '3, local') == 'on no link'


def test_placements_by_hand() -> None:
    pytest.importorskip('torch', reason='needs the train extra')
    from mtl_split_tools.experiments.one_vs_three import placements  # noqa: PLC0415

    def network(edge_ms: float) -> dict[str, object]:
        piece = asdict(Piece(edge_ms, 1000, 5, edge_spread_ms=3))
        pieces = {'local': asdict(Piece(20, 0, 0)), 'split:0': piece, 'split:2': piece}
        return {'encoder_mb': 1.0, 'tail_mb': 3.0, 'pieces': pieces}

    singles = {name: network(10) for name in ('detection', 'segmentation')}
    found = placements({**network(12), 'default_rate': 2, 'singles': singles})
    assert list(found) == [
        'one, local', '2, local', 'one, split, rate 0', '2, split, rate 0',
        'one, split, rate 2', '2, split, rate 2',
    ]  # fmt: skip
    two = found['2, split, rate 2']
    assert (two['edge_mb'], two['edge_ms'], two['bytes'], two['server_ms']) == (2, 20, 2000, 10)
    assert two['edge_spread_ms'] == pytest.approx(3 * 2**0.5)
    assert two['latency_ms']['1 Mbit/s'] == pytest.approx(10 + 10 + 8 + 5)
    assert two['slow_edge_ms']['1 Mbit/s'] == pytest.approx(80 + 80 + 8 + 5)
    assert found['one, split, rate 0']['latency_ms']['1 Mbit/s'] == pytest.approx(12 + 8 + 5)
    assert (found['2, local']['edge_mb'], found['2, local']['latency_ms']['1 Mbit/s']) == (8, 40)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_vs_three(
    data: Path, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('torch', reason='needs the train extra')
    arguments = ['experiment', 'one-vs-three', '--size', 'smoke', '--data', str(data)]
    arguments += ['--bundle', str(tiny_bundle.path), '--out', str(tmp_path)]
    assert main(arguments) == 0
    cells = json.loads((tmp_path / 'results.json').read_text())['cells']
    shipped, tiny = cells['camvid']['result'], cells['tiny']['result']
    for single in shipped['singles'].values():
        same, tensors = single['shared_tensors']
        assert same == tensors > 0
        assert single['tail_mb'] < shipped['tail_mb']
        assert single['encoder_mb'] == shipped['encoder_mb']
    assert {single['shared_tensors'] for single in tiny['singles'].values()} == {None}
    for result in (shipped, tiny):
        for name, found in result['placements'].items():
            if name.startswith('3, split'):
                one = result['placements'][name.replace('3', 'one', 1)]
                assert found['bytes'] == 3 * one['bytes'] > 0
                assert found['edge_ms'] > one['edge_ms']
        assert result['memory_mb']['split'] < result['memory_mb']['local']
    assert cv2.imread(str(tmp_path / 'plots/one-vs-three.png')) is not None
    table = (tmp_path / 'table.md').read_text()
    assert f'| camvid | 3, split, rate {shipped["default_rate"]} | slow |' in table
    assert '- camvid, edge as measured, one split network: up to ' in table
    capsys.readouterr()
    assert 'is a bundle tiny already' in fails(
        capsys, *arguments, '--bundle', str(tiny_bundle.path)
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_loc_roc_sc(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip('torch', reason='needs the train extra')
    from mtl_split_tools.experiments import loc_roc_sc, shaped_link  # noqa: PLC0415

    for module in (loc_roc_sc, shaped_link):  # The nodes have a test of their own.
        monkeypatch.setattr(module, 'why_not', lambda: 'no rights here')
    arguments = ['experiment', 'loc-roc-sc', '--size', 'smoke', '--data', str(data)]
    assert main([*arguments, '--out', str(tmp_path)]) == 0
    cells = json.loads((tmp_path / 'results.json').read_text())['cells']
    published, shipped = (cells[name]['result'] for name in ('mobilenet_v3_small', 'camvid'))
    assert (published['weights'], shipped['weights']) == ('random', 'trained')
    assert published['feature_shape'] == [576, 2, 2]
    assert published['pieces'][FLOAT32]['bytes'] == 4 * 576 * 2 * 2
    assert published['pieces'][RAW]['bytes'] == 64 * 64 * 3
    assert not [way for way in published['pieces'] if way.startswith('split:')]
    assert [way for way in shipped['pieces'] if way.startswith('split:')]
    for result in (published, shipped):
        assert 0 < result['memory_mb']['split'] < result['memory_mb']['local']
        times = result['latency_ms']['edge 1 times slower'][FLOAT32]
        piece = Piece(**result['pieces'][FLOAT32])
        assert times['1 Mbit/s'] == pytest.approx(
            piece.edge_ms + piece.bytes * 8 / 1e3 + piece.server_ms
        )
    assert cells['shaped-link']['result'] == {'skipped': 'no rights here', 'rows': []}
    table = (tmp_path / 'table.md').read_text()
    assert '- The check against real nodes was skipped: no rights here.' in table
    assert (
        '- Backbones of the paper, float32 Z_b against the raw picture: fewer bytes for all'
        in table
    )
    assert '| mobilenet_v3_small | remote-only, raw | none |' in table
    for name in ('loc-roc-sc', 'loc-roc-sc-slow-edge', 'loc-roc-sc-memory'):
        assert cv2.imread(str(tmp_path / f'plots/{name}.png')) is not None
    capsys.readouterr()


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures('lab_rights')
def test_a_computed_latency_is_held_against_real_nodes(tiny_bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip('rclpy', reason='needs ROS 2')
    pieces = {'split:1': Piece(1.0, 500.0, 1.0)}
    found = check_on_link(tiny_bundle, pieces, [Check('split:1', 0.5)], 2, tmp_path)
    (row,) = found['rows']
    assert found['skipped'] == ''
    assert (row['pictures'], row['answered']) == (2, 2)
    assert row['computed_ms'] == pytest.approx(1 + 500 * 8 / 500 + 1)
    assert row['measured_ms'] > 0
    assert min(row['wire_up_bytes'], row['wire_down_bytes']) > 0
    assert row['deviation'] == pytest.approx(row['measured_ms'] / row['computed_ms'] - 1)
