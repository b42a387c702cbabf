# SPDX-License-Identifier: Apache-2.0
"""`mtl-split inspect`: bundles and recordings, whole and broken."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from rosbags.typesys import get_types_from_msg
from tests.tiny_dataset import make_dataset
from tests.tools.commands import TYPES, fails, header, stamp, write_humble_points, write_points

from mtl_split_core.bundle import Bundle, RateInfo, load_bundle, update_figures
from mtl_split_tools.bags import FEATURE_TYPE, write_bag
from mtl_split_tools.cli import main

ROOT = Path(__file__).resolve().parents[2]
SIZES = (1000, 2000, 3000)


def write_features(path: Path) -> Path:
    """Write a recording of feature maps with the definition as it is in the repository."""
    if FEATURE_TYPE not in TYPES.fielddefs:
        text = (ROOT / 'msg/FeatureMap.msg').read_text()
        TYPES.register(get_types_from_msg(text, FEATURE_TYPE))
    names = (
        'fingerprint sequence answer_session answer_until_us codec codec_version rate channels '
        'height width source_width source_height letterbox_left letterbox_top wait_us '
        'convert_us letterbox_us encode_us entropy_us crc32'
    )
    numbers = dict.fromkeys(names.split(), 0)
    with write_bag(path) as writer:
        connection = writer.add_connection('/features', FEATURE_TYPE, typestore=TYPES)
        for number, size in enumerate(SIZES):
            moment = stamp(number)
            message = TYPES.types[FEATURE_TYPE](
                header=header(moment),
                letterbox_scale=1.0,
                probe=False,
                data=np.zeros(size, np.uint8),
                **numbers,
            )
            writer.write(connection, moment, TYPES.serialize_cdr(message, FEATURE_TYPE))
    return path


def test_bundle(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / 'copy')
    rates = [RateInfo(0, 1234, 2000, 3000, 0.5, 0.25, 1.0), RateInfo(1)]
    bundle = update_figures(load_bundle(tmp_path / 'copy'), rates, 1)
    assert main(['inspect', str(tmp_path / 'copy')]) == 0
    text = capsys.readouterr().out
    for words in (
        *('tiny 1.0.0', f'{bundle.fingerprint:016x}', '96x64', '8x8x12', 'encoder.onnx'),
        *('time_of_day', 'day, dusk', '1.2 kB', '0.500', '1 (default)'),
    ):
        assert words in text


def test_recording_of_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['inspect', str(write_features(tmp_path / 'bag'))]) == 0
    text = capsys.readouterr().out
    for words in (FEATURE_TYPE, '20.00', 'messages  3', '2.0 kB', '2.9 kB', '3.0 kB'):
        assert words in text


@pytest.mark.parametrize('write', [write_points, write_humble_points])
def test_recordings_of_any_age(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write: type
) -> None:
    assert main(['inspect', str(write(tmp_path / 'bag'))]) == 0
    text = capsys.readouterr().out
    assert '/points' in text
    assert '0.450 s' in text


def test_bad_paths(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 'neither a bundle' in fails(capsys, 'inspect', tmp_path)
    assert 'not found' in fails(capsys, 'inspect', 'nowhere')
    broken = tmp_path / 'broken'
    shutil.copytree(tiny_bundle.path, broken)
    tail = broken / 'tail.onnx'
    tail.write_bytes(tail.read_bytes()[:-10])
    assert 'tail.onnx' in fails(capsys, 'inspect', broken)
    bag = write_points(tmp_path / 'bag')
    data = (bag / 'bag.mcap').read_bytes()
    (bag / 'bag.mcap').write_bytes(data[:-100])
    assert 'bag cannot be read' in fails(capsys, 'inspect', bag)


def test_a_folder_of_labelled_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_dataset(tmp_path / 'train')
    assert main(['inspect', str(folder)]) == 0
    words = ' '.join(capsys.readouterr().out.replace('│', ' ').split())
    assert '3 pictures (3 of 24x16)' in words
    assert 'car 3 3 8 8' in words
    assert 'sign 0 0 - -' in words
    assert 'road 77.08% 3' in words
    assert 'void 6.25% 3' in words
    assert 'dusk 1' in words
    (folder / 'labels/f2.png').unlink()
    assert 'f2.png is missing' in fails(capsys, 'inspect', folder)
