# SPDX-License-Identifier: Apache-2.0
"""`mtl-split experiment comparisons` and `ablation`: their rows, changes, tables, and real runs."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.tools.commands import fails

from mtl_split_core.bundle import load_bundle
from mtl_split_tools.cli import main
from mtl_split_tools.experiments.claims import Verdict
from mtl_split_tools.experiments.frame import Result, Size
from mtl_split_tools.sweep.result import METRICS
from mtl_split_train.dataset import read_dataset

torch = pytest.importorskip('torch', reason='needs the train extra')
pytestmark = pytest.mark.timeout(300)

from matplotlib.figure import Figure  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from mtl_split_tools.experiments import ablation, comparisons, continued  # noqa: E402
from mtl_split_tools.experiments.comparisons_plot import _draw  # noqa: E402
from mtl_split_tools.experiments.made_data import make_data  # noqa: E402
from mtl_split_tools.experiments.training import changed, load_base, points, spread  # noqa: E402
from mtl_split_train.config import parse_config, read_config  # noqa: E402
from mtl_split_train.trial import train_trial  # noqa: E402

TEXTS = ('the same network', 'the network trained on JPEGs')


def facts(size: float | None, *values: float | None) -> dict[str, Any]:
    return {'bytes_per_frame': size, **dict(zip(METRICS, values, strict=True))}


def result(*sent: tuple[float, float], raw: float | None = 0.5, **pictures: Any) -> Result:
    """Return what a run gives that has this mIoU, and no other figure."""
    ways = {f'split:{n}': facts(size, value, None, None) for n, (size, value) in enumerate(sent)}
    ways |= {
        f'jpeg:{n}': facts(size, value, None, None)
        for n, (size, value) in enumerate(pictures.get('jpeg', ()))
    }
    return {'parameters': 1_500_000, 'ways': {'raw': facts(1e6, raw, None, None), **ways}}


def test_changes_leave_the_base_alone() -> None:
    base = load_base(Size.SMOKE, 3)
    other = changed(base, {'loss': {'detection': 0.0}, 'schedule': {'epochs': 9}})
    assert base['schedule']['seed'] == other['schedule']['seed'] == 3
    assert (base['schedule']['epochs'], other['schedule']['epochs']) == (2, 9)
    assert 'loss' not in base
    for size in Size:
        assert parse_config(load_base(size, 0)).bundle.name == 'trial'


def test_spread() -> None:
    assert spread([0.5, None]) == '0.500'
    assert spread([0.5, 0.3, 0.4]) == '0.400 (0.300 to 0.500)'
    assert spread([None]) == '-'


def test_made_data_is_data(tmp_path: Path) -> None:
    for _ in range(2):
        make_data(tmp_path)
    train, val = (read_dataset(tmp_path / split) for split in ('train', 'val'))
    assert (len(train.images), len(val.images)) == (4, 2)
    assert train.classes == val.classes
    assert {sample.attribute for sample in train.images} == {'day', 'dusk'}


def test_rows_of_comparisons_have_the_same_budget() -> None:
    experiment = comparisons.Experiment(Size.SMALL, 5, None)
    cells = {cell.key: cell.settings for cell in experiment.cells()}
    assert list(cells) == [
        *('joint-5', 'segmentation-5', 'detection-5', 'classification-5', 'fcos-5', 'jpeg-5'),
        *('joint-6', 'joint-7'),
    ]
    base = parse_config(cells['joint-5']['config'])
    for key, settings in cells.items():
        config = parse_config(settings['config'])
        assert config.schedule.epochs == base.schedule.epochs
        assert config.schedule.seed == settings['seed'] == int(key[-1])
        assert config.network == base.network
    alone = parse_config(cells['detection-5']['config']).loss
    assert alone.tasks == ('detection',)
    assert base.loss.tasks == ('detection', 'segmentation', 'classification')
    assert parse_config(cells['jpeg-5']['config']).data.jpeg > 0 == base.data.jpeg


def test_table_of_comparisons() -> None:
    experiment = comparisons.Experiment(Size.SMALL, 0, None)
    pictures = [(1000.0, 0.40), (2000.0, 0.50)]
    ours = [(100.0, 0.40), (200.0, 0.45), (300.0, 0.5)]
    better = [(800.0, 0.40), (1600.0, 0.50)]
    results = {
        'joint-0': result(*ours, raw=0.50, jpeg=pictures),
        'joint-1': result(*ours, raw=0.54),
        'segmentation-0': result(*ours, raw=0.53),
        'fcos-0': {**result(raw=None), 'parameters': 2_000_000},
        'jpeg-0': result(*ours, raw=0.51, jpeg=better),
    }
    rows = {row[0]: list(row[1:]) for row in experiment.table(results).rows}
    assert rows['three tasks together'][:3] == ['2', '1.50 M', '0.520 (0.500 to 0.540)']
    assert rows['segmentation alone'][2] == '0.530 (+1.0)'
    assert rows['segmentation alone'][5:7] == ['0.2 kB', '0.450 (+0.0)']
    assert rows["torchvision's FCOS alone"][1:6] == ['2.00 M', '-', '-', '-', '-']
    same, stronger = (rows[f'BD-rate of Z_b against JPEG into {t}'][6] for t in TEXTS)
    assert same.startswith('-8')
    assert stronger.startswith('-8')
    assert float(same.partition('%')[0]) < float(stronger.partition('%')[0])
    told = list(experiment.findings(results))
    assert 'segmentation alone is +1.0 points' in told[0]
    assert told[0].endswith('whose 2 runs lie within 4.0: the seeds explain it.')
    assert told[-1].endswith("no figure for torchvision's FCOS alone.")
    more = {**results, 'segmentation-0': result(raw=0.6)}
    assert 'more than the seeds explain' in experiment.findings(more)[0]
    assert (
        'not known' in experiment.findings({k: v for k, v in results.items() if '-1' not in k})[0]
    )
    drawn = np.frombuffer(experiment.plots(results)['comparisons'], np.uint8)
    assert cv2.imdecode(drawn, cv2.IMREAD_COLOR) is not None


def test_a_difference_of_a_tenth_of_a_point_does_not_look_like_one() -> None:
    axes = Figure().subplots()
    of_rows = {'joint': [result(raw=0.680)], 'segmentation': [result(raw=0.681)]}
    _draw(axes, of_rows, 'miou', 'joint')
    low, high = axes.get_xlim()
    assert high - low == pytest.approx(0.1)
    assert low < 0.680 < 0.681 < high
    full = Figure().subplots()
    _draw(full, {'joint': [result(raw=1.0)]}, 'miou', 'joint')
    low, high = full.get_xlim()
    assert low < 0.91
    assert 1.0 < high < 1.01
    wide = Figure().subplots()
    of_rows = {'joint': [result(raw=0.2)], 'segmentation': [result(raw=0.7)]}
    _draw(wide, of_rows, 'miou', 'joint')
    assert wide.get_xlim()[1] - wide.get_xlim()[0] > 0.5


def test_trainings_of_the_ablation() -> None:
    trials = ablation.make_trials(load_base(Size.SMALL, 0))
    base = parse_config(trials['joint'].config)
    staged = trials['staged']
    assert staged.init is not None
    stages = [parse_config(trial.config) for trial in (staged.init, staged)]
    assert sum(stage.schedule.epochs for stage in stages) == base.schedule.epochs
    assert (stages[0].rates.constrain, stages[0].rates.unquantised) == (False, 1.0)
    assert stages[1].schedule.frozen == ['encoder.backbone', 'tail']
    assert not parse_config(trials['no-rate-term'].config).rates.constrain
    assert trials['teacher'].teacher is trials['joint']
    separate = [trials[f'separate-{n}'] for n in range(len(base.rates.targets))]
    assert [parse_config(t.config).rates.targets for t in separate] == [
        [target] for target in base.rates.targets
    ]


def test_joint_is_trained_again_with_other_seeds() -> None:
    cells = {cell.key: cell.settings for cell in ablation.Experiment(Size.SMALL, 4, None).cells()}
    seeds = {key: settings['seed'] for key, settings in cells.items()}
    assert (seeds['joint'], seeds['joint-seed-5'], seeds['joint-seed-6']) == (4, 5, 6)
    assert seeds['staged'] == seeds['separate-2'] == 4
    again = parse_config(cells['joint-seed-5']['config'])
    assert again.schedule.seed == 5
    assert again.network == parse_config(cells['joint']['config']).network


def test_table_of_the_ablation() -> None:
    experiment = ablation.Experiment(Size.SMALL, 0, None)
    results = {
        'joint': result((100.0, 0.4), (200.0, 0.5)),
        'staged': result((200.0, 0.4), (400.0, 0.5)),
        'separate-0': result((90.0, 0.4)),
        'separate-1': result((180.0, 0.5)),
        'joint-seed-1': result((100.0, 0.42), (200.0, 0.52)),
    }
    rows = [list(row) for row in experiment.table(results).rows]
    assert rows[0] == ['joint', '2', '0', '0.1 kB', '0.410 (0.400 to 0.420)', '-', '-']
    assert ['separate-1', '1', '1', '0.2 kB', '0.500', '-', '-'] in rows
    assert ['staged', '1', 'uncompressed picture', '', '0.500', '-', '-'] in rows
    ends = {row[0]: row[4] for row in rows if row[2] == 'BD-rate against joint'}
    assert ends.pop('joint-seed-1').startswith('-')
    assert ends == {
        'staged': '+100% (0.400 to 0.500)',
        'separate': '-10% (0.400 to 0.500)',
    }
    assert points(results['joint'], 'split', 'miou') == [(100.0, 0.4), (200.0, 0.5)]
    assert 'ablation' in experiment.plots(results)
    told = experiment.findings(results)
    assert told[0] == (
        'staged, default rate: 0.4 kB, x 2.00 those of joint; mIoU -1.0 points (joint within 2.0: '
        'the seeds explain it).'
    )
    assert 'separate, default rate: 0.2 kB, x 0.90' in told[1]
    claims = experiment.claims(results)
    assert [claim.verdict for claim in claims] == [Verdict.FAILS] * 2
    assert claims[0].ours == told[0]
    better = {**results, 'staged': result((200.0, 0.4), (400.0, 0.6))}
    assert experiment.claims(better)[0].verdict is Verdict.HOLDS
    once = {name: one for name, one in results.items() if name != 'joint-seed-1'}
    assert not experiment.claims(once)  # what a seed does is not known
    assert experiment.findings({k: v for k, v in results.items() if 'joint' not in k}) == []
    assert experiment.table({'staged': results['staged']}).rows


def _attribute_alone(size: Size, seed: int) -> dict[str, Any]:
    """Return the smallest network there is: most of the time of a run is its export."""
    return changed(load_base(size, seed), {'loss': {'detection': 0.0, 'segmentation': 0.0}})


def test_comparisons_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {name: comparisons.ROWS[name] for name in ('joint', 'fcos')}
    monkeypatch.setattr(comparisons.Experiment, 'rows', rows)
    monkeypatch.setattr(comparisons, 'load_base', _attribute_alone)
    command = ['experiment', 'comparisons', '--size', 'smoke', '--out', str(tmp_path)]
    assert main(command) == 0
    found = json.loads((tmp_path / 'results.json').read_text())
    ways = found['cells']['joint-0']['result']['ways']
    assert {'split:0', 'split:1', 'raw', 'jpeg:25', 'jpeg:40/2'} <= ways.keys()
    assert not any('rounded' in way or 'webp' in way for way in ways)
    tasks = load_bundle(tmp_path / 'runs/joint-0/bundle').tasks
    assert [task.name for task in tasks] == ['time_of_day']  # heads of weight 0 are absent
    assert 0 <= ways['raw']['accuracy'] <= 1
    assert ways['raw']['miou'] is None
    detector = found['cells']['fcos-0']['result']
    assert 0 <= detector['ways']['raw']['map50'] <= 1
    assert detector['parameters'] > 10**6
    assert cv2.imread(str(tmp_path / 'plots/comparisons.png')) is not None
    # What is trained is not trained again, where the cell was stopped between run and figures.
    (tmp_path / 'cells/fcos-0.json').unlink()
    checkpoint = tmp_path / 'runs/fcos-0/checkpoints/last.ckpt'
    before = checkpoint.stat().st_mtime_ns
    assert main(command) == 0
    assert checkpoint.stat().st_mtime_ns == before
    assert 'joint-0: kept from before' in capsys.readouterr().out


def test_ablation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = ablation.make_trials(_attribute_alone(Size.SMOKE, 0))
    monkeypatch.setattr(ablation, 'make_trials', lambda _base: {'joint': trials['joint']})
    monkeypatch.setattr(ablation, 'load_base', _attribute_alone)
    command = ['experiment', 'ablation', '--size', 'smoke', '--out', str(tmp_path)]
    assert main(command) == 0
    assert '| joint | 1 | uncompressed picture |' in (tmp_path / 'table.md').read_text()
    assert cv2.imread(str(tmp_path / 'plots/ablation.png')) is not None
    runs = tmp_path / 'runs'
    for name in ('staged', 'teacher'):
        train_trial(trials[name], runs / 'made-data', runs)
    first, second = (_weights(runs / name) for name in ('staged-body', 'staged'))
    moved = {name for name, value in first.items() if not value.equal(second[name])}
    assert moved
    assert all('.bottleneck.' in name for name in moved)
    assert 'teacher: ' in (runs / 'teacher/run.yaml').read_text()


def test_rows_that_go_on_from_the_bundle_that_ships() -> None:
    tasks = ['joint-4', 'segmentation-4', 'detection-4', 'classification-4']
    for size, epochs, of_detector in ((Size.SMALL, 10, 60), (Size.FULL, 75, 200)):
        cells = {cell.key: cell.settings for cell in continued.Experiment(size, 4, None).cells()}
        assert list(cells) == [*tasks, 'fcos-4']
        for key, settings in cells.items():
            assert (settings['bundle'], settings['precision']) == ('camvid', 'bf16-mixed'), key
            schedule = parse_config(settings['config']).schedule
            wanted = (of_detector, 0.0012) if key == 'fcos-4' else (epochs, 5e-4)
            assert (schedule.epochs, schedule.learning_rate, schedule.seed) == (*wanted, 4)
        shipped = parse_config(read_config(Path('experiments/camvid.yaml')))
        assert parse_config(cells['joint-4']['config']).network == shipped.network


def test_a_run_goes_on_from_the_bundle_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {name: continued.Experiment.rows[name] for name in ('classification', 'fcos')}
    monkeypatch.setattr(continued.Experiment, 'rows', rows)
    assert main(['experiment', 'continued', '--size', 'smoke', '--out', str(tmp_path)]) == 0
    found = json.loads((tmp_path / 'results.json').read_text())
    ways = found['cells']['classification-0']['result']['ways']
    assert ways['raw']['accuracy'] is not None
    assert not any(way.startswith('jpeg') for way in ways)
    assert cv2.imread(str(tmp_path / 'plots/continued.png')) is not None
    before = load_file(load_bundle('camvid').path / 'encoder.safetensors')
    after = _weights(tmp_path / 'runs/classification-0')
    name = 'bottleneck.log_gain'  # one step of the optimiser from there
    assert torch.allclose(after[f'network.encoder.{name}'], before[name], atol=3e-3)
    found = _weights(tmp_path / 'runs/fcos-0')
    name = 'backbone.layers.0.0.weight'
    assert torch.allclose(found[f'network.fcos.backbone.{name}'], before[name], atol=6e-3)


def _weights(run: Path) -> dict[str, Any]:
    state = torch.load(run / 'checkpoints/last.ckpt', weights_only=True)['state_dict']
    return {name: value for name, value in state.items() if name.startswith('network.')}


def test_bad_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ['experiment', 'comparisons', '--size', 'smoke', '--out', tmp_path]
    line = fails(capsys, *command, '--bundle', 'camvid')
    assert 'experiment comparisons measures no bundles: leave --bundle out' in line
    line = fails(capsys, *command, '--data', tmp_path / 'nowhere')
    assert 'nowhere does not exist' in line
