# SPDX-License-Identifier: Apache-2.0
"""`mtl-split doctor`: what it says of graphs that are made up."""

from dataclasses import replace

import pytest
from tests.tools.made_graph import CAMERA, CLOCK, EDGE, REPORTED, SERVER, graph, stream, topic

from mtl_split_ros.status import Level
from mtl_split_tools.doctor.finding import Finding
from mtl_split_tools.doctor.flow import (
    check_clock,
    check_contract,
    check_diagnostics,
    check_link,
    check_rates,
)
from mtl_split_tools.doctor.graph import check_graph, nearest
from mtl_split_tools.doctor.scan import (
    COMPRESSED,
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
    'the whole name': (
        graph(
            Topic('/image/compressed', (Endpoint(CAMERA, COMPRESSED),), (Endpoint(EDGE, IMAGE),))
        ),
        Level.ERROR,
        '/image/compressed has 2 types',
        'image_topic:=/image image_transport:=compressed',
    ),
    'the whole name, and the transport': (
        graph(
            topic('/image/compressed/compressed', COMPRESSED, '', EDGE),
            topic('/image/compressed', COMPRESSED, CAMERA, ''),
        ),
        Level.ERROR,
        'the nearest image topic is /image/compressed',
        'image_topic:=/image image_transport:=compressed',
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
    'lost on the way to the doctor': (
        graph(**streams(Stream(0, 10.0, 12.0, lost=31), stream(5.0))),
        Level.WARN,
        '/features: 5.0 Hz, 5.0 kB a frame of 15.0 Hz of images: the edge is slower',
        'threads',
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
