# SPDX-License-Identifier: Apache-2.0
"""`mtl-split doctor`: what it says of a machine, of a bundle, and of graphs that are made up."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.made_profile import made_profile
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.profile import machine_name, profile_path, save_profile
from mtl_split_edge.link import Report
from mtl_split_ros.status import Level
from mtl_split_server.pipeline import Contract
from mtl_split_tools.cli import main
from mtl_split_tools.doctor import environment
from mtl_split_tools.doctor.finding import Finding, count
from mtl_split_tools.doctor.flow import (
    check_clock,
    check_contract,
    check_diagnostics,
    check_link,
    check_rates,
)
from mtl_split_tools.doctor.graph import check_graph, nearest
from mtl_split_tools.doctor.model import check_bundle, check_providers
from mtl_split_tools.doctor.scan import (
    COMPRESSED,
    CONTRACT,
    FEATURES,
    IMAGE,
    REPORT,
    Complaint,
    Endpoint,
    Mismatch,
    Scan,
    Stream,
    Topic,
)

DOCUMENT = Path(__file__).resolve().parents[2] / 'docs/troubleshooting.md'
EDGE, SERVER, CAMERA = '/edge', '/server', '/camera'
FINGERPRINT = 7
CLOCK = 'rosgraph_msgs/msg/Clock'


def topic(name: str, kind: str, publishers: str, subscribers: str) -> Topic:
    """Return a topic; the nodes are given as words."""
    return Topic(
        name,
        tuple(Endpoint(node, kind) for node in publishers.split()),
        tuple(Endpoint(node, kind) for node in subscribers.split()),
    )


def graph(*changed: Topic, without: tuple[str, ...] = (), **fields: object) -> Scan:
    """Return a scan in which all is well but for what is given."""
    good = (
        topic('/image', IMAGE, CAMERA, EDGE),
        topic('/features', FEATURES, EDGE, SERVER),
        topic('/contract', CONTRACT, EDGE, SERVER),
        topic('/link_report', REPORT, SERVER, f'{EDGE} {SERVER}'),
    )
    topics = {found.name: found for found in (*good, *changed) if found.name not in without}
    scan = Scan(
        5.0,
        'domain 0, this subnet',
        (CAMERA, EDGE, SERVER),
        topics,
        {'/image': stream(15.0), '/features': stream(15.0)},
        {'/contract': (Contract('tiny', '1.0.0', FINGERPRINT, 1),)},
        {'/link_report': (REPORTED,)},
        {'edge: link': Complaint(Level.OK, 'fine', {'round trip ms p50': '41.00'})},
        {EDGE: {'mode': 'split'}, SERVER: {}},
    )
    return replace(scan, **fields)  # type: ignore[arg-type]


def stream(rate: float, age_s: float = 0.01, **fields: int) -> Stream:
    """Return a stream of two seconds."""
    heard = round(2 * rate) + 1
    return Stream(heard, 10.0, 12.0, 5000 * heard, [age_s] * heard, **fields)


REPORTED = Report(
    fingerprint=FINGERPRINT,
    session=2,
    interval=1.0,
    received=15,
    lost=0,
    refused=0,
    answered=15,
    goodput=75_000.0,
    last_sequence=15,
    hold_s=0.0,
    service_s=0.02,
    busy_fraction=0.3,
    refusal='',
)


def judged(scan: Scan, camera_hz: float | None = None) -> list[Finding]:
    return [
        *check_graph(scan),
        *check_rates(scan, camera_hz),
        *check_contract(scan, None),
        *check_link(scan),
        *check_clock(scan),
        *check_diagnostics(scan),
    ]


def trouble(scan: Scan, camera_hz: float | None = None) -> list[Finding]:
    return [finding for finding in judged(scan, camera_hz) if finding.level > Level.OK]


def test_a_graph_in_order() -> None:
    assert trouble(graph(), 15.0) == []
    texts = [finding.what for finding in judged(graph())]
    assert '/edge: 15.0 Hz answered, 0.0% of frames lost, 75.0 kB/s, round trip 41.00 ms' in texts
    assert '/features: 15.0 Hz, 5.0 kB a frame' in texts


def reports(**fields: object) -> dict[str, object]:
    return {'reports': {'/link_report': (replace(REPORTED, **fields),)}}  # type: ignore[arg-type]


def streams(image: Stream, features: Stream) -> dict[str, object]:
    return {'streams': {'/image': image, '/features': features}}


FAULTS: dict[str, tuple[Scan, Level, str, str]] = {
    'nobody': (Scan(5.0), Level.ERROR, 'no edge and no server found in 5 s', 'ROS_DOMAIN_ID'),
    'no server': (
        graph(without=('/link_report',)),
        Level.ERROR,
        'no server found, there is only an edge',
        'ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET',
    ),
    'no server for auto': (
        graph(without=('/link_report',), parameters={EDGE: {'mode': 'auto'}}),
        Level.WARN,
        'no server found',
        'start it',
    ),
    'no edge': (graph(without=('/features', '/contract')), Level.ERROR, 'no edge found', 'start'),
    'one name': (graph(nodes=(EDGE, EDGE)), Level.WARN, '2 nodes are called /edge', 'namespace'),
    'types': (
        graph(Topic('/image', (Endpoint(CAMERA, COMPRESSED),), (Endpoint(EDGE, IMAGE),))),
        Level.ERROR,
        f'/image has 2 types: /camera publishes {COMPRESSED}; /edge wants {IMAGE}',
        'image_transport',
    ),
    'QoS of ours': (
        graph(
            replace(
                topic('/image', IMAGE, CAMERA, EDGE),
                mismatches=(Mismatch(CAMERA, EDGE, 'Best effort publisher and reliable ...'),),
            )
        ),
        Level.ERROR,
        '/image: /edge hears nothing of /camera (Best effort',
        'qos_overrides./image.subscription.reliability:=best_effort',
    ),
    'QoS of theirs': (
        graph(
            replace(
                topic('/features', FEATURES, EDGE, f'{SERVER} /other'),
                mismatches=(
                    Mismatch(EDGE, '/other', 'Volatile publisher and transient local ...'),
                ),
            )
        ),
        Level.ERROR,
        '/features: /other hears nothing of /edge',
        'start /edge with -p qos_overrides./features.publisher.durability:=transient_local',
    ),
    'another name': (
        graph(
            topic('/image', IMAGE, '', EDGE),
            topic('/front/image_raw', IMAGE, CAMERA, ''),
            topic('/depth', IMAGE, CAMERA, ''),
        ),
        Level.ERROR,
        'the nearest image topic is /front/image_raw',
        'image_topic:=/front/image_raw image_transport:=raw',
    ),
    'compressed beside it': (
        graph(topic('/image', IMAGE, '', EDGE), topic('/image/compressed', COMPRESSED, CAMERA, '')),
        Level.ERROR,
        'the nearest image topic is /image/compressed',
        'image_topic:=/image image_transport:=compressed',
    ),
    'no camera': (
        graph(topic('/image', IMAGE, '', EDGE)),
        Level.ERROR,
        'nobody publishes /image, from which /edge wants images',
        'start the camera',
    ),
    'namespaces': (
        graph(
            topic('/features', FEATURES, EDGE, ''), topic('/front/features', FEATURES, '', SERVER)
        ),
        Level.ERROR,
        '/edge publishes /features, which no server wants; /server wants /front/features',
        'server.launch.py without namespace',
    ),
    'reports elsewhere': (
        graph(topic('/link_report', REPORT, '', EDGE), topic('/x/link_report', REPORT, SERVER, '')),
        Level.ERROR,
        'nobody publishes /link_report, from which /edge wants link reports',
        'remap link_report of /server',
    ),
    'two servers': (
        graph(topic('/link_report', REPORT, f'{SERVER} /b/server', EDGE)),
        Level.ERROR,
        '2 servers share /link_report: /b/server, /server',
        'namespace',
    ),
    'two edges': (
        graph(topic('/features', FEATURES, f'{EDGE} /b/edge', SERVER)),
        Level.WARN,
        '2 edges share /features',
        'frame_id',
    ),
    'still': (
        graph(**streams(Stream(), Stream())),
        Level.ERROR,
        '/image has publishers (1, /camera), but no image came in 5 s',
        'camera',
    ),
    'slow edge': (
        graph(**streams(stream(15.0), stream(5.0))),
        Level.WARN,
        'the edge is slower than its camera',
        'threads',
    ),
    'silent edge': (
        graph(**streams(stream(15.0), Stream())),
        Level.ERROR,
        '/edge gets images and sends nothing on /features',
        'edge: image',
    ),
    'no contract': (graph(contracts={}), Level.ERROR, '/edge has announced no contract', 'qos'),
    'bundles': (
        graph(**reports(fingerprint=8)),
        Level.ERROR,
        '/edge runs tiny 1.0.0 (0000000000000007), its server a bundle 0000000000000008',
        'parameter bundle',
    ),
    'no reports': (
        graph(reports={}),
        Level.ERROR,
        '/link_report has a publisher, but no report came',
        'ping',
    ),
    'losses': (graph(**reports(lost=1)), Level.WARN, '6.2% of frames lost', 'lower rate'),
    'many losses': (graph(**reports(lost=15)), Level.ERROR, '50.0% of frames lost', 'mode auto'),
    'all lost': (
        graph(**reports(received=0, answered=0)),
        Level.ERROR,
        'no frame of /edge reached its server in 5 s, it sent 31',
        'firewall',
    ),
    'refused': (
        graph(**reports(refusal='crc32 is 1')),
        Level.ERROR,
        'the server of /edge refuses frames: crc32 is 1',
        'same bundle',
    ),
    'late': (graph(**reports(late=2)), Level.WARN, '2 frames of /edge came too late', 'deadline'),
    'busy': (graph(**reports(busy_fraction=0.99)), Level.WARN, 'busy 99%', 'threads'),
    'no clock': (
        graph(parameters={EDGE: {'use_sim_time': True}}),
        Level.ERROR,
        'use_sim_time is set on /edge, and nobody publishes /clock',
        '--clock',
    ),
    'two clocks': (
        graph(topic('/clock', CLOCK, '/one /two', '')),
        Level.ERROR,
        '/clock has 2 publishers',
        'end all but one',
    ),
    'stamps of zero': (
        graph(**streams(stream(15.0, zeros=31), stream(15.0))),
        Level.WARN,
        '31 of 31 images on /image have a stamp of zero',
        'header.stamp',
    ),
    'back': (
        graph(**streams(stream(15.0, steps_back=2), stream(15.0))),
        Level.WARN,
        'stamps on /image went back 2 times',
        'looping',
    ),
    'ahead': (
        graph(**streams(stream(15.0, -3.0), stream(15.0))),
        Level.WARN,
        'images on /image are stamped 3.0 s ahead of the clock of this machine',
        'chronyc',
    ),
    'old': (
        graph(**streams(stream(15.0, 900.0), stream(15.0))),
        Level.WARN,
        'images on /image are stamped 900 s before',
        '--clock',
    ),
    'a node complains': (
        graph(statuses={'edge: image': Complaint(Level.ERROR, 'image refused: because')}),
        Level.ERROR,
        'edge: image: image refused: because',
        'troubleshooting',
    ),
    'no diagnostics': (graph(statuses={}), Level.WARN, 'no diagnostics of edge', '--seconds'),
}


@pytest.mark.parametrize('name', FAULTS)
def test_each_fault_is_said_with_what_helps(name: str) -> None:
    scan, level, what, remedy = FAULTS[name]
    said = [found for found in trouble(scan) if what in found.what]
    assert said, [found.what for found in trouble(scan)]
    assert said[0].level is level
    assert remedy in said[0].remedy
    assert all(found.remedy for found in trouble(scan))


def test_what_is_no_fault() -> None:
    """Others' diagnostics, a still camera in mode local, and a slow camera if nobody told."""
    others = {
        'edge: link': Complaint(Level.OK, ''),
        'motor: heat': Complaint(Level.ERROR, 'too hot'),
    }
    assert trouble(graph(statuses=others)) == []
    local = {EDGE: {'mode': 'local'}}
    assert trouble(graph(parameters=local, **streams(stream(15.0), Stream()))) == []
    slow = graph(**streams(stream(5.0), stream(5.0)))
    assert trouble(slow) == []
    (finding,) = trouble(slow, 15.0)
    assert '/image: 5.0 Hz, 15 Hz expected' in finding.what


@pytest.mark.parametrize(
    ('name', 'others', 'best'),
    [
        ('/front/image', ('/rear/image', '/front/camera/image_raw'), '/front/camera/image_raw'),
        ('/image', ('/depth/camera_info', '/camera/image'), '/camera/image'),
        ('/image', ('/zzz', '/camera/image_raw'), '/camera/image_raw'),
        ('/image', (), ''),
    ],
)
def test_nearest_name(name: str, others: tuple[str, ...], best: str) -> None:
    assert nearest(name, others) == best


def said_of(variables: Mapping[str, str]) -> str:
    return '\n'.join(
        f'{found.level.name} {found.what} | {found.remedy}'
        for found in environment.check_environment(variables)
    )


@pytest.mark.parametrize(
    ('variables', 'words'),
    [
        ({}, 'ERROR ROS 2 is not sourced: '),
        ({'ROS_DOMAIN_ID': 'seven'}, "ERROR ROS_DOMAIN_ID is 'seven', allowed are 0 to 232"),
        ({'ROS_DOMAIN_ID': '150'}, 'WARN ROS_DOMAIN_ID is 150'),
        ({'ROS_DOMAIN_ID': '42'}, 'OK ROS_DOMAIN_ID is 42'),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}, 'RANGE is OFF: nodes do not find each other'),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'ALL'}, "ERROR ROS_AUTOMATIC_DISCOVERY_RANGE is 'ALL'"),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, 'LOCALHOST: this machine only'),
        ({'ROS_LOCALHOST_ONLY': '1'}, 'WARN ROS_LOCALHOST_ONLY is 1'),
        ({'ROS_STATIC_PEERS': '10.0.0.2'}, 'OK ROS_STATIC_PEERS is 10.0.0.2'),
    ],
)
def test_variables(variables: dict[str, str], words: str) -> None:
    assert words in said_of(variables)


def test_middleware_by_its_package(tmp_path: Path) -> None:
    share = tmp_path / 'share'
    index = share / 'ament_index/resource_index/rmw_typesupport'
    index.mkdir(parents=True)
    (share / 'rmw_fastrtps_cpp').mkdir()
    (share / 'rmw_fastrtps_cpp/package.xml').write_text('<p><version>8.4.3</version></p>')
    for name in ('rmw_fastrtps_cpp', 'rmw_implementation'):
        (index / name).touch()
    variables = {'AMENT_PREFIX_PATH': str(tmp_path)}
    assert 'OK middleware rmw_fastrtps_cpp 8.4.3' in said_of(variables)
    text = said_of({**variables, 'RMW_IMPLEMENTATION': 'rmw_zenoh_cpp'})
    assert 'ERROR RMW_IMPLEMENTATION is rmw_zenoh_cpp, which is not installed' in text
    assert 'there are: rmw_fastrtps_cpp |' in text
    assert 'sudo apt install ros-jazzy-rmw-zenoh-cpp' in text


def test_packages_against_the_locks(tmp_path: Path) -> None:
    (tmp_path / 'edge.in').write_text('numpy\nnot-there\n')
    (tmp_path / 'runtime.in').write_text('-r edge.in\nrich\n')
    locked = "numpy==0.1 ; python_full_version < '4' \\\n    --hash=sha256:0\nnot-there==1.0\n"
    for name in ('runtime', 'jazzy'):
        (tmp_path / f'{name}.txt').write_text(locked)
    missing, different = environment.check_packages({}, tmp_path)
    assert (missing.level, missing.what) == (Level.ERROR, 'Python packages missing: not-there')
    assert different.level is Level.WARN
    assert '(locked: 0.1)' in different.what
    assert 'scripts/setup' in different.remedy
    (nothing,) = environment.check_packages({}, tmp_path / 'elsewhere')
    assert nothing.level is Level.OK


@pytest.mark.parametrize(
    ('size', 'level', 'remedy'),
    [(100_000, Level.WARN, True), (212_992, Level.OK, True), (8_000_000, Level.OK, False)],
)
def test_socket_buffers(tmp_path: Path, size: int, level: Level, remedy: bool) -> None:
    path = tmp_path / 'rmem_max'
    path.write_text(f'{size}\n')
    finding = environment.check_buffers(path)
    assert finding.level is level
    assert bool(finding.remedy) == remedy
    assert str(size) in finding.what


def test_bundle_profile_and_providers(tiny_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / 'tiny')
    bundle, (whole, profile) = check_bundle(str(tmp_path / 'tiny'))
    assert bundle
    assert f'tiny 1.0.0 ({tiny_bundle.fingerprint:016x})' in whole.what
    assert 'mode auto would not start here' in profile.what
    assert f'mtl-split profile --bundle {tmp_path}' in profile.remedy
    path = profile_path(bundle, machine_name())
    rates = len(bundle.rates)
    save_profile(made_profile(bundle.fingerprint, rates=rates), path)
    assert 'ways to answer a frame' in check_bundle(str(bundle.path))[1][1].what
    save_profile(made_profile(1, rates=rates), path)
    assert check_bundle(str(bundle.path))[1][1].level is Level.WARN
    (loaded,) = check_providers(bundle, 'onnxruntime', ())
    assert (loaded.level, 'CPUExecutionProvider' in loaded.what) == (Level.OK, True)
    (absent,) = check_providers(bundle, 'onnxruntime', ('NoExecutionProvider',))
    assert absent.level is Level.ERROR
    assert "provider 'NoExecutionProvider' is not in this ONNX Runtime" in absent.what
    tail = bundle.tail_path
    tail.write_bytes(tail.read_bytes()[:-1])
    broken, (finding,) = check_bundle(str(bundle.path))
    assert broken is None
    assert (finding.level, 'damaged' in finding.what) == (Level.ERROR, True)


def test_another_bundle_here(tiny_bundle: Bundle) -> None:
    bundle = load_bundle(tiny_bundle.path)
    warned = [found for found in check_contract(graph(), bundle) if found.level is Level.WARN]
    assert 'the bundle here is tiny' in warned[0].what
    assert '--bundle tiny' in warned[0].remedy


def test_the_rest_of_the_document() -> None:
    """What the table at the end of the document quotes is what is said."""
    table = DOCUMENT.read_text().partition('## Also')[2]
    quoted = re.findall(r'^\| `([^`]+)` \|', table, re.MULTILINE)
    sources = [path.read_text() for path in Path(environment.__file__).parent.glob('*.py')]
    sources.append((DOCUMENT.parents[1] / 'src/mtl_split_core/ort_backend.py').read_text())
    assert quoted
    for message in quoted:
        pattern = '.*'.join(map(re.escape, re.split('…|^2 ', message)))
        assert any(re.search(pattern, text) for text in sources), message


def test_this_machine_only(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ['doctor', '--seconds', '0', '--bundle', str(tiny_bundle.path)]
    status = main([*arguments, '--json'])
    document = json.loads(capsys.readouterr().out)
    findings = [
        Finding(Level[found['level'].upper()], found['area'], found['what'])
        for found in document['findings']
    ]
    assert document['counts'] == count(findings)
    assert status == (document['counts']['error'] > 0)
    assert {'ROS 2', 'environment', 'bundle', 'providers'} == {found.area for found in findings}
    assert document['topics'] == []
    assert main([*arguments[:-1], str(tmp_path)]) == 1
    assert 'no bundle.yaml' in ' '.join(capsys.readouterr().out.split())


def test_where_ros_cannot_start(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends a process whose middleware is missing, and nothing could be said after that."""
    monkeypatch.setenv('RMW_IMPLEMENTATION', 'rmw_nothing_cpp')
    monkeypatch.setenv('ROS_DOMAIN_ID', 'seven')
    assert main(['doctor', '--json', '--bundle', str(tiny_bundle.path)]) == 1
    findings = json.loads(capsys.readouterr().out)['findings']
    errors = [found['what'] for found in findings if found['level'] == 'error']
    assert any("ROS_DOMAIN_ID is 'seven'" in what for what in errors)
    assert 'the graph was not looked at' in findings[-1]['what']


def test_bad_calls(capsys: pytest.CaptureFixture[str]) -> None:
    assert '--seconds -1 is not 0 to' in fails(capsys, 'doctor', '--seconds', '-1')
    assert '--hz 0 is not above 0' in fails(capsys, 'doctor', '--hz', '0')
