# SPDX-License-Identifier: Apache-2.0
"""Traces, the simulated link, and `mtl-split simulate` with a made-up profile."""

import json
from pathlib import Path

import pytest
from tests.made_profile import FINGERPRINT, made_profile
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import DataError
from mtl_split_core.profile import Mode, save_profile
from mtl_split_edge.decision import PolicySettings
from mtl_split_tools.cli import main
from mtl_split_tools.simulation.drivers import Fixed
from mtl_split_tools.simulation.runs import Run, compare, drive_all, pool
from mtl_split_tools.simulation.trace import Trace, read_trace, shipped_traces
from mtl_split_tools.simulation.world import Drive, World

SETTINGS = PolicySettings()


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_message_leaves_when_the_link_has_carried_it() -> None:
    trace = Trace.steps('t', [0, 1, 2], [8, 0, 4], 3)  # 1 MB/s, nothing, 0.5 MB/s
    assert trace.finish(0.0, 500_000) == pytest.approx(0.5)
    assert trace.finish(0.5, 500_000) == pytest.approx(1.0)
    assert trace.finish(0.5, 600_000) == pytest.approx(2.2)
    assert trace.finish(1.5, 1) == pytest.approx(2.0, abs=1e-4)
    assert trace.finish(2.5, 250_000 + 100_000) == pytest.approx(3.1)  # it begins anew
    assert trace.finish(0.0, 1_500_000) == pytest.approx(3.0)
    assert trace.finish(3.2, 4_500_000) == pytest.approx(12.2)
    assert [trace.mbit(moment) for moment in (0.5, 1.5, 2.5, 3.5)] == [8, 0, 4, 8]


def test_shipped_traces() -> None:
    assert [path.stem for path in shipped_traces()] == ['sawtooth', 'steps', 'tunnel']
    for path in shipped_traces():
        assert read_trace(path.stem).seconds == 60
    assert read_trace('tunnel').mbit(18) == 0


def test_mahimahi_format(tmp_path: Path) -> None:
    lines = '\n'.join(str(number) for number in range(1, 2001) for _ in range(2))
    trace = read_trace(write(tmp_path / 'drive.up', lines))
    assert trace.seconds == 2
    assert trace.mbit(1.0) == pytest.approx(24, rel=0.06)
    assert trace.finish(0.5, 300_000) == pytest.approx(0.6, abs=0.005)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', 'holds no line'),
        ('0 1\n', 'at least two lines'),
        ('1 1\n2 1\n', 'ascend from 0'),
        ('0 1\n2 1\n1 1\n', 'ascend from 0'),
        ('0 -1\n2 1\n', 'at least 0'),
        ('0 0\n2 0\n', 'once above 0'),
        ('0 1\n2 x\n', "line 2 is '2 x'"),
        ('0 1\n2\n', 'the same on every line'),
        ('0 nan\n2 1\n', 'line 1'),
        ('5\n3\n', 'ascend from 0'),
        ('0\n', 'end above it'),
    ],
)
def test_what_is_no_trace(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match='trace') as found:
        read_trace(write(tmp_path / 'trace.txt', text))
    assert words in str(found.value)


def test_fixed_rate_is_in_time_exactly_where_the_link_carries_it() -> None:
    profile = made_profile()
    (point,) = profile.select(Mode.SPLIT, 2)
    trace = Trace.steps('t', [0, 10], [10, 0.1], 20)
    frames = Drive(World(trace, FINGERPRINT, jitter_s=0.0), Fixed(point)).run()
    run = Run('split:2', frames, 0.15, 0.05)
    assert all(run.in_time(frame) for frame in frames[:145])
    assert not any(run.in_time(frame) for frame in frames[155:290])
    # 20 ms edge, 3.2 ms link, 10 ms each way, 25 ms server
    assert frames[10].delay_s == pytest.approx(0.068, abs=0.002)


def test_the_link_gone_is_answered_locally_and_returned_to() -> None:
    trace = Trace.steps('t', [0, 5, 10], [10, 0, 10], 20)
    world = World(trace, FINGERPRINT)
    auto = drive_all(world, made_profile(local_ms=60.0), SETTINGS)[0]
    modes = [f.point.mode if f.point and auto.in_time(f) else None for f in auto.frames]
    # 200 ms after the first missed deadline
    first = next(number for number in range(75, 150) if modes[number] is Mode.LOCAL)
    assert auto.frames[first].at <= 5.0 + 0.15 + 0.2
    assert modes[first:150].count(Mode.LOCAL) >= 0.95 * (150 - first)
    assert Mode.SPLIT in modes[150:180]  # within 2 s
    assert set(modes[210:]) == {Mode.SPLIT}


def test_goals_over_the_shipped_traces_with_the_made_up_profile() -> None:
    profile = made_profile()
    runs = [
        drive_all(World(read_trace(path.stem), FINGERPRINT), profile, SETTINGS)
        for path in shipped_traces()
    ]
    compared = compare([pool(same) for same in zip(*runs, strict=True)])
    assert compared['equal_accuracy']['fewer_misses'] >= 0.2
    assert compared['best_fixed_rate']['more_score'] > 0.05
    assert compared['best_picture']['fewer_misses'] >= 0.2
    assert compared['behind_oracle'] <= 0.05


def test_command(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / 'profile-made.yaml'
    save_profile(made_profile(tiny_bundle.fingerprint, rates=2), profile)
    trace = write(tmp_path / 'short.txt', '0 2 # Mbit/s\n3 0.2\n6 2\n9 0\n')
    out = tmp_path / 'out'
    arguments = ['--bundle', tiny_bundle.path, '--profile', profile, '--out', out]
    assert main(['simulate', *map(str, arguments), '--trace', trace, '--loss', '0.001']) == 0
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['machine'] == 'made-up'
    runs = summary['traces']['short']['runs']
    assert {'auto', 'oracle', 'split:0', 'split:1', 'jpeg:50', 'webp:50'} <= runs.keys()
    assert runs['oracle']['worth'] >= runs['auto']['worth']
    assert (out / 'short.png').read_bytes().startswith(b'\x89PNG')
    assert 'behind the oracle' in capsys.readouterr().out


def test_command_errors(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ('simulate', '--bundle', tiny_bundle.path)
    assert 'run `mtl-split profile' in fails(capsys, *arguments)
    profile = tmp_path / 'p.yaml'
    save_profile(made_profile(tiny_bundle.fingerprint, rates=2), profile)
    arguments = (*arguments, '--profile', profile)
    assert 'shipped are sawtooth' in fails(capsys, *arguments, '--trace', 'moon')
    assert '--fps 0 is not' in fails(capsys, *arguments, '--fps', 0)
    assert '--loss nan is not' in fails(capsys, *arguments, '--loss', 'nan')
