# SPDX-License-Identifier: Apache-2.0
"""`mtl-split soak`: its faults, its figures, and half a minute of it."""

import itertools
import json
import shutil
from pathlib import Path

import pytest
from tests.made_profile import made_profile
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.profile import machine_name, profile_path, save_profile
from mtl_split_edge.fates import Outcome
from mtl_split_tools.cli import main
from mtl_split_tools.link_bench.frames import Frame
from mtl_split_tools.soak import faults
from mtl_split_tools.soak.drive import Drive, Memory
from mtl_split_tools.soak.faults import Fault, Kind, schedule
from mtl_split_tools.soak.plot import draw
from mtl_split_tools.soak.summary import growth, summarise


def test_faults_follow_from_the_seed() -> None:
    faults = schedule(1, 600.0)
    assert faults == schedule(1, 600.0)
    assert faults != schedule(2, 600.0)
    assert len(faults) == 29
    assert {fault.kind for fault in faults[: len(Kind)]} == set(Kind)
    for fault, after in itertools.pairwise(faults):
        assert 0 < fault.seconds <= 10
        assert fault.end < after.at
    assert faults[-1].end <= 595
    assert schedule(1, 15.0) == []


def test_figures() -> None:
    def frame(number: int) -> Frame:
        at = 100 + number / 10
        if 200 <= number < 203:
            return Frame(at, number, None, 'split:3', Outcome.MISSED, 'best in time', 5000)
        if 203 <= number < 230:
            return Frame(at, number, 0.06, 'local', Outcome.ANSWERED_BY_EDGE, 'link')
        outcome = Outcome.ANSWERED_BY_SERVER
        return Frame(at, number, 0.04, 'split:3', outcome, 'best in time', 5000)

    memory = Memory([float(number) for number in range(40)], [*[100.0] * 20, *[103.0] * 20])
    drive = Drive(100.0, [frame(number) for number in range(400)], 0, 0, memory, Memory(), True)
    fault = Fault(20.0, Kind.CUT, 3.0)
    found = summarise(drive, [fault], 40.0, 0.15)
    assert (found['frames'], found['answered'], found['in_time']) == (400, 397, 397 / 400)
    assert found['in_time_without_fault'] == 1.0
    assert found['by_edge'] == pytest.approx(27 / 397)
    assert found['edge_rss_growth_mb'] == pytest.approx(3.0)
    (told,) = found['faults']
    assert told['text'] == 'link cut'
    assert told['gap_ms'] == pytest.approx(420)
    assert told['return_ms'] == pytest.approx(40)
    assert json.dumps(found, allow_nan=False)
    assert draw(drive, [fault], 40.0, 0.15, 'made up').startswith(b'\x89PNG')


def test_growth_leaves_gaps_out() -> None:
    assert growth(Memory([0.0] * 8, [1.0, None, 2.0, 2.0, None, 5.0, 6.0, 8.0])) == 6.0
    assert growth(Memory()) is None


def test_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert '--minutes 0 is not from 0.2 to 1440' in fails(capsys, 'soak', '--minutes', 0)
    assert '--deadline 0 is not' in fails(capsys, 'soak', '--deadline', 0)


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.usefixtures('lab_rights')
def test_one_fault(tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, 'FIRST_S', 3.0)
    monkeypatch.setattr(faults, 'PERIOD_S', 12.0)
    path = tmp_path / 'tiny'
    shutil.copytree(tiny_bundle.path, path)
    bundle = load_bundle(path)
    save_profile(made_profile(bundle.fingerprint, 12.0, 2), profile_path(bundle, machine_name()))
    out = tmp_path / 'out'
    arguments = ['--bundle', str(path), '--minutes', '0.25', '--deadline', '1000']
    status = main(['soak', *arguments, '--out', str(out)])
    summary = json.loads((out / 'summary.json').read_text())
    assert status == int(summary['duplicates'] + summary['out_of_order'] > 0)
    assert summary['edge_alive']
    assert summary['frames'] > 100
    assert summary['answered'] > 50
    assert len(summary['faults']) == 1
    assert len(summary['edge_rss_mb']) == len(summary['rss_seconds']) >= 12
    assert (out / 'soak.png').exists()
