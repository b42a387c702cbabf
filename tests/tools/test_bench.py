# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench`: the plan, the rivals through real DDS, and what is kept of a measurement."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import DataError
from mtl_split_tools.bench.command import bench_row, measure
from mtl_split_tools.bench.plan import (
    Turn,
    by_session,
    check_ways,
    make_condition,
    make_turns,
    make_ways,
)
from mtl_split_tools.bench.record import Cells, frame_line, middle
from mtl_split_tools.bench.rivals import is_rival, parse_rival
from mtl_split_tools.bench.video import VideoDecoder, VideoEncoder
from mtl_split_tools.lab import LabError
from mtl_split_tools.lab.link import Loopback
from mtl_split_tools.link_bench.frames import Frame, Measured
from mtl_split_tools.link_bench.judge import Judge
from mtl_split_tools.link_bench.plan import LOCAL, Cell


def moving(count: int) -> list[NDArray[np.uint8]]:
    """A bright square that moves over a ramp."""
    pictures = []
    for number in range(count):
        picture = np.tile(np.arange(160, dtype=np.uint8)[None, :, None], (96, 1, 3))
        picture[20:50, 10 + 4 * number : 50 + 4 * number] = 240
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize('codec', ['h264', 'h265'])
def test_video_gives_a_picture_for_each_packet_and_starts_at_any_key(codec: str) -> None:
    encoder, decoder, late = VideoEncoder(codec, 25, 160, 96, 5), VideoDecoder(codec), None
    for number, picture in enumerate(moving(12)):
        packet = encoder.encode(picture)
        answer = decoder.decode(packet)
        assert answer is not None
        assert np.abs(answer.astype(int) - picture).mean() < 8
        if number == 7:  # joins between two keys
            late = VideoDecoder(codec)
        if late and number > 9:
            answer = late.decode(packet)
            assert answer is not None
            assert np.abs(answer.astype(int) - picture).mean() < 8
    assert decoder.decode(b'no video') is None


def test_names_of_rivals() -> None:
    assert parse_rival('h265:28').codec == 'h265'
    assert parse_rival('raw').depth == 1
    assert parse_rival('h264:33').depth > 15
    assert parse_rival('float32').floats
    assert not is_rival('split:0')
    for name in ('h264', 'h264:52', 'h266:20', 'raw:1'):
        with pytest.raises(DataError, match='is no rival'):
            parse_rival(name)


def test_plan_holds_every_way_over_every_link_and_groups_by_process(tiny_bundle: Bundle) -> None:
    ways = make_ways(tiny_bundle)
    check_ways(ways, tiny_bundle)
    assert {'raw', 'float32', 'float16', 'local', 'auto', 'split:0', 'jpeg:80'} <= set(ways)
    turns = make_turns(ways, ('unlimited', '5'), 2)
    assert len(turns) == len(set(turns)) == 2 * 2 * len(ways)
    assert len({turn.name for turn in turns}) == len(turns)
    groups = list(by_session(turns))
    assert sum(len(group) for _, group in groups) == len(turns)
    rivals = [rival for rival, _ in groups]
    assert rivals.count('') == 2
    assert rivals.count('raw') == 2
    for rival, group in groups:
        assert {t.cell.way for t in group if is_rival(t.cell.way)} == ({rival} if rival else set())


def test_links() -> None:
    assert make_condition('unlimited').up_mbit is None
    assert make_condition('0.30').name == '0.3'
    for name in ('fast', '0', 'nan', '-1'):
        with pytest.raises(DataError, match=f'link {name} is neither'):
            make_condition(name)


def test_the_loopback_device_takes_no_limits() -> None:
    Loopback().shape(None, None)
    with pytest.raises(LabError, match='no rate and no loss'):
        Loopback().shape(1.0, 1.0)
    with pytest.raises(LabError):
        Loopback().cut()


def row(repeat: int, p50: float | None, wire: float) -> dict[str, Any]:
    figures: dict[str, Any] = dict.fromkeys(
        ('in_time', 'answered', 'bytes_app', 'bytes_wire_back', 'edge_cpu_ms', 'server_cpu_ms'), 1.0
    )
    figures |= dict.fromkeys(('edge_rss_mb', 'server_rss_mb', 'miou', 'map50', 'accuracy'), 0.5)
    return {
        **figures,
        'link': '5',
        'transport': 'raw',
        'repeat': repeat,
        'bytes_wire': wire,
        'streaming_miou': None,
        'end_to_end_ms': {'p50': p50, 'p95': p50, 'p99': p50},
        'stages_ms': {'edge encode': 3.0 + repeat},
        'images': [],
    }


def test_median_and_spread_over_repeats() -> None:
    found = middle([row(0, 10.0, 100.0), row(1, None, 400.0), row(2, 14.0, 200.0)])
    assert found['bytes_wire'] == 200.0
    assert found['spread']['bytes_wire'] == [100.0, 400.0]
    assert found['end_to_end_ms']['p50'] == 12.0
    assert found['stages_ms'] == {'edge encode': 4.0}
    assert found['streaming_miou'] is None
    assert found['repeats'] == 3
    assert 'images' not in found


def test_what_was_measured_is_kept_for_the_same_settings_only(tmp_path: Path) -> None:
    turn = Turn(1, Cell(make_condition('0.3'), 'h264:33'))
    Cells(tmp_path, {'images': 101}).write(turn, row(1, 3.0, 4.0))
    assert Cells(tmp_path, {'images': 101}).read(turn) == row(1, 3.0, 4.0)
    assert Cells(tmp_path, {'images': 202}).read(turn) is None
    assert Cells(tmp_path, {'images': 101}).read(Turn(2, turn.cell)) is None
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-20])
    assert Cells(tmp_path, {'images': 101}).read(turn) is None


def test_answers_of_a_video_are_judged_as_they_were(tiny_bundle: Bundle, tmp_path: Path) -> None:
    judge = Judge(tiny_bundle, tmp_path)
    wrong = judge.results.answer(40, LOCAL)
    judge.results.learn((3, 'h264:33@1.5'), wrong)
    frames = [Frame(0.0, 3, 0.05, 'h264:33@1.5', bytes=10)]
    one = Measured('5', 'h264:33', frames, [], 0.0, 100, 50, 0.01, 0.02, 50.0, 60.0)
    found = bench_row(Turn(0, Cell(make_condition('5'), 'h264:33')), one, judge, 0.15)
    assert found['miou'] == pytest.approx(judge.metrics([(3, 'h264:33@1.5')])['miou'])
    assert found['miou'] != judge.metrics([(3, LOCAL)])['miou']
    assert found['ways'] == {'h264:33': 1}
    assert found['images'] == [frame_line(frames[0])] == [[0.0, 3, 0.05, 'h264:33', 10]]


@pytest.mark.ros
@pytest.mark.slow
def test_rivals_and_nodes_answer_over_real_dds(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = load_bundle(tiny_bundle.path)
    rows: dict[str, dict[str, Any]] = {}
    ways = ('split:0', 'raw', 'float16', 'h264:30')
    measure(
        make_turns(ways, ('unlimited',), 1),
        bundle,
        Judge(bundle, tmp_path / 'answers'),
        tmp_path / 'nodes',
        10.0,
        20,
        lambda turn, found: rows.update({turn.cell.way: found}),
        loopback=True,
    )
    assert set(rows) == set(ways)
    for way, found in rows.items():
        assert found['answered'] > 0.8, way
        assert found['miou'] is not None
        assert found['edge_cpu_ms'] > 0
        assert found['end_to_end_ms']['p50'] > 0
    assert rows['raw']['bytes_app'] > 20 * rows['h264:30']['bytes_app']
    assert 'server tail' in rows['raw']['stages_ms']
    assert rows['raw']['miou'] > 0


@pytest.mark.parametrize(
    ('words', 'text'),
    [
        (['--ways', 'h267:3'], 'h267:3 is no way'),
        (['--ways', 'h264:99'], 'h264:99 is no rival'),
        (['--links', 'slow'], 'slow'),
        (['--repeats', '0'], '--repeats 0 is not from 1 to 100'),
        (['--deadline', '0'], '--deadline 0 is not from 1'),
    ],
)
def test_bad_calls_fail_at_once(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text in fails(capsys, 'bench', *words)
