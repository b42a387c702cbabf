# SPDX-License-Identifier: Apache-2.0
"""`mtl-split experiment`: names, what is kept of a run, and the experiment `where-to-split`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.tools.commands import fails
from tests.tools.test_eval import data

from mtl_split_core.errors import DataError
from mtl_split_tools.cli import main
from mtl_split_tools.experiments.frame import (
    Cell,
    Result,
    Size,
    Table,
    read_cells,
    run_cells,
    write_results,
)
from mtl_split_tools.experiments.registry import EXPERIMENTS
from mtl_split_tools.experiments.where_to_split_coding import ENOUGH, ChannelEntropy
from mtl_split_tools.experiments.where_to_split_plot import first_below, useful_cuts

__all__ = ['data']


class Squares:
    """An experiment that costs nothing, and stops where it is told to."""

    notes = ('Whole numbers.',)

    def __init__(self, numbers: Sequence[int], seed: int = 0, stop_at: int | None = None) -> None:
        self._numbers = numbers
        self._seed = seed
        self._stop_at = stop_at
        self.measured: list[str] = []

    def cells(self) -> Sequence[Cell]:
        return [Cell(f'n{n}', {'number': n, 'seed': self._seed}) for n in self._numbers]

    def measure(self, cell: Cell, folder: Path) -> Result:  # noqa: ARG002
        if cell.settings['number'] == self._stop_at:
            raise KeyboardInterrupt
        self.measured.append(cell.key)
        return {'square': cell.settings['number'] ** 2}

    def table(self, results: Mapping[str, Result]) -> Table:
        return Table(('n', 'square'), [(k, str(r['square'])) for k, r in results.items()])

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:
        return {'all': str(len(results)).encode()}


class PartialSquares(Squares):
    partial = True


def quietly(_cell: Cell, _kept: bool) -> None:
    pass


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Squares([1, 2, 3], stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        run_cells(first, tmp_path, quietly)
    again = Squares([1, 2, 3])
    assert run_cells(again, tmp_path, quietly)['n3'] == {'square': 9}
    assert (first.measured, again.measured) == (['n1', 'n2'], ['n3'])


@pytest.mark.parametrize('content', ['', '{', '[]', '{"settings": 1}', '{"result": {}}'])
def test_what_is_damaged_or_of_another_seed_is_measured_anew(tmp_path: Path, content: str) -> None:
    run_cells(Squares([1, 2]), tmp_path, quietly)
    (tmp_path / 'cells/n2.json').write_text(content)
    again = Squares([1, 2])
    run_cells(again, tmp_path, quietly)
    assert again.measured == ['n2']
    other = Squares([1, 2], seed=5)
    run_cells(other, tmp_path, quietly)
    assert other.measured == ['n1', 'n2']


def test_what_is_measured_so_far(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='cells holds nothing of this size'):
        read_cells(Squares([1, 2]), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_cells(Squares([1, 2], stop_at=2), tmp_path, quietly)
    with pytest.raises(DataError, match='cells lacks n2, and this experiment shows all or'):
        read_cells(Squares([1, 2]), tmp_path)
    again = PartialSquares([1, 2])
    results = read_cells(again, tmp_path)
    assert results == {'n1': {'square': 1}}
    assert again.measured == []
    write_results('squares', Size.SMALL, again, results, tmp_path)
    assert '- Whole numbers.\n- Not measured yet: n2.\n' in (tmp_path / 'table.md').read_text()
    assert list(json.loads((tmp_path / 'results.json').read_text())['cells']) == ['n1']


def test_results_hold_seeds_settings_and_notes(tmp_path: Path) -> None:
    experiment = Squares([1, 2], seed=7)
    results = run_cells(experiment, tmp_path, quietly)
    write_results('squares', Size.SMALL, experiment, results, tmp_path)
    document = json.loads((tmp_path / 'results.json').read_text())
    assert document['seeds'] == [7]
    assert document['notes'] == ['Whole numbers.']
    assert document['cells']['n2']['settings'] == {'number': 2, 'seed': 7}
    assert document['cells']['n2']['result'] == {'square': 4}
    assert (tmp_path / 'plots/all.png').read_bytes() == b'2'
    table = (tmp_path / 'table.md').read_text()
    assert table.startswith('# squares, size small\n\n- Whole numbers.\n\n| n | square |\n')
    assert table.endswith('| n2 | 4 |\n')


def test_names_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, 'experiment', 'moon')
    assert f"experiment 'moon' is not known; known are: {', '.join(sorted(EXPERIMENTS))}" in line
    assert '--seed -1 is not' in fails(capsys, 'experiment', 'where-to-split', '--seed', '-1')


def test_entropy_by_hand() -> None:
    z = np.zeros((4, 8, 8), np.float32)  # the first channel is constant: nothing to send
    z[1, :4] = 2.5  # two values, as often: one bit
    z[2] = np.arange(64).reshape(8, 8) - 9  # 64 values: 6 bits
    z[3, 0, :] = -1  # one in eight
    entropy = ChannelEntropy(4)
    for frame in (z, z):
        entropy.range_over(frame)
    for frame in (z, z):
        entropy.count(frame)
    one_in_eight = -(1 / 8 * np.log2(1 / 8) + 7 / 8 * np.log2(7 / 8))
    assert entropy.bytes_per_frame() == pytest.approx(64 * (1 + 6 + one_in_eight) / 8)


def test_entropy_of_evenly_spread_values_is_eight_bits() -> None:
    values = np.random.default_rng(0).random((1, 10 * ENOUGH, 1)).astype(np.float32)
    entropy = ChannelEntropy(1)
    entropy.range_over(values)
    entropy.count(values)
    assert entropy.bytes_per_frame() == pytest.approx(values.size, rel=0.01)


def test_useful_cuts_send_less_than_all_before() -> None:
    sizes = [9.0, 10.0, 4.0, 3.9, 5.0, 2.0]
    cuts = [{'stage': n, 'coded_bytes': size} for n, size in enumerate(sizes, 1)]
    assert [cut['stage'] for cut in useful_cuts(cuts)] == [1, 3, 6]


def test_the_first_cut_below_the_jpeg_is_where_to_cut() -> None:
    cuts = [
        {'stage': n, 'coded_bytes': size, 'enough_values': n > 1}
        for n, size in enumerate([3.0, 9.0, 4.0, 2.0], 1)
    ]
    found = first_below({'cuts': cuts, 'jpeg_bytes': 5.0})
    assert found is not None
    assert found['stage'] == 3
    assert first_below({'cuts': cuts, 'jpeg_bytes': 1.0}) is None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_where_to_split(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip('torch', reason='needs the train extra')
    from mtl_split_tools.experiments import where_to_split  # noqa: PLC0415

    tiny = replace(where_to_split.EXTENTS[Size.SMOKE], backbones=('resnet18',), height=32, width=64)
    monkeypatch.setitem(where_to_split.EXTENTS, Size.SMOKE, tiny)
    arguments = ['experiment', 'where-to-split', '--size', 'smoke', '--data', str(data)]
    arguments += ['--out', str(tmp_path), '--seed', '3']
    assert main(arguments) == 0
    assert 'resnet18: measured' in capsys.readouterr().out
    document = json.loads((tmp_path / 'results.json').read_text())
    assert document['seeds'] == [3]
    assert any('Random weights' in note for note in document['notes'])
    assert any('No accuracy' in note for note in document['notes'])
    result = document['cells']['resnet18']['result']
    shapes = [cut['shape'] for cut in result['cuts']]
    assert shapes == [[64, 8, 16], [64, 8, 16], [128, 4, 8], [256, 2, 4], [512, 1, 2]]
    for cut in result['cuts']:
        assert cut['raw_bytes'] == 4 * np.prod(cut['shape'])
        assert 0 < cut['coded_bytes'] <= cut['raw_bytes'] / 4
        assert cut['edge_ms'] > 0
        assert not cut['enough_values']
    assert result['cuts'][-1]['parameters'] == 11_176_512
    assert result['picture_bytes'] == 32 * 64 * 3
    assert (
        '| resnet18 | 5 | Sequential | 512x1x2 | 4.1 kB | > ' in (tmp_path / 'table.md').read_text()
    )
    assert cv2.imread(str(tmp_path / 'plots/where-to-split.png')) is not None

    assert main(arguments) == 0
    assert 'resnet18: kept from before' in capsys.readouterr().out
