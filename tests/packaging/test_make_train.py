# SPDX-License-Identifier: Apache-2.0
"""`make train` with a program in place of mtl-split that writes down how it was called."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.docs.test_commands import ROOT, parse

PROGRAM = """#!/bin/bash
echo "$@" >> calls
run=out/train/camvid/checkpoints
if [[ $1 = train ]]; then mkdir -p $run; : > $run/last.ckpt; fi
if [[ $1 = export ]]; then mkdir out/train/camvid/new; fi
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the Makefile and what it calls."""
    shutil.copy(ROOT / 'Makefile', tmp_path)
    for name, text in (
        ('scripts/setup', '#!/bin/bash\necho setup "$@" >> calls\n'),
        ('ros2_ws/env.sh', 'PATH="$PWD/bin:$PATH"\n'),
        ('bin/mtl-split', PROGRAM),
    ):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


def make(clone: Path, *words: str) -> list[list[str]]:
    """Return the calls of one `make train`."""
    done = subprocess.run(['make', 'train', *words], cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    calls = (clone / 'calls').read_text().splitlines()
    (clone / 'calls').unlink()
    return [shlex.split(call) for call in calls]


def test_it_trains_exports_and_measures_and_goes_on(clone: Path) -> None:
    first = make(clone, 'DATA=DIR', 'ARGS=--epochs 3')
    assert first[0] == ['setup', 'train']
    assert [words[0] for words in first[1:]] == ['train', 'export', 'eval']
    assert '--resume' not in first[1]
    assert first[1][-2:] == ['--epochs', '3']
    assert 'DIR' in first[1]
    assert 'DIR' in first[2]
    assert 'DIR/val' in first[3]
    # What a run before it has left stays until there is something better.
    bundle = clone / 'out/train/camvid/bundle'
    (bundle / 'old').touch()
    second = make(clone)
    assert '--resume' in second[1]
    assert not list(bundle.iterdir())
    for words in (*first[1:], *second[1:]):
        parse(words)


def test_it_has_the_options_of_the_model_card(clone: Path) -> None:
    """But for the start and its epochs: the card's run went on from an older network."""
    _, train, export, _ = make(clone)
    card = (ROOT / 'models/camvid/README.md').read_text()
    written = [shlex.split(line) for line in re.findall(r'^mtl-split (.*)$', card, re.MULTILINE)]
    told = {words[0]: words for words in written}
    for words, option in ((train, '--config'), (train, '--precision'), (export, '--unweight')):
        value, there = (call[call.index(option) + 1] for call in (words, told[words[0]]))
        assert value == there, option
    flags = {'--int8', '--with-torch'}
    assert flags & {*export} == flags & {*told['export']}
    name = yaml.safe_load((ROOT / 'experiments/camvid.yaml').read_text())['bundle']['name']
    assert f'out/train/{name}' in train
