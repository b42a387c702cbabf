# SPDX-License-Identifier: Apache-2.0
"""`mtl-split plan`: units, files, table, JSON, picture, and what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from tests.made_profile import FINGERPRINT, made_profile
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import DataError
from mtl_split_core.profile import Profile, machine_name, save_profile
from mtl_split_tools.cli import main
from mtl_split_tools.plan.profiles import load_profiles, warnings
from mtl_split_tools.plan.units import bandwidth_text, parse_bandwidth, parse_memory


def saved(path: Path, profile: Profile) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_profile(profile, path)
    return str(path)


def remembering(profile: Profile, memory_mb: float) -> Profile:
    points = tuple(replace(point, edge_memory_mb=memory_mb) for point in profile.points)
    return replace(profile, points=points)


@pytest.mark.parametrize(
    ('text', 'bits'),
    [('300k', 3e5), ('1M', 1e6), ('1.5M', 1.5e6), ('.5G', 5e8), ('2 Mbit/s', 2e6), ('8Mbps', 8e6)],
)
def test_bandwidth(text: str, bits: float) -> None:
    assert parse_bandwidth(text, '--bandwidth') == pytest.approx(bits)


@pytest.mark.parametrize(
    ('text', 'mb'), [('200M', 200), ('1.5G', 1500), ('64MB', 64), ('9k', 9e-3)]
)
def test_memory(text: str, mb: float) -> None:
    assert parse_memory(text, '--memory') == pytest.approx(mb)


@pytest.mark.parametrize(
    'text',
    [
        '',
        '1',
        '1m',
        'M',
        '-1M',
        '0M',
        '1MB',
        '1 Mb/s',
        '1e6M',
        '1M1',
        'nanM',
        '\u0661M',
        '9' * 16 + 'G',
    ],
)
def test_what_is_no_bandwidth(text: str) -> None:
    with pytest.raises(DataError, match=r'--bandwidth .* is not a number with k, M or G'):
        parse_bandwidth(text, '--bandwidth')


@pytest.mark.parametrize('text', ['200', '200MiB', '200Mbit', '0k', '2 0M'])
def test_what_is_no_memory(text: str) -> None:
    with pytest.raises(DataError, match=r'--memory .* such as 200M'):
        parse_memory(text, '--memory')


def test_bandwidth_as_text() -> None:
    shown = [bandwidth_text(bits) for bits in (37_500, 1e6, 1.5e6, 2e9)]
    assert shown == ['37.5 kbit/s', '1 Mbit/s', '1.5 Mbit/s', '2 Gbit/s']


def test_plan_of_two_profiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    near = saved(tmp_path / 'near.yaml', remembering(made_profile(), 120.0))
    far = replace(remembering(made_profile(2, local_ms=60.0), 300.0), bundle='large')
    arguments = ['--profile', near, '--profile', saved(tmp_path / 'far.yaml', far)]
    arguments += ['--bandwidth', '1M', '--deadline', '105']
    out, picture = tmp_path / 'out/plan.json', tmp_path / 'out/plan.png'
    files = ['--json', str(out), '--plot', str(picture)]
    assert main(['plan', *arguments, *files]) == 0
    plan = json.loads(out.read_text())
    assert plan['chosen'] == plan['front'][0] == 'large local'
    assert len(plan['candidates']) == 2 * 16
    chosen = plan['candidates'][0]
    assert (chosen['placement'], chosen['rate'], chosen['reasons']) == ('local', None, [])
    assert chosen['edge_busy'] == pytest.approx(0.9)
    shape = cv2.imread(str(picture)).shape
    assert shape[1] > shape[0] > 400
    text = ' '.join(capsys.readouterr().out.split())
    assert 'large local (the edge alone) is the most accurate that fits' in text
    assert 'dominated' in text

    assert main(['plan', *arguments, *files, '--memory', '200M']) == 0
    plan = json.loads(out.read_text())
    assert plan['chosen'] == 'made split:2'
    assert plan['demand']['memory_mb'] == 200
    found = {one['name']: one for one in plan['candidates']}
    assert found['made split:2']['rate'] == 2
    assert found['large local']['reasons'] == [
        {'limit': 'memory', 'text': '100 MB over the memory of the edge'}
    ]


def test_nothing_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, picture = saved(tmp_path / 'a.yaml', made_profile()), tmp_path / 'a.png'
    arguments = ['--profile', path, '--bandwidth', '20k', '--deadline', '100']
    assert main(['plan', *arguments, '--plot', str(picture)]) == 1
    text = ' '.join(capsys.readouterr().out.split())
    assert 'nothing fits; nearest is made local: deadline missed by 10 ms' in text
    assert cv2.imread(str(picture)) is not None


def test_a_profile_without_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = saved(tmp_path / 'old.yaml', made_profile())
    new = saved(tmp_path / 'new.yaml', replace(remembering(made_profile(), 120.0), bundle='new'))
    arguments = ['plan', '--profile', old, '--bandwidth', '1M', '--memory', '200M']
    assert main(arguments) == 1
    assert 'memory of the edge not measured' in ' '.join(capsys.readouterr().out.split())
    assert main([*arguments, '--profile', new]) == 0


def test_without_deadline_there_is_none_in_the_document(tmp_path: Path) -> None:
    path, out = saved(tmp_path / 'a.yaml', made_profile()), tmp_path / 'plan.json'
    arguments = ['--profile', path, '--bandwidth', '20M', '--json', str(out)]
    assert main(['plan', *arguments, '--plot', str(tmp_path / 'a.png')]) == 0
    assert json.loads(out.read_text())['demand']['deadline_ms'] is None


def test_bundles_and_short_names(tiny_bundle: Bundle, tmp_path: Path) -> None:
    bundle = tmp_path / 'tiny'
    shutil.copytree(tiny_bundle.path, bundle)
    profile = made_profile(tiny_bundle.fingerprint, rates=2)
    own = saved(bundle / f'profile-{machine_name()}.yaml', profile)
    assert load_profiles([str(bundle)]) == load_profiles([own]) == {'made': profile}
    elsewhere = saved(tmp_path / 'x/orin.yaml', replace(profile, machine='orin'))
    assert set(load_profiles([str(bundle), elsewhere])) == {'made@made-up', 'made@orin'}
    again = saved(tmp_path / 'y/again.yaml', profile)
    other = saved(tmp_path / 'y/other.yaml', replace(profile, bundle='other', frames=7))
    found = load_profiles([str(bundle), again, elsewhere, other])
    assert list(found) == [str(bundle), again, 'made@orin', 'other']
    assert warnings(found) == [
        'times come from different machines: made-up, orin',
        'accuracies come from different numbers of frames: 7, 100',
    ]


def test_errors(tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / 'a.yaml', made_profile())
    start: tuple[object, ...] = ('plan', '--bandwidth', '1M')
    one = (*start, '--profile', path)
    assert 'run `mtl-split profile' in fails(capsys, *start, '--profile', tiny_bundle.path)
    assert 'not found' in fails(capsys, *start, '--profile', 'moon').lower()
    assert 'no.yaml: not readable' in fails(capsys, *start, '--profile', tmp_path / 'no.yaml')
    assert 'is given twice' in fails(capsys, *one, '--profile', path)
    assert "--bandwidth '1' is not" in fails(capsys, 'plan', '--profile', path, '--bandwidth', '1')
    assert '--deadline nan is not' in fails(capsys, *one, '--deadline', 'nan')
    assert '--edge-share 0 is not' in fails(capsys, *one, '--edge-share', 0)
    stale = saved(tmp_path / 'tiny/profile-x.yaml', made_profile(FINGERPRINT, rates=2))
    shutil.copytree(tiny_bundle.path, tmp_path / 'tiny', dirs_exist_ok=True)
    assert 'was measured with bundle made' in fails(capsys, *start, '--profile', stale)
    points = tuple(replace(point, map50=None) for point in made_profile().points)
    fewer = saved(tmp_path / 'b.yaml', replace(made_profile(), bundle='b', points=points))
    assert 'profile b measured miou, accuracy, profile made miou, map50, accuracy' in fails(
        capsys, *one, '--profile', fewer
    )
