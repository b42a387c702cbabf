# SPDX-License-Identifier: Apache-2.0
"""The commands of the documents, run as they stand there, in a folder with what they name."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.interfaces import ConnectionExtRosbag2
from tests.docs.test_commands import PAGES, ROOT, blocks, commands
from tests.made_profile import made_profile
from tests.tiny_bundle import make_tiny_bundle, street_image
from tests.tools.commands import TYPES, image_message, stamp
from tests.tools.test_demo import make_data

from mtl_split_core.bundle import Bundle
from mtl_split_core.profile import machine_name, profile_path, save_profile
from mtl_split_tools.bags import offered_qos, write_bag
from mtl_split_tools.cli import main

RUN_PAGES = ('README.md', 'docs/planning.md', 'docs/viewing.md', 'docs/first-afternoon.md')
HERE = Path(__file__).parent
ELSEWHERE = {
    'mtl-split doctor': 'tests/ros/test_doctor.py: without nodes it ends with 1',
    'mtl-split view': 'tests/ros/test_view.py: goes on until Ctrl-C',
    'mtl-split view --namespace /front': 'tests/ros/test_view.py: goes on until Ctrl-C',
    'mtl-split view out/demo/results.mcap': 'tests/tools/test_view.py: goes on until Ctrl-C',
    'mtl-split view out/annotate/results.mcap --beside BAG': 'the same',
    'mtl-split replay BAG': 'tests/tools/test_replay.py: needs a graph',
    'mtl-split replay out/demo/results.mcap --topics /features /contract '
    '--wait-for-subscribers 1': 'tests/ros/test_recorded_features.py: needs a graph',
    'mtl-split doctor --seconds 3': 'tests/ros/test_doctor.py: without nodes it ends with 1',
    'mtl-split profile': 'test_own_data_session.py: 101 pictures by each way',
    'mtl-split profile --bundle camvid': 'test_own_data_session.py: 101 pictures by each way',
}
"""What cannot be run here in a second, and the test that runs it with other words."""
LONG = {
    'train': 'tests/train',
    'export': 'tests/train/test_train_export.py',
    'experiment': 'tests/tools/test_experiment.py',
}
"""Commands that take minutes or hours, whatever their words."""


def of(page: Path) -> list[list[str]]:
    found = [words for block in blocks(page) for words in commands(block)]
    return [words[1:] for words in found if words[0] == 'mtl-split' and words[1] != 'COMMAND']


RUN = {
    str(page.relative_to(ROOT)): [
        words
        for words in of(page)
        if f'mtl-split {" ".join(words)}' not in ELSEWHERE
        and (words[0] not in LONG or words[-1] == '--help')
    ]
    for page in (ROOT / name for name in RUN_PAGES)
}


def bag(path: Path, topic: str, pictures: int = 3) -> None:
    kind = 'sensor_msgs/msg/Image'
    with write_bag(path) as writer:
        connection: ConnectionExtRosbag2 = writer.add_connection(
            topic, kind, typestore=TYPES, offered_qos_profiles=[offered_qos()]
        )
        for number in range(pictures):
            picture = np.ascontiguousarray(street_image(96, 64, number))
            writer.write(connection, stamp(number), image_message(stamp(number), picture))


@pytest.fixture(scope='module')
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small one, as `camvid`."""
    bundle = make_tiny_bundle(tmp_path_factory.mktemp('named') / 'camvid', name='camvid')
    profile = made_profile(bundle.fingerprint, rates=len(bundle.rates))
    points = tuple(replace(point, edge_memory_mb=100.0) for point in profile.points)
    save_profile(replace(profile, points=points), profile_path(bundle, machine_name()))
    return bundle


@pytest.fixture
def clone(tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which everything has the names that the documents give it."""
    monkeypatch.setenv('MTL_SPLIT_BUNDLES', str(bundle.path.parent))
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'samples').symlink_to(ROOT / 'samples')
    shutil.copytree(bundle.path, tmp_path / 'models' / 'camvid')
    for name in ('a', 'b'):
        copy = shutil.copytree(bundle.path, tmp_path / 'out' / name)
        assert list(copy.glob('profile-*.yaml'))
    bag(tmp_path / 'BAG', '/image')
    for name in ('DIR', 'FOLDER_OR_VIDEO'):
        make_data(tmp_path / name, 2)
    return tmp_path


def prepare(clone: Path, words: Sequence[str]) -> None:
    """What another page, or another command before it, would have left."""
    if 'my_bag' in words and words[0] == 'annotate':
        bag(clone / 'my_bag', '/camera/image_raw')
    if 'out/demo/results.mcap' in words:
        assert main(['annotate', 'BAG', '--out', 'out/demo', '--no-video']) == 0


@pytest.mark.parametrize('page', RUN)
def test_commands_run(page: str, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in RUN[page]:
        prepare(clone, words)
        if words[-1] == '--help':
            with pytest.raises(SystemExit, match='0'):
                main(words)
            continue
        with monkeypatch.context() as patch:
            if words[0] == 'eval':
                # it has the rate that the small one lacks
                patch.setenv('MTL_SPLIT_BUNDLES', str(ROOT / 'models'))
            assert main(words) == 0, words
        for option in ('--out', '--save', '--json', '--plot'):
            if option in words:
                assert (clone / words[words.index(option) + 1]).exists()


def test_what_is_not_run_is_in_a_document() -> None:
    """Else the list says more than there is."""
    written = {f'mtl-split {" ".join(words)}' for page in PAGES for words in of(page)}
    assert ELSEWHERE.keys() <= written
    assert LONG.keys() <= {words[0] for page in PAGES for words in of(page)}
    for place in {*ELSEWHERE.values(), *LONG.values()}:
        name = place.partition(':')[0]
        assert name == 'the same' or (ROOT / name).exists() or (HERE / name).exists()


def test_there_are_commands_to_run() -> None:
    assert all(RUN.values())
    assert sum(map(len, RUN.values())) >= 12
