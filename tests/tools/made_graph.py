# SPDX-License-Identifier: Apache-2.0
"""Graphs as `mtl-split doctor` scans them, made up: in order but for what a test gives."""

from dataclasses import replace

from mtl_split_edge.link import Report
from mtl_split_ros.status import Level
from mtl_split_server.pipeline import Contract
from mtl_split_tools.doctor.scan import (
    CONTRACT,
    FEATURES,
    IMAGE,
    REPORT,
    Complaint,
    Endpoint,
    Scan,
    Stream,
    Topic,
)

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
