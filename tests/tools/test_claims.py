# SPDX-License-Identifier: Apache-2.0
"""Verdicts over claims of the papers: rules by hand, and where they stand in what is written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mtl_split_tools.experiments.claims import LADON, Claim, Verdict, judge
from mtl_split_tools.experiments.frame import Cell, Result, Size, Table, write_results
from mtl_split_tools.experiments.loc_roc_sc_findings import judge_ways
from mtl_split_tools.experiments.one_vs_three_findings import judge_headlines
from mtl_split_tools.experiments.pieces import FLOAT32, JPEG, LOCAL, RAW, Piece


class Judged:
    """An experiment of one cell that says something to a claim."""

    notes = ('A note.',)

    def cells(self) -> Sequence[Cell]:
        return [Cell('one', {'seed': 0})]

    def measure(self, cell: Cell, folder: Path) -> Result:  # noqa: ARG002
        raise AssertionError  # the cell is kept

    def claims(self, results: Mapping[str, Result]) -> Sequence[Claim]:
        ours = f'{results["one"]["gain"]:.0%}'
        return [Claim(LADON, 'sooner', 'up to 95 %', ours, judge(1, 2), 'a slow link')]

    def table(self, results: Mapping[str, Result]) -> Table:
        return Table(('gain',), [(str(results['one']['gain']),)])

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:  # noqa: ARG002
        return {}


@pytest.mark.parametrize(
    ('for_it', 'verdict'), [(3, Verdict.HOLDS), (1, Verdict.PARTLY), (0, Verdict.FAILS)]
)
def test_a_verdict_counts_comparisons(for_it: int, verdict: Verdict) -> None:
    assert judge(for_it, 3) is verdict


def test_claims_are_written_with_our_figures(tmp_path: Path) -> None:
    write_results('made', Size.SMOKE, Judged(), {'one': {'gain': 0.25}}, tmp_path)
    (claim,) = json.loads((tmp_path / 'results.json').read_text())['claims']
    assert (claim['ours'], claim['verdict']) == ('25%', 'holds partly')
    lines = (tmp_path / 'table.md').read_text().splitlines()
    row = '| Ladon | sooner | up to 95 % | 25% | holds partly | a slow link |'
    assert lines.index(row) < lines.index('- A note.') < lines.index('| gain |')


def network(split_bytes: float, memory: float) -> dict[str, Any]:
    pieces = {LOCAL: Piece(9, 0, 0), RAW: Piece(0, 100_000, 9), JPEG: Piece(0, 10_000, 9)}
    pieces[FLOAT32] = Piece(5, split_bytes, 4)
    found = {way: asdict(piece) for way, piece in pieces.items()}
    return {
        'weights': 'random',
        'memory_mb': {'local': 100.0, 'split': memory},
        'pieces': found,
    }


def test_split_against_local_and_remote_by_hand() -> None:
    memory, sent, latency = judge_ways({'a': network(50_000, 40), 'b': network(120_000, 120)})
    assert (memory.ours, memory.verdict) == ('-20% to 60% less', Verdict.PARTLY)
    assert sent.ours == '0.50 to 1.20 times the raw picture; 5.00 to 12.00 times jpeg:80'
    assert sent.verdict is latency.verdict is Verdict.PARTLY
    assert '1 of 2 against the raw picture; 0 of 2 against jpeg:80' in latency.ours
    memory, sent, latency = judge_ways({'a': network(5_000, 40)})
    assert memory.verdict is sent.verdict is latency.verdict is Verdict.HOLDS


def placement(edge_ms: float, latency_ms: float) -> dict[str, Any]:
    link = {'1 Mbit/s': latency_ms}
    times = {'latency_ms': link, 'slow_edge_ms': link}
    return {'edge_ms': edge_ms, 'edge_spread_ms': edge_ms / 10, **times}


@pytest.mark.parametrize(
    ('one_ms', 'verdict'), [(1.0, Verdict.HOLDS), (50.0, Verdict.PARTLY), (500.0, Verdict.FAILS)]
)
def test_one_against_several_by_hand(one_ms: float, verdict: Verdict) -> None:
    placements = {
        'one, local': placement(4, 30), '2, local': placement(8, 100),
        'one, split, rate 0': placement(2, one_ms), '2, split, rate 0': placement(4, 200),
    }  # fmt: skip
    result = {'singles': {'a': {}, 'b': {}}, 'placements': placements}
    alone = {**result, 'singles': {'a': {}}}
    sooner, energy = judge_headlines({'net': result, 'alone': alone})
    assert sooner.verdict is verdict
    assert '2 of the same make send 2 times the bytes, so 50% is the most' in sooner.why
    assert energy.ours == (
        'net, work of the edge: 75% ± 4% less than 2 local, 50% ± 7% less than 2 split'
    )
    assert energy.verdict is Verdict.PARTLY
