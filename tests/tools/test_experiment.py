# SPDX-License-Identifier: Apache-2.0
"""`mtl-split experiment`: names, and what is kept of a run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from tests.tools.commands import fails

from mtl_split_core.errors import BundleError, DataError
from mtl_split_tools.experiments.extents import config_path, count, read_extent
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

ROOT = Path(__file__).parents[2]


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


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        (None, 'made.yaml: not readable'),
        ('small: {a: 1}\nfull: {a: 1}', 'smoke is missing'),
        ('smoke: {a: 1}\nsmall: {a: 0}\nfull: {a: 1}', 'small.a is 0, allowed is a whole number'),
        ('smoke: {a: 1}\nsmall: {b: 1}\nfull: {a: 1}', 'small.a is missing'),
        ('smoke: {a: 1}\nsmall: {a: 1}\nfull: {a: 1}\nhuge: {a: 1}', 'huge is not a known field'),
    ],
)
def test_damaged_sizes_name_the_key(
    text: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'experiments').mkdir()
    if text:
        (tmp_path / 'experiments/made.yaml').write_text(text)
    with pytest.raises(BundleError, match=words):
        count(read_extent('made.yaml', Size.SMALL, 'a'), 'a')


def test_sizes_are_found_where_the_package_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_path('rate-accuracy.yaml') == ROOT / 'experiments/rate-accuracy.yaml'
    own = Path('experiments/rate-accuracy.yaml')
    own.parent.mkdir()
    own.touch()
    assert config_path('rate-accuracy.yaml') == own
    installed = tmp_path / 'share/mtl_split/experiments/made.yaml'
    installed.parent.mkdir(parents=True)
    installed.touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert config_path('made.yaml') == installed
    (line,) = (x for x in (ROOT / 'CMakeLists.txt').read_text().splitlines() if 'samples' in x)
    assert 'experiments' in line.split()


def test_every_experiment_has_its_sizes_in_a_file() -> None:
    wanted = {'loc-roc-sc': 'checked', 'one-vs-three': 'rounds', 'rate-accuracy': 'frames'}
    for name, key in wanted.items():
        content = yaml.safe_load((ROOT / f'experiments/{name}.yaml').read_text())
        found = [content[size][key] for size in Size]
        assert found == sorted(found)
    for name in EXPERIMENTS.keys() - wanted - {'ablation', 'comparisons'}:
        assert set(yaml.safe_load((ROOT / f'experiments/{name}.yaml').read_text())) == set(Size)
    # what trains this project's own network
    assert all((ROOT / f'experiments/trial-{size}.yaml').is_file() for size in Size)


def test_names_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, 'experiment', 'moon')
    assert f"experiment 'moon' is not known; known are: {', '.join(sorted(EXPERIMENTS))}" in line
    assert '--seed -1 is not' in fails(capsys, 'experiment', 'where-to-split', '--seed', '-1')
