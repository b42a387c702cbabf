# SPDX-License-Identifier: Apache-2.0
"""`mtl-split profile`, and how `inspect` shows what it wrote."""

import shutil
from pathlib import Path

import pytest
from tests.made_profile import made_profile
from tests.tools import test_eval
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import DataError
from mtl_split_core.profile import Mode, load_profile, profile_path, save_profile
from mtl_split_tools.cli import main
from mtl_split_tools.footprint import measure_memory

data = test_eval.data


def test_measures_every_way(
    tiny_bundle: Bundle, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'tiny'
    shutil.copytree(tiny_bundle.path, path)
    arguments = ['--bundle', str(path), '--data', str(data), '--machine', 'bench', '--limit', '3']
    assert main(['profile', *arguments]) == 0
    bundle = load_bundle(path)
    profile = load_profile(bundle, profile_path(bundle, 'bench'))
    assert (profile.machine, profile.frames) == ('bench', 3)
    assert len(profile.points) == 1 + 2 + 10
    (local,) = profile.select(Mode.LOCAL)
    assert local.server_ms == local.bytes_mean == 0
    assert local.edge_ms > 0
    (sent, *_) = profile.select(Mode.SPLIT)
    assert sent.edge_memory_mb
    assert local.edge_memory_mb
    # NumPy, OpenCV and ONNX Runtime alone take this much, and the tiny networks next to nothing.
    assert 20 < sent.edge_memory_mb < local.edge_memory_mb + 5 < 500
    for point in (*profile.select(Mode.SPLIT), *profile.select(Mode.REMOTE)):
        assert point.edge_ms > 0
        assert point.server_ms > 0
        assert 0 < point.bytes_mean <= point.bytes_p95 <= point.bytes_max
        assert point.miou is not None
    sizes = [point.bytes_mean for point in profile.select(Mode.REMOTE)[:5]]
    assert sizes == sorted(sizes)
    assert 'profile-bench.yaml is written' in capsys.readouterr().out

    save_profile(made_profile(1, rates=2), profile_path(bundle, 'stale'))
    assert main(['inspect', str(path)]) == 0
    text = capsys.readouterr().out
    assert 'profile on bench, 3 frames' in text
    assert 'jpeg:95' in text
    assert 'was measured with bundle made' in ' '.join(text.split())


def test_errors(tiny_bundle: Bundle, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ('profile', '--bundle', tiny_bundle.path, '--data', data)
    assert '--limit 0 is not at least 1' in fails(capsys, *arguments, '--limit', 0)
    assert 'no name for a profile' in fails(capsys, *arguments, '--machine', '../x')


def test_memory_that_cannot_be_measured_says_why(tiny_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / 'tiny')
    bundle = load_bundle(tmp_path / 'tiny')
    bundle.tail_path.write_bytes(b'no network')
    with pytest.raises(DataError, match=r'memory of mode local .* said: .*tail\.onnx: damaged'):
        measure_memory(bundle, Mode.LOCAL, 1)
