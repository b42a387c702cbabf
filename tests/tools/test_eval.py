# SPDX-License-Identifier: Apache-2.0
"""`mtl-split eval` on four made frames: the real bytes, the keys of the file, the bad inputs."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.tiny_bundle import make_tiny_bundle, street_image
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_tools.cli import main

WIDTH, HEIGHT = 80, 60


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp('eval') / 'data'
    (directory / 'images').mkdir(parents=True)
    (directory / 'labels').mkdir()
    random = np.random.default_rng(0)
    names = [f'f{number}.png' for number in range(4)]
    for number, name in enumerate(names):
        cv2.imwrite(str(directory / 'images' / name), street_image(WIDTH, HEIGHT, number))
        label = random.integers(0, 12, (HEIGHT, WIDTH)).astype(np.uint8)
        cv2.imwrite(str(directory / 'labels' / name), label)
    size = {'width': WIDTH, 'height': HEIGHT, 'time_of_day': 'day'}
    box = {'bbox': [20, 20, 24, 24], 'area': 576, 'iscrowd': 0}
    content = {
        'images': [{'id': i, 'file_name': name, **size} for i, name in enumerate(names, 1)],
        'annotations': [{'id': i, 'image_id': i, 'category_id': i, **box} for i in range(1, 5)],
        'categories': [
            {'id': i, 'name': name}
            for i, name in enumerate(('car', 'pedestrian', 'bicyclist', 'sign'), 1)
        ],
    }
    (directory / 'annotations.json').write_text(json.dumps(content))
    return directory


def evaluate(data: Path, bundle: Bundle, out: Path, *options: object) -> dict[str, Any]:
    arguments = ['eval', '--data', data, '--bundle', bundle.path, '--json', out, *options]
    assert main([str(argument) for argument in arguments]) == 0
    content: dict[str, Any] = json.loads(out.read_text())
    return content


def test_figures(data: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    found = evaluate(data, tiny_bundle, tmp_path / 'out.json', '--confusion', tmp_path / 'c.png')
    for key in ('miou', 'map50', 'map', 'accuracy'):
        assert 0 <= found[key] <= 1
    assert found['frames'] == 4
    assert 0 < found['bytes_per_frame'] <= found['bytes_per_frame_max']
    assert found['encode_ms'] > 0
    assert found['decode_ms'] > 0
    assert list(found['iou'])[:2] == ['sky', 'building']
    assert len(found['iou']) == 11
    assert set(found['map50_per_class']) == {'car', 'pedestrian', 'bicyclist', 'sign'}
    assert found['miou'] == pytest.approx(np.mean(list(found['iou'].values())))
    assert cv2.imread(str(tmp_path / 'c.png')) is not None


def test_rates_and_transports_differ_in_bytes(
    data: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    def size(*options: object) -> float:
        found = evaluate(data, tiny_bundle, tmp_path / 'out.json', '--limit', 2, *options)
        assert found['frames'] == 2
        return float(found['bytes_per_frame'])

    assert size('--rate', 0) < size('--rate', 1)
    assert size('--transport', 'raw') == WIDTH * HEIGHT * 3
    assert size('--transport', 'jpeg:20') < size('--transport', 'jpeg:90')
    assert size('--transport', 'webp:20') < size('--transport', 'webp:90')


def test_sweep(
    data: Path, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate(data, tiny_bundle, tmp_path / 'out.json', '--sweep', '--plot', tmp_path / 'p')
    rows = {row['transport']: row for row in found['rows']}
    assert {'raw', 'split:0', 'split:1', 'jpeg:95', 'jpeg:95 rounded', 'webp:1/2'} <= rows.keys()
    assert {row['frames'] for row in rows.values()} == {4}
    assert rows['jpeg:15/2']['bytes_per_frame'] < rows['jpeg:95']['bytes_per_frame']
    alone = evaluate(data, tiny_bundle, tmp_path / 'one.json', '--rate', 1)
    for key in ('bytes_per_frame', 'miou', 'map50', 'accuracy', 'iou'):
        assert rows['split:1'][key] == alone[key]
    alone = evaluate(data, tiny_bundle, tmp_path / 'one.json', '--transport', 'jpeg:15/2')
    assert rows['jpeg:15/2']['miou'] == alone['miou']
    assert json.loads((tmp_path / 'p/sweep.json').read_text()) == found
    lines = (tmp_path / 'p/sweep.csv').read_text().splitlines()
    assert len(lines) == 1 + len(rows)
    assert lines[0].startswith('transport,frames,bytes_per_frame,')
    for name in ('accuracy.png', 'overlays.jpg', 'z_b.png'):
        assert cv2.imread(str(tmp_path / 'p' / name)) is not None
    assert 'bytes against pictures' in capsys.readouterr().out


def test_update_bundle_keeps_the_fingerprint(data: Path, tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path / 'bundle')
    found = evaluate(data, bundle, tmp_path / 'out.json', '--all-rates', '--update-bundle')
    updated = load_bundle(bundle.path)
    assert updated.fingerprint == bundle.fingerprint
    assert updated.rates[0].bytes_mean == pytest.approx(
        found['rates'][0]['bytes_per_frame'], abs=0.1
    )
    assert updated.rates[1].miou == pytest.approx(found['miou'], abs=1e-4)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--rate', 7], '--rate 7: bundle tiny has rates 0 to 1'),
        (['--transport', 'png'], '--transport png is not raw, jpeg:Q or webp:Q'),
        (['--transport', 'jpeg:0'], '--transport jpeg:0'),
        (['--limit', 0], '--limit 0'),
        (['--threads', 0], '--threads 0'),
        (['--update-bundle'], '--all-rates'),
        (['--transport', 'jpeg:50/9'], '--transport jpeg:50/9'),
        (['--plot', 'somewhere'], '--plot goes with --sweep'),
        (['--sweep', '--confusion', 'c.png'], '--confusion goes with one way'),
    ],
)
def test_bad_options(
    data: Path,
    tiny_bundle: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[object],
    words: str,
) -> None:
    out = tmp_path / 'out.json'
    given = ['eval', '--data', data, '--bundle', tiny_bundle.path, '--json', out]
    assert words in fails(capsys, *given, *options)
    assert not out.exists()


def test_bad_data(
    data: Path, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def damaged(name: str, content: bytes | None) -> str:
        copy = tmp_path / name.replace('/', '-')
        shutil.copytree(data, copy)
        (copy / name).unlink()
        if content is not None:
            (copy / name).write_bytes(content)
        out = tmp_path / 'out.json'
        line = fails(capsys, 'eval', '--data', copy, '--bundle', tiny_bundle.path, '--json', out)
        assert not out.exists()
        assert str(copy / name) in line
        return line

    picture = (data / 'images/f2.png').read_bytes()
    assert 'is missing' in damaged('labels/f1.png', None)
    assert 'not a picture' in damaged('images/f2.png', picture[: len(picture) // 8])
    small = cv2.imencode('.png', np.zeros((8, 8), np.uint8))[1].tobytes()
    assert '8x8' in damaged('labels/f3.png', small)


def test_other_classes_are_refused(
    data: Path, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(data, tmp_path / 'data')
    path = tmp_path / 'data/annotations.json'
    path.write_text(path.read_text().replace('"car"', '"bus"'))
    line = fails(capsys, 'eval', '--data', tmp_path / 'data', '--bundle', tiny_bundle.path)
    assert 'car, pedestrian' in line
    assert 'bicyclist, bus' in line
