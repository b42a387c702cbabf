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
run=out/train/camvid
[[ $* = *time-of-day.yaml* ]] && run=$run/time-of-day
if [[ $1 = train ]]; then mkdir -p $run/checkpoints; : > $run/checkpoints/last.ckpt; fi
if [[ $1 = export ]]; then mkdir $run/new; fi
"""
TRAINING = ('--config', '--precision')


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
    assert [words[0] for words in first[1:]] == ['train', 'train', 'export', 'eval']
    network, classifier, export, measure = first[1:]
    assert not {'--resume', '--init'} & {*network}
    last = 'out/train/camvid/checkpoints/last.ckpt'
    assert classifier[classifier.index('--init') + 1] == last
    assert export[export.index('--checkpoint') + 1] == last.replace('camvid', 'camvid/time-of-day')
    for words in (network, classifier):
        assert words[words.index('--epochs') + 1] == '3'
    assert all('DIR' in words for words in (network, classifier, export))
    # The export of the second takes back what the class weights of the first did.
    runs = [
        yaml.safe_load((ROOT / words[words.index('--config') + 1]).read_text())
        for words in (network, classifier)
    ]
    for section in ('bundle', 'network', 'rates'):
        assert runs[0][section] == runs[1][section]
    assert runs[0]['loss']['balance'] == runs[1]['loss']['balance']
    assert 'DIR/val' in measure
    # What a run before it has left stays until there is something better.
    bundle = clone / 'out/train/camvid/bundle'
    (bundle / 'old').touch()
    second = make(clone)
    assert ['--resume' in words for words in second[1:3]] == [True, False]
    assert not list(bundle.iterdir())
    for words in (*first[1:], *second[1:]):
        parse(words)


def test_it_has_the_options_of_the_model_card(clone: Path) -> None:
    """But for the start and its epochs: the card's run went on from an older network."""
    _, *trainings, export, _ = make(clone)
    card = (ROOT / 'models/camvid/README.md').read_text()
    written = [shlex.split(line) for line in re.findall(r'^mtl-split (.*)$', card, re.MULTILINE)]
    told = [[words for words in written if words[0] == kind] for kind in ('train', 'export')]
    assert [len(calls) for calls in told] == [2, 2]
    pairs = [(*both, o) for both in zip(trainings, told[0], strict=True) for o in TRAINING]
    for words, card_words, option in [*pairs, (export, told[1][0], '--unweight')]:
        value, there = (call[call.index(option) + 1] for call in (words, card_words))
        assert value == there, option
    flags = {'--int8', '--with-torch'}
    assert all(flags & {*export} == flags & {*words} for words in told[1])
    name = yaml.safe_load((ROOT / 'experiments/camvid.yaml').read_text())['bundle']['name']
    assert f'out/train/{name}' in trainings[0]
