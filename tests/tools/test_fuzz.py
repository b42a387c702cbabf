# SPDX-License-Identifier: Apache-2.0
"""`mtl-split fuzz` in short, and that it sees what it is there to see."""

import json
from pathlib import Path

import pytest
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle
from mtl_split_core.packet import FeaturePacket
from mtl_split_tools import fuzz_target
from mtl_split_tools.cli import main
from mtl_split_tools.fuzz_target import Failure, Finished, Target, work

MESSAGES = 2000


def test_nothing_on_the_wire_brings_it_down(tiny_bundle: Bundle, tmp_path: Path) -> None:
    arguments = ['--bundle', str(tiny_bundle.path), '--messages', str(MESSAGES)]
    assert main(['fuzz', *arguments, '--out', str(tmp_path)]) == 0
    summary = json.loads((tmp_path / 'summary.json').read_text())
    keys = ['messages', 'crashes', 'hangs', 'slowest_ms', 'rss_growth_mb', 'seed']
    assert list(summary) == keys
    assert summary['messages'] == MESSAGES
    assert summary['crashes'] == summary['hangs'] == 0
    assert 0 < summary['slowest_ms'] <= 100
    assert summary['rss_growth_mb'] < 100
    assert json.loads((tmp_path / 'failures.json').read_text())['failures'] == []


@pytest.fixture
def target(tiny_bundle: Bundle) -> Target:
    return Target(tiny_bundle, 1)


def test_messages_reach_every_check_and_the_networks(target: Target) -> None:
    outcomes = {target.feed(target.make(number)) for number in range(600)}
    reasons = ('codec', 'crc', 'fingerprint', 'geometry', 'payload', 'rate', 'shape', 'size')
    assert outcomes >= {'answered', 'noted', *(f'refused: {reason}' for reason in reasons)}


def test_a_message_is_made_by_its_number_alone(target: Target, tiny_bundle: Bundle) -> None:
    other = Target(tiny_bundle, 1)
    other.make(3)
    for number in range(50):
        one, two = target.make(number), other.make(number)
        assert type(one) is type(two)
        if isinstance(one, FeaturePacket) and isinstance(two, FeaturePacket):
            assert bytes(one.payload) == bytes(two.payload)
            assert one.crc32 == two.crc32


class Pipe(list[Failure | Finished]):
    """Takes what the process says."""

    send = list.append


class Counter:
    """The number that is being fed."""

    value = -1


def test_an_error_that_is_no_refusal_is_a_crash(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = iter(['noted', '', 'noted'])

    def feed(_target: Target, _message: object) -> str:
        if not (outcome := next(outcomes)):
            raise ZeroDivisionError
        return outcome

    monkeypatch.setattr(Target, 'feed', feed)
    pipe, at = Pipe(), Counter()
    work(tiny_bundle.path, 1, 0, 3, at, pipe)  # type: ignore[arg-type]
    failure, finished = pipe
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.number) == ('crash', 1)
    assert isinstance(finished, Finished)
    assert finished.outcomes == {'noted': 2}


def test_what_is_slow_every_time_is_a_hang(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz_target, 'HANG_MS', -1.0)
    pipe = Pipe()
    work(tiny_bundle.path, 1, 0, 1, Counter(), pipe)  # type: ignore[arg-type]
    assert isinstance(pipe[0], Failure)
    assert pipe[0].kind == 'hang'


def test_one_message_again(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['fuzz', '--bundle', str(tiny_bundle.path), '--only', '5']) == 0
    assert capsys.readouterr().out


def test_errors(tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ('fuzz', '--bundle', tiny_bundle.path)
    assert '--messages 0 is not' in fails(capsys, *arguments, '--messages', 0)
