# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench` as a whole but for the nodes: what a run leaves, and how it goes on."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import pytest

from mtl_split_core.bundle import Bundle
from mtl_split_tools import cli
from mtl_split_tools.bench import command
from mtl_split_tools.bench.command import bench_row
from mtl_split_tools.bench.plan import Turn
from mtl_split_tools.bench_report.command import VIDEO
from mtl_split_tools.bench_report.pictures import NAMES
from mtl_split_tools.link_bench.frames import Frame, Measured
from mtl_split_tools.link_bench.judge import Judge


def test_a_run_leaves_figures_pictures_and_a_video_and_goes_on(
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    measured: list[str] = []

    def made(  # in place of nodes on a link: the split answers, of the pictures the first alone
        turns: Sequence[Turn], _bundle: Bundle, judge: Judge, *rest: Any, **_options: Any
    ) -> None:
        finished = rest[-1]
        for turn in turns:
            way = turn.cell.way
            frames = [
                Frame(n / 15, n, 0.05 if n == 0 or way != 'jpeg:80' else None, way, bytes=1000)
                for n in range(30)
            ]
            one = Measured('1', way, frames, [], 0.0, 40_000, 900, 0.3, 0.6, 50.0, 60.0)
            measured.append(way)
            finished(turn, bench_row(turn, one, judge, 0.15))

    monkeypatch.setattr(command, 'measure', made)
    monkeypatch.setattr(command, 'why_not', lambda: '')
    words = ['bench', '--bundle', str(tiny_bundle.path), '--out', str(tmp_path), '--repeats', '2']
    words += ['--links', '1', '--ways']
    assert cli.main([*words, 'split:1']) == cli.main([*words, 'split:1,jpeg:80']) == 0
    assert measured == 2 * ['split:1'] + 2 * ['jpeg:80']  # what was there is not measured again
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['machine'].keys() >= {'processor', 'cores', 'memory_gb', 'kernel', 'python'}
    assert [row['transport'] for row in summary['rows']] == ['split:1', 'jpeg:80']
    assert [row['repeats'] for row in summary['rows']] == [2, 2]
    split, pictures = summary['rows']
    assert (split['in_time'], pictures['in_time']) == (1, pytest.approx(1 / 30))
    assert split['edge_cpu_s'] == 0.3
    assert (tmp_path / 'rows.csv').read_text().splitlines()[1].startswith('1,split:1,30,')
    assert '| 1 | jpeg:80 | 3.3% |' in (tmp_path / 'table.md').read_text()
    for name in NAMES:
        assert (tmp_path / f'{name}.png').read_bytes()[1:4] == b'PNG'
    assert VIDEO in capsys.readouterr().out
    with av.open(str(tmp_path / VIDEO)) as video:
        shown = [frame.to_ndarray(format='rgb24') for frame in video.decode(video=0)]
    assert len(shown) == 30
    # green behind the age of the left, red behind that of the right, which gets older and older
    place = (shown[-1].shape[1] - 12) // 2
    fresh, old = (shown[-1][12, x].astype(int) for x in (place - 7, -7))
    assert fresh[1] > fresh[0] + 60
    assert old[0] > old[1] + 60
