# SPDX-License-Identifier: Apache-2.0
"""Every command of the documents is run by a test; a list says by which."""

import re

import pytest
from tests.docs.runners import (
    COMMANDS,
    ELSEWHERE,
    EXPERIMENTS,
    IN_CI,
    elsewhere,
    of,
    runner,
)
from tests.docs.test_commands import ROOT

EACH = [pytest.param(page, words, id=f'{page}: {" ".join(words)}') for page, words in COMMANDS]
RUNNERS = sorted({name for page, words in COMMANDS if (name := runner(page, words))})


@pytest.mark.parametrize(('page', 'words'), EACH)
def test_it_is_run_or_listed(page: str, words: list[str]) -> None:
    if words[:2] == ['mtl-split', 'COMMAND']:
        return
    assert runner(page, words) or elsewhere(words), 'no test runs it: see tests/docs/runners.py'


@pytest.mark.parametrize('name', RUNNERS)
def test_a_runner_takes_its_commands_from_the_list(name: str) -> None:
    """And not from one of its own, which would grow old."""
    text = (ROOT / name).read_text()
    assert 'from tests.docs.runners import' in text or 'blocks(' in text
    assert of(name)


def test_the_lists_say_no_more_than_the_documents() -> None:
    written = {' '.join(words) for _, words in COMMANDS}
    assert {*ELSEWHERE, *IN_CI} <= written
    assert {words[2] for _, words in COMMANDS if words[:2] == ['mtl-split', 'experiment']} == set(
        EXPERIMENTS
    )
    assert not {*IN_CI} & {*ELSEWHERE}


@pytest.mark.parametrize(('name', 'test'), EXPERIMENTS.items())
def test_an_experiment_is_run_where_it_says(name: str, test: str) -> None:
    assert re.search(rf"'experiment',\s*'{name}'", (ROOT / test).read_text())


def test_other_words_are_those_of_the_same_command() -> None:
    for text, test in ELSEWHERE.items():
        program, *rest = text.split()
        name = {'fastdds': 'discovery', 'ros2': 'create_'}.get(program, (rest or [''])[0])
        if program in ('mtl-split', 'fastdds', 'ros2'):
            assert name in (ROOT / test).read_text(), f'{test} has no {name}'


def test_ci_runs_what_is_said() -> None:
    for text, file in IN_CI.items():
        if not text.startswith('cd '):
            first = ' '.join(text.split()[:2])
            assert first in (ROOT / file).read_text(), f'{file} has no {first}'


def test_a_new_command_would_be_missed() -> None:
    for text in ('docker pull ros:jazzy', 'mtl-split experiment moon', 'sudo reboot', 'ros2 bag'):
        words = text.split()
        assert [runner('README.md', words), elsewhere(words)] == [None] * 2
