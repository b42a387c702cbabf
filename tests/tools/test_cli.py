# SPDX-License-Identifier: Apache-2.0
"""The command line itself: help, usage errors, Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.tools.commands import environment, fails

from mtl_split_core.errors import DataError
from mtl_split_tools import inspect
from mtl_split_tools.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
NEEDS_TORCH = ('train', 'export')


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(['--help'])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert set(COMMANDS) <= set(re.findall(r'^ {4}([\w-]+)', text, re.MULTILINE))
    assert 'examples:' in text


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(['--version'])
    assert ended.value.code == 0
    package = ElementTree.parse(ROOT / 'package.xml')
    assert capsys.readouterr().out == f'mtl-split {package.findtext("version")}\n'


@pytest.mark.parametrize('name', [name for name in COMMANDS if name not in NEEDS_TORCH])
def test_each_command_has_help_with_examples(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, '--help'])
    assert ended.value.code == 0
    assert f'examples:\n  mtl-split {name}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], 'required: COMMAND'),
        (['fly'], "invalid choice: 'fly'"),
        (['inspect'], 'required: PATH'),
        (['inspect', 'a', 'b'], 'unrecognized arguments: b'),
        (['replay', 'x', '--rate', 'fast'], "invalid float value: 'fast'"),
        (['eval', '--data', 'x', '--rate', '1', '--transport', 'raw'], 'not allowed with'),
    ],
)
def test_usage_errors_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith('mtl-split: ')
    assert words in line
    assert '--help`' in line


@pytest.mark.skipif(find_spec('torch') is not None, reason='torch is installed')
@pytest.mark.parametrize('name', NEEDS_TORCH)
def test_training_without_torch_says_what_to_install(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert 'requirements/train.txt' in fails(capsys, name)


def test_errors_of_several_lines_come_out_as_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_options: object) -> int:
        msg = 'first\n  second'
        raise DataError(msg)

    monkeypatch.setattr(inspect, 'run', run)
    assert fails(capsys, 'inspect', 'x') == 'mtl-split: first second'


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, 'run', lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert main(['inspect', 'x']) == 130
    assert capsys.readouterr().err == 'mtl-split: interrupted\n'


@pytest.mark.parametrize(
    'command', [[ROOT / 'scripts/mtl-split'], [sys.executable, '-m', 'mtl_split_tools']]
)
def test_both_ways_to_call_it(command: list[str | Path]) -> None:
    ended = subprocess.run(
        [*command, 'inspect', 'nowhere'], env=environment(), capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("mtl-split: bundle 'nowhere' not found")


def test_inspect_needs_neither_ros_nor_torch() -> None:
    code = (
        'import sys; from mtl_split_tools.cli import main; main(["inspect", "nowhere"]); '
        'print([name for name in ("rclpy", "torch", "av") if name in sys.modules])'
    )
    ended = subprocess.run(
        [sys.executable, '-c', code], env=environment(), capture_output=True, text=True
    )
    assert ended.stdout.strip() == '[]'
