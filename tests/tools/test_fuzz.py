# SPDX-License-Identifier: Apache-2.0
"""`mtl-split fuzz` in short, and that it sees what it is there to see."""

import json
import os
import signal
import time
from pathlib import Path
from random import Random

import pytest

pytest.importorskip('mtl_split.msg', reason='the workspace is not sourced')
from mtl_split.msg import FeatureMap, LinkReport, SplitContract
from sensor_msgs.msg import CompressedImage, Image
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import BundleError
from mtl_split_tools.cli import main
from mtl_split_tools.fuzz import watch, worker
from mtl_split_tools.fuzz.server import ServerDoor
from mtl_split_tools.fuzz.target import Target, outcome
from mtl_split_tools.fuzz.watch import fuzz
from mtl_split_tools.fuzz.wire import decoded
from mtl_split_tools.fuzz.worker import KINDS, Failure, Job, Kind, Told, feed_all, make

MESSAGES = 2000
KEYS = ['messages', 'crashes', 'hangs', 'slowest_ms', 'rss_growth_mb', 'seed']


def test_nothing_that_comes_in_brings_it_down(tiny_bundle: Bundle, tmp_path: Path) -> None:
    arguments = ['--bundle', str(tiny_bundle.path), '--messages', str(MESSAGES)]
    status = main(['fuzz', *arguments, '--out', str(tmp_path)])
    assert json.loads((tmp_path / 'failures.json').read_text())['failures'] == []
    assert status == 0
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert list(summary)[: len(KEYS)] == KEYS
    assert summary['messages'] == MESSAGES
    assert summary['crashes'] == summary['hangs'] == 0
    assert 0 < summary['slowest_ms'] <= worker.WIRE_MS
    assert summary['rss_growth_mb'] < 20
    assert 0 < summary['networks_ran'] <= 1 + MESSAGES * worker.NETWORKS_SHARE
    assert summary['targets'].keys() == KINDS.keys()
    for target in summary['targets'].values():
        assert sum(target['outcomes'].values()) == target['inputs'] > 0


def test_messages_reach_every_check_and_the_networks(tiny_bundle: Bundle) -> None:
    door = ServerDoor(tiny_bundle, networks_share=1.0)
    ended = {outcome(door, make(door, 1, 'features', number)) for number in range(800)}
    reasons = ('codec', 'crc', 'fingerprint', 'geometry', 'payload', 'rate', 'shape', 'size')
    assert ended >= {'answered', 'probe worked through', 'no message', 'not answered: late'}
    assert ended >= {f'refused: {reason}' for reason in reasons}


REACHED = {
    'contracts': (60, {'no message', 'noted'}),
    'reports': (120, {'no message', 'impossible', "another server's", 'noted'}),
    'images': (100, {'no message', 'refused: ImageError', 'converted'}),
    'profiles': (30, {'refused: BundleError', 'loaded'}),
    'bundles': (60, {'refused: BundleError', 'refused: BackendError', 'loaded'}),
    'bags': (60, {'refused: DataError', 'read in part', 'read'}),
}
"""How inputs of each other kind end, and among how many of them."""


@pytest.mark.parametrize('kind', sorted(KINDS.keys() - {'features'}))
def test_every_other_kind_is_let_in_as_well_as_refused(kind: str, tiny_bundle: Bundle) -> None:
    count, ends = REACHED[kind]
    door = KINDS[kind].build(tiny_bundle)
    ended = {outcome(door, make(door, 1, kind, number)) for number in range(count)}
    assert ended >= ends


def test_networks_run_for_a_share(tiny_bundle: Bundle) -> None:
    door = ServerDoor(tiny_bundle, networks_share=0.01)
    ended = [outcome(door, make(door, 1, 'features', number)) for number in range(300)]
    assert door.ration.spent == 1 + 3
    assert 'passed, networks left out' in ended


def contents(target: Target, seed: int, kind: str) -> list[str]:
    """What ten inputs say; the bytes between the fields of a message are left to chance."""
    inputs = [make(target, seed, kind, number) for number in range(10)]
    if kind == 'images':
        kinds = {b'c': CompressedImage}
        return [repr(decoded(data[1:], kinds.get(data[:1], Image))) for data in inputs]
    messages = {'features': FeatureMap, 'contracts': SplitContract, 'reports': LinkReport}
    if kind in messages:
        return [repr(decoded(data, messages[kind])) for data in inputs]
    return [repr(data) for data in inputs]


@pytest.mark.parametrize('kind', KINDS)
def test_an_input_is_made_by_its_number_alone(kind: str, tiny_bundle: Bundle) -> None:
    one, other = (KINDS[kind].build(tiny_bundle) for _ in range(2))
    make(other, 1, kind, 3)
    inputs = contents(one, 1, kind)
    assert inputs == contents(other, 1, kind)
    assert inputs != contents(other, 2, kind)


class Pipe(list[Failure | Told]):
    """Takes what the process says."""

    send = list.append


class Counter:
    """The input that is being fed."""

    value = -1


class Door:
    """A target that does as it is told."""

    def make(self, random: Random) -> bytes:
        return random.randbytes(4)

    def __init__(self, *ends: object) -> None:
        self._ends = iter(ends)

    def feed(self, _data: bytes) -> str:
        end = next(self._ends)
        if isinstance(end, Exception):
            raise end
        return str(end)


def fed(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, door: Door, hang_ms: float
) -> list[Failure | Told]:
    monkeypatch.setitem(KINDS, 'door', Kind(1.0, hang_ms, lambda _: door))
    pipe = Pipe()
    feed_all(Job(bundle.path, 1, (('door', 3),)), Counter(), pipe)  # type: ignore[arg-type]
    return pipe


def test_an_error_that_is_no_refusal_is_a_crash(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(BundleError('no'), ZeroDivisionError('oh'), 'noted')
    failure, told, _ = fed(tiny_bundle, monkeypatch, door, 1e6)
    assert isinstance(failure, Failure)
    assert (failure.problem, failure.kind, failure.number) == ('crash', 'door', 1)
    assert failure.text.startswith('ZeroDivisionError: oh (test_fuzz.py:')
    assert failure.data == make(door, 1, 'door', 1)
    assert isinstance(told, Told)
    assert told.tally.outcomes == {'noted': 1, 'refused: BundleError': 1}


def test_what_is_slow_every_time_is_a_hang(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fed(tiny_bundle, monkeypatch, Door(*['noted'] * 9), -1.0)
    assert [item.problem for item in found if isinstance(item, Failure)] == ['hang'] * 3


def failing_work(job: Job, at: 'worker.Synchronized[int]', out: 'worker.Connection') -> None:
    """Stand in for the process: input 3 kills it, input 5 never ends."""
    if job.lost is not None:
        out.send(Failure('', *job.place(job.lost), '', b'kept'))
    for index in range(job.first, 8):
        at.value = index
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 5:
            time.sleep(60)
    out.send(Told('', worker.Tally()))


@pytest.mark.real_time
def test_what_ends_or_stops_the_process_is_found_from_outside(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, 'work', failing_work)
    monkeypatch.setattr(watch, 'STUCK_S', 1.5)
    found = fuzz(Job(tiny_bundle.path, 1, (('features', 2), ('bags', 6))), lambda *_: None)
    assert [(f.problem, f.kind, f.number, f.data) for f in found.failures] == [
        ('crash', 'bags', 1, b'kept'),
        ('hang', 'bags', 3, b'kept'),
    ]


def test_failures_are_kept_and_fed_again(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door = KINDS['features'].build(tiny_bundle)
    file = tmp_path / 'features-1-7.bin'
    file.write_bytes(make(door, 1, 'features', 7))
    arguments = ('fuzz', '--bundle', str(tiny_bundle.path), '--replay')
    assert main([*arguments, str(file)]) == 0
    assert 'ms of CPU time' in capsys.readouterr().out
    assert 'has to begin with one of features' in fails(capsys, *arguments, tmp_path / 'x.bin')


def test_errors(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ('fuzz', '--bundle', tiny_bundle.path)
    assert '--messages 0 is not' in fails(capsys, *arguments, '--messages', 0)
