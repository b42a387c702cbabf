# SPDX-License-Identifier: Apache-2.0
"""`mtl-split bench`: the plan, the rivals through real DDS, and what is kept of a measurement."""

from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.tiny_bundle import make_tiny_bundle
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import DataError
from mtl_split_edge.fates import Outcome
from mtl_split_ros.windows import StageWindows
from mtl_split_tools import cli
from mtl_split_tools.bench.buffers import BYTES, large_buffers
from mtl_split_tools.bench.command import bench_row, measure
from mtl_split_tools.bench.other_bundles import load_others
from mtl_split_tools.bench.plan import (
    LINKS,
    Turn,
    by_session,
    check_ways,
    make_condition,
    make_turns,
    make_ways,
)
from mtl_split_tools.bench.record import Cells, describe_settings, frame_line, middle
from mtl_split_tools.bench.rivals import is_rival, parse_rival
from mtl_split_tools.bench.session import estimate_s
from mtl_split_tools.bench.video import VideoDecoder, VideoEncoder
from mtl_split_tools.lab import Finding, LabError
from mtl_split_tools.lab.link import Loopback
from mtl_split_tools.link_bench import session
from mtl_split_tools.link_bench.frames import Frame, Measured
from mtl_split_tools.link_bench.judge import Judge
from mtl_split_tools.link_bench.plan import LOCAL, Cell
from mtl_split_tools.link_bench.session import RATE_HZ, WINDOW, own_stages


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


def test_a_key_picture_comes_every_second_of_the_camera() -> None:
    edge = pytest.importorskip('mtl_split_tools.bench.rival_edge', reason='needs ROS 2')
    assert edge.FPS == RATE_HZ


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
    assert {'raw', 'float32', 'float16', 'local', 'auto', 'split:0', 'split:1'} <= set(ways)
    assert {'jpeg:30', 'jpeg:50', 'jpeg:80', 'webp:80', 'h264:33', 'h265:33'} <= set(ways)
    assert LINKS == ('unlimited', '20', '5', '1', '0.3')
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
    figures: dict[str, Any] = dict.fromkeys(('in_time', 'answered', 'by_edge', 'bytes_app'), 1.0)
    figures |= dict.fromkeys(('bytes_wire_back', 'edge_cpu_ms', 'server_cpu_ms'), 1.0)
    figures |= {'edge_cpu_s': 1.0 + repeat, 'server_cpu_s': 2.0}
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
        'bytes_sent': {'mean': None if repeat == 1 else 10.0 + repeat, 'p95': 20.0},
        'images': [],
    }


def test_median_and_spread_over_repeats() -> None:
    found = middle([row(0, 10.0, 100.0), row(1, None, 400.0), row(2, 14.0, 200.0)])
    assert found['bytes_wire'] == 200.0
    assert found['spread']['bytes_wire'] == [100.0, 400.0]
    assert found['end_to_end_ms']['p50'] == 12.0
    assert found['stages_ms'] == {'edge encode': 4.0}
    assert found['bytes_sent'] == {'mean': 11.0, 'p95': 20.0}
    assert found['spread']['bytes_sent']['mean'] == [10.0, 12.0]
    assert found['edge_cpu_s'] == 2.0
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
    text = path.read_text()
    for damaged in (text[:-20], '[]', '{"row": {}}'):
        path.write_text(damaged)
        assert Cells(tmp_path, {'images': 101}).read(turn) is None


def test_two_namespaces_and_the_loopback_device_are_not_one_run(tiny_bundle: Bundle) -> None:
    there, here = (describe_settings(tiny_bundle, 150.0, 9, loopback=on) for on in (False, True))
    assert there != here


def test_buffers_are_added_to_the_profile_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('FASTRTPS_DEFAULT_PROFILES_FILE', raising=False)
    (path,) = map(Path, large_buffers(tmp_path / 'new').values())
    text = path.read_text()
    assert f'<listenSocketBufferSize>{BYTES}</listenSocketBufferSize>' in text
    assert '<sec>1</sec>' in text  # what ships is still there
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', 'my.xml')
    assert large_buffers(tmp_path) == {}


def finding(**stages: tuple[int, float]) -> Finding:
    values = {}
    for stage, (frames, median) in stages.items():
        values |= {f'{stage} frames': str(frames), f'{stage} ms p50': f'{median:.2f}'}
    return Finding(0.0, 'edge: features', 0, '', values)


def test_stages_of_what_was_measured_before_are_not_told() -> None:
    begin = finding(encode=(500, 9.0))
    for late in (500, 500 + WINDOW // 2):  # a way without a part of it, and a link nearly shut
        assert own_stages([begin, finding(encode=(late, 8.0))], 'edge') == {}
    # a machine whose stages always take alike tells the same median
    full = [begin, finding(encode=(500 + WINDOW, 9.0))]
    assert own_stages(full, 'edge') == {'edge encode': 9.0}
    young = [finding(encode=(10, 9.0)), finding(encode=(21, 3.0))]  # the window is not full yet
    assert own_stages(young, 'edge') == {'edge encode': 3.0}
    assert own_stages([], 'edge') == {}
    assert signature(StageWindows).parameters['size'].default == WINDOW


def test_a_stage_that_stands_still_is_of_another_way() -> None:
    told = [
        finding(encode=(499, 9.0), entropy=(500, 1.0)),
        finding(encode=(500, 9.1), entropy=(560, 1.5)),  # the last picture of the way before
        finding(encode=(500, 9.1), entropy=(640, 2.1), tail=(80, 5.0)),
    ]
    assert own_stages(told, 'server') == {'server entropy': 2.1, 'server tail': 5.0}


def test_bytes_of_what_was_sent_and_fates_are_told_for_each_image(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    frames = [
        Frame(0.0, 0, 0.1, 'jpeg:80', Outcome.ANSWERED_BY_SERVER, bytes=100),
        Frame(0.1, 1, None, 'jpeg:80', Outcome.MISSED, bytes=300),
        Frame(0.2, 2, None, '', Outcome.DROPPED),
        Frame(0.3, 3, 0.05, 'local', Outcome.ANSWERED_BY_EDGE),
        Frame(0.4, 4, None),
    ]
    assert [frame_line(frame)[5] for frame in frames] == [
        *('server', 'missed', 'dropped', 'edge', 'untold')
    ]
    one = Measured('unlimited', 'auto', frames, [], 0.0, 0, 0, 0.5, 0.25, 50.0, 60.0)
    turn = Turn(0, Cell(make_condition('unlimited'), 'auto'))
    found = bench_row(turn, one, Judge(tiny_bundle, tmp_path), 0.15)
    assert found['bytes_app'] == 80  # of five images of the camera
    assert found['bytes_sent'] == {'mean': 200, 'p95': pytest.approx(290)}
    assert found['bytes_wire'] is None  # nothing counts the loopback device
    assert (found['edge_cpu_s'], found['edge_cpu_ms']) == (0.5, pytest.approx(100))


def test_estimate_grows_with_measurements_and_with_processes_to_start() -> None:
    ours, rivals = (make_turns(ways, ('5',), 1) for ways in (('split:0', 'jpeg:80'), ('raw',)))
    assert 20 < estimate_s(ours, 101) < 40
    assert estimate_s([*ours, *rivals], 101) > estimate_s(ours, 101) + 10


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
    assert found['images'] == [frame_line(frames[0])] == [[0.0, 3, 0.05, 'h264:33', 10, 'server']]


@pytest.mark.ros(beside=True)
@pytest.mark.slow
def test_rivals_and_nodes_answer_over_real_dds(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, 'SETTLE_S', 1.0)
    bundle = load_bundle(tiny_bundle.path)
    rows: dict[str, dict[str, Any]] = {}
    ways = ('split:0', LOCAL, 'other:1', 'raw', 'float16', 'h264:30')
    other = make_tiny_bundle(tmp_path / 'other', seed=1, name='other')
    others = load_others([str(other.path)], tmp_path / 'answers')
    measure(
        make_turns(ways, ('unlimited',), 1),
        bundle,
        Judge(bundle, tmp_path / 'answers'),
        tmp_path / 'nodes',
        10.0,
        20,
        lambda turn, found: rows.update({turn.cell.way: found}),
        loopback=True,
        others=others,
    )
    assert set(rows) == set(ways)
    assert rows['other:1']['fingerprint'] == f'{other.fingerprint:016x}'
    assert rows['other:1']['miou'] != rows['split:0']['miou']
    for way, found in rows.items():
        assert found['answered'] > 0.8, way
        assert found['miou'] is not None
        assert found['edge_cpu_ms'] > 0
        assert found['end_to_end_ms']['p50'] > 0
        assert found['bytes_wire'] is None
    assert 'server tail' in rows['split:0']['stages_ms']
    assert rows[LOCAL]['stages_ms'] == {}
    assert rows[LOCAL]['bytes_app'] == 0
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


def test_an_empty_list_is_not_everything(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='2'):
        cli.main(['bench', '--ways', ','])
    assert "argument --ways: ',' names nothing" in capsys.readouterr().err
