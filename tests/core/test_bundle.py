# SPDX-License-Identifier: Apache-2.0
import os
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.tiny_bundle import make_tiny_bundle

from mtl_split_core.bundle import (
    Bundle,
    TaskType,
    bundle_directories,
    load_bundle,
    update_figures,
    write_bundle,
)
from mtl_split_core.errors import BundleError


@pytest.fixture
def copied(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / 'tiny'))


def manifest_of(bundle: Bundle) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((bundle.path / 'bundle.yaml').read_text())
    for key in ('format', 'files', 'fingerprint'):
        del document[key]
    return document


def test_load(tiny_bundle: Bundle) -> None:
    bundle = load_bundle(tiny_bundle.path)
    assert bundle.fingerprint == tiny_bundle.fingerprint
    assert bundle.encoder_path == bundle.path / 'encoder.onnx'
    detection = bundle.task(TaskType.DETECTION)
    assert detection is not None
    assert [info.name for info in detection.classes] == ['car', 'pedestrian', 'bicyclist', 'sign']
    assert [task.name for task in bundle.classifications] == ['time_of_day']
    assert load_bundle(f'{tiny_bundle.path}{os.sep}').name == 'tiny'


def test_the_same_seed_gives_the_same_bundle(tiny_bundle: Bundle, tmp_path: Path) -> None:
    assert make_tiny_bundle(tmp_path / 'a').fingerprint == tiny_bundle.fingerprint
    assert make_tiny_bundle(tmp_path / 'b', seed=1).fingerprint != tiny_bundle.fingerprint


@pytest.mark.parametrize('name', ['encoder.onnx', 'tail.onnx', 'tables.npz', 'bundle.yaml'])
def test_missing_file(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(BundleError, match=name.replace('.', r'\.')):
        load_bundle(copied)


@pytest.mark.parametrize('name', ['encoder.onnx', 'tail.onnx', 'tables.npz'])
def test_broken_file(copied: Path, name: str) -> None:
    data = (copied / name).read_bytes()
    (copied / name).write_bytes(data[:-1])
    with pytest.raises(BundleError, match=rf'{name}: damaged, its SHA-256 .* again'):
        load_bundle(copied)


# What the parser says in errors that are not its own, and what is small and becomes giant.
SLY = (
    *('2001-99-99', '!!int ""', '!!bool maybe', '!!timestamp no', '!!float x', '9' * 9000),
    *('0x' + 'f' * 9000, '{0x' + 'f' * 9000 + ': 1}', '&a [*a]', '{' + 'x' * 5000 + ': 1}'),
    '[&a [x, x, x, x, x, x, x, x, x]'
    + ''.join(f', &{n} [{f"*{o}, " * 9}]' for o, n in pairwise('abcdefghij'))
    + ']',
)


@pytest.mark.parametrize('field', ['name', 'input', 'rates', 'default_rate', 'fingerprint'])
@pytest.mark.parametrize('text', SLY)
def test_sly_values(copied: Path, field: str, text: str) -> None:
    path = copied / 'bundle.yaml'
    document = yaml.safe_load(path.read_text())
    del document[field]
    path.write_text(f'{yaml.safe_dump(document)}{field}: {text}\n')
    with pytest.raises(BundleError, match=r'bundle\.yaml: ') as info:
        load_bundle(copied)
    assert len(str(info.value)) < len(str(path)) + 600


@pytest.mark.parametrize(
    'text', ['', 'name: [', '- 1', 'a: !!python/object/apply:os.system [ls]', '[' * 5000, '\0']
)
def test_broken_manifest(copied: Path, text: str) -> None:
    (copied / 'bundle.yaml').write_text(text)
    with pytest.raises(BundleError, match=r'bundle\.yaml: ') as info:
        load_bundle(copied)
    assert '\n' not in str(info.value)


def test_manifest_that_is_no_text_or_too_large(copied: Path) -> None:
    (copied / 'bundle.yaml').write_bytes(b'\xff\xfe\xfa')
    with pytest.raises(BundleError, match='not readable'):
        load_bundle(copied)
    (copied / 'bundle.yaml').write_text('#' * (2**20 + 1))
    with pytest.raises(BundleError, match='1048577 bytes'):
        load_bundle(copied)


def test_edited_by_hand(copied: Path) -> None:
    path = copied / 'bundle.yaml'
    path.write_text(path.read_text().replace('name: car', 'name: truck', 1))
    with pytest.raises(BundleError, match=r'fingerprint is .* edited by hand'):
        load_bundle(copied)


def test_found_by_name(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    empty = tmp_path / 'empty'
    empty.mkdir()
    places = [str(empty), str(tmp_path / 'nowhere'), str(tiny_bundle.path.parent)]
    monkeypatch.setenv('MTL_SPLIT_BUNDLES', os.pathsep.join(places))
    assert load_bundle('tiny').path == tiny_bundle.path
    with pytest.raises(BundleError, match=r"'none' not found") as info:
        load_bundle('none')
    for part in ('empty (holds none)', 'nowhere (does not exist)', '(holds tiny)', 'MTL_SPLIT_BUN'):
        assert part in str(info.value)
    monkeypatch.delenv('MTL_SPLIT_BUNDLES')
    share = tmp_path / 'install' / 'share' / 'mtl_split' / 'models'
    shutil.copytree(tiny_bundle.path, share / 'tiny')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'install'))
    assert load_bundle('tiny').path == share / 'tiny'
    assert bundle_directories()[-1].name == 'models'


def test_a_path_is_not_searched(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match='is no directory'):
        load_bundle(tmp_path / 'nothing')
    with pytest.raises(BundleError, match=r'has no bundle.yaml'):
        load_bundle(tmp_path)
    with pytest.raises(BundleError, match='is no directory'):
        load_bundle(f'{tmp_path}/nothing')


def test_write_replaces_the_bundle_and_keeps_the_rest(tiny_bundle: Bundle, copied: Path) -> None:
    (copied / 'README.md').write_text('card')
    manifest = {**manifest_of(tiny_bundle), 'version': '2.0.0', 'training': {'epochs': 2}}
    files = (copied / 'encoder.onnx', copied / 'tail.onnx')
    bundle = write_bundle(copied, manifest, *files, tiny_bundle.tables)
    assert bundle.version == '2.0.0'
    assert bundle.training == {'epochs': 2}
    assert bundle.fingerprint != tiny_bundle.fingerprint
    assert (copied / 'README.md').read_text() == 'card'
    assert [path.name for path in copied.parent.iterdir()] == ['tiny']


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        ({'family': ''}, 'family'),
        ({'rates': [1]}, 'rates'),
        ({'description': {1, 2}}, 'description'),
        ({'training': {'when': object()}}, 'plain numbers'),
        (
            {'feature': {'channels': 9, 'height': 8, 'width': 12}},
            '2 rates and 8 channels.*: export',
        ),
    ],
)
def test_write_leaves_the_old_bundle_when_the_new_one_is_wrong(
    tiny_bundle: Bundle, copied: Path, change: dict[str, Any], text: str
) -> None:
    before = {path.name: path.read_bytes() for path in copied.iterdir()}
    files = (tiny_bundle.encoder_path, tiny_bundle.tail_path)
    with pytest.raises(BundleError, match=text):
        write_bundle(copied, {**manifest_of(tiny_bundle), **change}, *files, tiny_bundle.tables)
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == before
    assert [path.name for path in copied.parent.iterdir()] == ['tiny']


def test_update_figures(copied: Path) -> None:
    bundle = load_bundle(copied)
    rates = [replace(rate, bytes_mean=100.0 + rate.index, miou=0.5) for rate in bundle.rates]
    updated = update_figures(bundle, rates, 0)
    assert updated.fingerprint == bundle.fingerprint
    assert updated.default_rate == 0
    assert [rate.bytes_mean for rate in updated.rates] == [100.0, 101.0]
    assert updated.rates[1].map50 is None


def test_update_figures_where_the_files_are_links(copied: Path, tmp_path: Path) -> None:
    """As in a workspace that was built with --symlink-install."""
    installed = tmp_path / 'installed'
    installed.mkdir()
    for file in copied.iterdir():
        (installed / file.name).symlink_to(file)
    bundle = load_bundle(installed)
    update_figures(bundle, [replace(rate, miou=0.5) for rate in bundle.rates], 0)
    assert (installed / 'bundle.yaml').is_symlink()
    assert load_bundle(copied).rates[0].miou == 0.5
    assert len(list(copied.iterdir())) == len(list(installed.iterdir()))


def test_update_figures_refuses(copied: Path) -> None:
    bundle = load_bundle(copied)
    before = (copied / 'bundle.yaml').read_text()
    with pytest.raises(BundleError, match='figures for 1 rates'):
        update_figures(bundle, bundle.rates[:1], 0)
    with pytest.raises(BundleError, match=r'rates\[0\].accuracy.miou is 7'):
        update_figures(bundle, [replace(bundle.rates[0], miou=7), bundle.rates[1]], 0)
    with pytest.raises(BundleError, match='default_rate is 5'):
        update_figures(bundle, bundle.rates, 5)
    assert (copied / 'bundle.yaml').read_text() == before
