# SPDX-License-Identifier: Apache-2.0
"""Profiles: written and read back, and every damage named."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.made_profile import made_profile

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import BundleError
from mtl_split_core.profile import (
    Mode,
    load_profile,
    machine_name,
    profile_path,
    profile_paths,
    read_profile,
    save_profile,
)


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    shutil.copytree(tiny_bundle.path, tmp_path / 'tiny')
    return load_bundle(tmp_path / 'tiny')


def test_read_as_written(bundle: Bundle) -> None:
    profile = made_profile(bundle.fingerprint, rates=2)
    save_profile(profile, profile_path(bundle, machine_name()))
    assert load_profile(bundle) == profile
    assert profile_paths(bundle) == [profile_path(bundle, machine_name())]
    names = [point.name for point in profile.points]
    assert names[:4] == ['local', 'split:0', 'split:1', 'jpeg:10']
    assert profile.points[1].quality == pytest.approx(0.6)


def test_read_without_its_bundle(bundle: Bundle, tmp_path: Path) -> None:
    profile = made_profile(bundle.fingerprint)
    points = tuple(replace(point, edge_memory_mb=81.5) for point in profile.points)
    save_profile(replace(profile, points=points), tmp_path / 'orin.yaml')
    assert read_profile(tmp_path / 'orin.yaml').points == points
    with pytest.raises(BundleError, match='give a file that `mtl-split profile` wrote'):
        read_profile(tmp_path / 'nano.yaml')


def test_the_first_format_is_still_read(bundle: Bundle) -> None:
    path = profile_path(bundle, 'm')
    profile = made_profile(bundle.fingerprint, rates=2)
    save_profile(profile, path)
    document = yaml.safe_load(path.read_text())
    document['format'] = 1
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(BundleError, match='edge_memory_mb is not a known field'):
        load_profile(bundle, path)
    for point in document['points']:
        del point['edge_memory_mb']
    path.write_text(yaml.safe_dump(document))
    assert load_profile(bundle, path) == profile


def test_selection_by_mode_and_rate() -> None:
    profile = made_profile()
    assert [point.name for point in profile.select(Mode.SPLIT, 3)] == ['split:3']
    assert len(profile.select(Mode.REMOTE)) == 10
    assert profile.select(Mode.SPLIT, 9) == ()


def test_this_machine_comes_first(bundle: Bundle) -> None:
    profile = made_profile(bundle.fingerprint, rates=2)
    for name in ('aaa', machine_name(), 'zzz'):
        save_profile(profile, profile_path(bundle, name))
    assert profile_paths(bundle)[0] == profile_path(bundle, machine_name())
    assert len(profile_paths(bundle)) == 3


def test_missing_says_what_there_is_and_what_to_run(bundle: Bundle) -> None:
    save_profile(made_profile(bundle.fingerprint, rates=2), profile_path(bundle, 'other'))
    with pytest.raises(BundleError, match=r'profile-other\.yaml\): run `mtl-split profile'):
        load_profile(bundle)


def test_another_bundle_is_refused(bundle: Bundle) -> None:
    path = profile_path(bundle, 'm')
    save_profile(made_profile(1, rates=2), path)
    with pytest.raises(BundleError, match=r'was measured with bundle made \(0000000000000001\)'):
        load_profile(bundle, path)


@pytest.mark.parametrize('name', ['', '../x', 'UPPER', 'a b'])
def test_machine_names_that_are_no_file_names(bundle: Bundle, name: str) -> None:
    with pytest.raises(BundleError, match='no name for a profile'):
        profile_path(bundle, name)


CHANGES: list[tuple[tuple[Any, ...], Any, str]] = [
    (('format',), 3, 'format is 3, allowed is a whole number from 1 to 2'),
    (('fingerprint',), 'xyz', 'fingerprint is'),
    (('machine',), '../../etc', 'machine is'),
    (('points',), [], 'points is'),
    (('points', 0, 'mode'), 'fast', r'points\[0\].mode'),
    (('points', 0, 'codec'), 'jpeg', r'points\[0\].codec'),
    (('points', 1, 'codec'), 'float16', r'points\[1\].codec'),
    (('points', 1, 'rate'), 2, r'points\[1\].rate is 2, allowed is a whole number from 0 to 1'),
    (('points', 1, 'rate'), 1, 'each mode and rate once'),
    (('points', 1, 'edge_ms'), float('nan'), r'points\[1\].edge_ms'),
    (('points', 1, 'bytes', 'mean'), 0, r'points\[1\].bytes.mean'),
    (('points', 1, 'bytes', 'p95'), 1e30, r'points\[1\].bytes.p95'),
    (('points', 1, 'accuracy', 'miou'), 1.5, r'points\[1\].accuracy.miou'),
    (('points', 1, 'accuracy', 'miou'), None, 'the same metrics'),
    (('points', 1, 'edge_memory_mb'), 0, r'points\[1\].edge_memory_mb'),
    (('points', 1, 'more'), 1, r'points\[1\].more is not a known field'),
]


@pytest.mark.parametrize(('where', 'value', 'words'), CHANGES)
def test_each_wrong_field_is_named(
    bundle: Bundle, where: tuple[Any, ...], value: Any, words: str
) -> None:
    path = profile_path(bundle, 'm')
    save_profile(made_profile(bundle.fingerprint, rates=2), path)
    document = yaml.safe_load(path.read_text())
    place = document
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(BundleError, match=words) as found:
        load_profile(bundle, path)
    assert str(path) in str(found.value)


@pytest.mark.parametrize('content', [b'\xff', b'a: [', b'- 1', b'', b'!!python/object:x {}'])
def test_what_is_no_profile(bundle: Bundle, content: bytes) -> None:
    path = profile_path(bundle, 'm')
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r'profile-m\.yaml'):
        load_profile(bundle, path)


def test_a_profile_without_any_metric_is_refused(bundle: Bundle) -> None:
    path = profile_path(bundle, 'm')
    profile = made_profile(bundle.fingerprint, rates=2)
    points = [replace(p, miou=None, map50=None, accuracy=None) for p in profile.points]
    save_profile(replace(profile, points=tuple(points)), path)
    with pytest.raises(BundleError, match='at least one'):
        load_profile(bundle, path)
