# SPDX-License-Identifier: Apache-2.0
"""`mtl-split experiment rate-accuracy`: bundles beside each other, and bad options."""

import json
from pathlib import Path

import cv2
import pytest
from tests.tiny_bundle import make_tiny_bundle
from tests.tools.commands import fails
from tests.tools.test_eval import data

from mtl_split_core.bundle import Bundle
from mtl_split_core.document import Field
from mtl_split_tools.cli import main
from mtl_split_tools.experiments import rate_accuracy
from mtl_split_tools.experiments.claims import Verdict
from mtl_split_tools.experiments.frame import Size
from mtl_split_tools.experiments.rate_accuracy_claims import judge_rates
from mtl_split_tools.sweep.result import RIVALS

__all__ = ['data']


@pytest.fixture
def tiny(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Put a small bundle in the place of the shipped one, which would take half a minute."""
    load = rate_accuracy.load_bundle
    monkeypatch.setattr(
        rate_accuracy, 'load_bundle', lambda n: tiny_bundle if n == 'camvid' else load(n)
    )
    extent = Field('a file', '', {'frames': 3})
    monkeypatch.setattr(rate_accuracy, 'read_extent', lambda *_: extent)
    return tiny_bundle


def test_two_bundles(
    data: Path, tiny: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_tiny_bundle(tmp_path / 'second', seed=1, name='second')
    command = ['experiment', 'rate-accuracy', '--data', str(data), '--out', str(tmp_path / 'out')]
    command += ['--bundle', str(other.path)]
    assert main(command) == 0
    found = json.loads((tmp_path / 'out/results.json').read_text())
    assert list(found['cells']) == ['camvid', 'second']
    result = found['cells']['second']['result']
    assert found['cells']['second']['settings']['fingerprint'] == f'{other.fingerprint:016x}'
    assert result['frames'] == 2  # at most 3, evenly spread over 4
    rows = {row['transport']: row for row in result['rows']}
    assert rows['split:0']['bytes_per_frame'] < rows['split:1']['bytes_per_frame']
    assert {'raw', 'jpeg:25', 'webp:40', 'jpeg:40/2 rounded'} <= rows.keys()
    table = (tmp_path / 'out/table.md').read_text()
    for text in ('Z_b, rate 1', 'JPEG 40, half size', 'BD-rate against WebP at its best'):
        assert table.count(f'| {text} |') == 2
    assert ' rounded' not in table
    assert cv2.imread(str(tmp_path / 'out/plots/rate-accuracy.png')) is not None
    capsys.readouterr()
    document = tmp_path / 'page.md'
    document.write_text('one\n<!-- experiment rate-accuracy: results -->\n<!-- end -->\ntwo\n')
    assert main([*command, '--doc', str(document)]) == 0
    assert capsys.readouterr().out.count('kept from before') == 2
    written = document.read_text()
    assert written.startswith('one\n<!-- experiment rate-accuracy: results -->\n')
    assert '\n- Each bundle' in written
    assert '| camvid 1.0.0 | Z_b, rate 0 |' in written
    assert (tmp_path / 'page/rate-accuracy.png').read_bytes()[1:4] == b'PNG'
    assert 'must have results' in fails(capsys, *command, '--doc', tmp_path / 'out/table.md')
    assert 'nowhere.md does not exist' in fails(capsys, *command, '--doc', tmp_path / 'nowhere.md')


def test_a_name_twice(
    data: Path, tiny: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_tiny_bundle(tmp_path / 'again', seed=1)
    command = ['experiment', 'rate-accuracy', '--data', data, '--out', tmp_path / 'out']
    line = fails(capsys, *command, '--bundle', other.path, '--bundle', other.path)
    assert 'are both named tiny: export one with another name' in line


def test_a_bundle_that_knows_one_task() -> None:
    experiment = rate_accuracy.Experiment(Size.SMALL, 0, None)
    ways = {'split:0': (900.0, 0.98), 'raw': (5e5, 1.0), 'jpeg:5': (5000.0, 0.9)}
    facts = {'miou': None, 'map50': None, 'bytes_per_frame_max': 0, 'map': None}
    rows = [
        {'transport': way, 'bytes_per_frame': size, 'accuracy': value, **facts}
        for way, (size, value) in ways.items()
    ]
    bd_rate: dict[str, dict[str, object]] = {rival: {} for rival in RIVALS}
    results = {'one': {'version': '1.2.0', 'frames': 3, 'rows': rows, 'bd_rate': bd_rate}}
    shown = [list(row) for row in experiment.table(results).rows]
    assert shown[0] == ['one 1.2.0', 'Z_b, rate 0', '0.9 kB', '-', '-', '0.980']
    assert ['one 1.2.0', 'BD-rate against JPEG', '', '-', '-', '-'] in shown
    assert experiment.plots(results)['rate-accuracy'][1:4] == b'PNG'
    assert experiment.claims(results) == []


def test_what_rates_say_to_the_paper() -> None:
    rows = [
        {'transport': way, 'bytes_per_frame': 900.0, 'miou': miou, 'map50': map50, 'accuracy': 1.0}
        for way, miou, map50 in (('split:0', 0.57, 0.3), ('raw', 0.6, 0.5))
    ]
    bd_rate: dict[str, dict[str, object]] = {rival: {} for rival in RIVALS}
    bd_rate['jpeg, best'] = {
        'miou': {'rate': -0.5, 'above': False},
        'map50': {'rate': None, 'above': True},
    }
    bd_rate['webp, best'] = {
        'miou': {'rate': 0.25, 'above': False},
        'map50': {'rate': None, 'above': False},
    }
    result = {'rows': rows, 'bd_rate': bd_rate}
    first, fewer = judge_rates({'net': result})
    assert 'mIoU -5%, mAP50 -40%, accuracy -0%' in first.ours
    assert first.verdict is Verdict.HOLDS
    assert fewer.verdict is Verdict.PARTLY
    assert fewer.ours == (
        'net, mean bytes at equal accuracy: mIoU against JPEG at its best -50%; mAP50 against '
        'JPEG at its best all above; mIoU against WebP at its best +25%; one set of weights'
    )
    rows[0]['miou'] = 0.1
    assert judge_rates({'net': result})[0].verdict is Verdict.FAILS
