# SPDX-License-Identifier: Apache-2.0
"""Every command in a ```bash block of the documentation, held against what it names.

A command of this project is parsed as the command line would, without being run (that is for
test_every_command.py); what takes a file of the repository needs that file. A program of somebody
else has to be in OTHERS. Else it fails. In the text, where commands stand without what they need,
their names and options are looked up.
"""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtl_split_core.errors import MtlSplitError

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted((ROOT / 'docs').rglob('*.md')),
    *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'security/README.md')),
    *sorted((ROOT / 'models').glob('*/README.md')),
]
OTHERS = {
    'apt-get', 'cd', 'colcon', 'cp', 'do', 'docker', 'done', 'export', 'fastdds', 'for', 'git',
    'openssl', 'rosdep', 'sed', 'source', 'sudo', 'systemctl', 'umask',
}  # fmt: skip
ROS_OTHERS = {'bag', 'param', 'security', 'service', 'topic', 'node'}
SEPARATORS = {'&&', '||', ';', '|', '&'}


def blocks(page: Path) -> Iterator[str]:
    yield from re.findall(r'^```bash\n(.*?)^```', page.read_text(), re.MULTILINE | re.DOTALL)


def commands(block: str) -> Iterator[list[str]]:
    for line in block.replace('\\\n', ' ').splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars='&|;')
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ';']:
            if word in SEPARATORS:
                if words:
                    yield words
                words = []
            elif words or not re.fullmatch(r'[A-Z_]+=.*', word):
                words.append(word)


ALL = [
    pytest.param(words, id=f'{page.relative_to(ROOT)}: {" ".join(words)}')
    for page in PAGES
    for block in blocks(page)
    for words in commands(block)
]


def parse(words: list[str], *, in_text: bool = False) -> None:
    """As mtl_split_tools.cli does."""
    from mtl_split_tools.cli import COMMANDS, load_command  # noqa: PLC0415

    name, *rest = words
    if name == 'COMMAND':
        return
    assert name in COMMANDS
    try:
        module = load_command(name, COMMANDS[name][0])
    except MtlSplitError as error:
        pytest.skip(str(error))
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    if in_text:
        known = parser.format_help()
        assert [word for word in rest if word.startswith('-') and word not in known] == []
    elif '--help' not in rest:
        _, unknown = parser.parse_known_args(rest)
        assert unknown == []


def launched(words: list[str]) -> None:
    package, file, *arguments = words
    assert package == 'mtl_split'
    described = (ROOT / 'launch' / file).read_text()
    described += (ROOT / 'src/mtl_split_ros/launching.py').read_text()
    described += (ROOT / 'config/edge.yaml').read_text() + (ROOT / 'config/server.yaml').read_text()
    for argument in arguments:
        name = argument.partition(':=')[0]
        if name != '--show-args':
            assert re.search(rf'\b{re.escape(name)}\b', described), f'{file} has no {name}'


def of_ros(words: list[str]) -> None:
    match words:
        case ['launch', *rest]:
            launched(rest)
        case ['run', 'mtl_split', program, *_]:
            assert (ROOT / 'scripts' / program).is_file()
        case ['run', package, *_]:
            assert package == 'rmw_zenoh_cpp'
        case ['param', 'set' | 'get' | 'describe', node, name, *_]:
            assert re.search(
                rf'^ +{name}:', (ROOT / f'config{node}.yaml').read_text(), re.MULTILINE
            )
        case _:
            assert words[0] in ROS_OTHERS


def check(words: list[str]) -> None:
    program, *rest = words
    for word in words:
        if re.match(r'(scripts|experiments|systemd|docker|requirements|samples)/', word):
            assert (ROOT / word).exists(), word
    if program == 'mtl-split':
        parse(rest)
    elif program == 'ros2':
        of_ros(rest)
    elif program == 'make':
        assert re.search(rf'^{rest[0]}:', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    elif not program.startswith('scripts/'):
        assert program in OTHERS


@pytest.mark.parametrize('words', ALL)
def test_command_exists(words: list[str]) -> None:
    check(words)


@pytest.mark.parametrize(
    'command',
    [
        'mtl-split inspekt camvid',
        'mtl-split inspect camvid --no-such-option',
        'make nothing',
        'scripts/nothing',
        'frobnicate',
        'ros2 launch mtl_split edge.launch.py no_such_argument:=1',
        'ros2 param set /edge no_such_parameter 1',
    ],
)
def test_wrong_command_is_found(command: str) -> None:
    with pytest.raises((AssertionError, argparse.ArgumentError, SystemExit)):
        check(command.split())


OURS = r'`((?:mtl-split [a-z]|make [a-z]|scripts/|ros2 (?:launch|run) mtl_split )[^`]*)`'
IN_TEXT = sorted(
    {
        (str(page.relative_to(ROOT)), ' '.join(text.split()))
        for page in PAGES
        for text in re.findall(OURS, re.sub(r'```.*?```', '', page.read_text(), flags=re.DOTALL))
    }
)


@pytest.mark.parametrize(('page', 'text'), IN_TEXT)
def test_command_in_the_text_exists(page: str, text: str) -> None:
    for words in commands(text):
        if words[0] == 'mtl-split':
            parse(words[1:], in_text=True)
        else:
            check(words)


def test_there_are_commands() -> None:
    assert len(IN_TEXT) > 30
    assert len(ALL) > 50
