# SPDX-License-Identifier: Apache-2.0
"""Does it flow: rates, contract, link, clocks, and what the nodes say of themselves."""

import statistics
from collections.abc import Iterator

from mtl_split_core.bundle import Bundle
from mtl_split_edge.link import Report
from mtl_split_ros.status import Level
from mtl_split_tools.doctor.finding import Finding
from mtl_split_tools.doctor.graph import LOCAL, SPLIT, UNHEARD, mode_of
from mtl_split_tools.doctor.scan import CONTRACT, FEATURES, REPORT, UNNAMED, Scan

RATES, CONTRACTS, LINK = 'rates', 'contract', 'link'
CLOCK, DIAGNOSTICS = 'clock', 'diagnostics'
SLOW = 0.8
"""Share of the expected rate below which something is said."""
FEW = 5
LOSS_WARN, LOSS_ERROR = 0.01, 0.2
BUSY = 0.9
AHEAD_S, BEHIND_S = 0.2, 10.0


def check_rates(scan: Scan, camera_hz: float | None) -> Iterator[Finding]:
    """Compare what comes with what should come.

    Args:
        scan: What was found.
        camera_hz: Images per second that the camera should give, None if not told.

    Yields:
        The findings.
    """
    for edge in scan.edges:
        for name in scan.images_of(edge):
            images = scan.stream(name)
            publishers = scan.topic(name).publishers
            if publishers and not images.sent and name not in scan.denied:
                who = publishers[0].node
                remedy = f'look at the camera: ros2 topic hz {name}, its log, a paused bag'
                if who.endswith(UNNAMED):
                    who, remedy = 'of which not even the name arrives', UNHEARD
                what = (
                    f'{name} has publishers ({len(publishers)}, {who}), but no image came in '
                    f'{scan.seconds:g} s'
                )
                yield Finding(Level.ERROR, RATES, what, remedy)
            if not images.sent:
                continue
            what = f'{name}: {images.rate:.1f} Hz'
            if camera_hz and images.rate < SLOW * camera_hz:
                remedy = 'less resolution or compressed images; USB and exposure of the camera'
                what += f', {camera_hz:g} Hz expected'
                yield Finding(Level.WARN, RATES, what, remedy)
            else:
                yield Finding(Level.OK, RATES, what)
            yield from _check_features(scan, edge, images.rate if images.sent >= FEW else 0.0)


def _check_features(scan: Scan, edge: str, images: float) -> Iterator[Finding]:
    mode = mode_of(scan, edge)
    for name in scan.published_by(edge, FEATURES):
        stream = scan.stream(name)
        what = f'{name}: {stream.rate:.1f} Hz'
        if stream.heard:
            what += f', {stream.size / stream.heard / 1e3:.1f} kB a frame'
        if mode == LOCAL or not images:
            continue
        if stream.sent:
            slow = mode == SPLIT and stream.rate < SLOW * images
            remedy = 'raise threads or providers of the edge, or take fewer images a second'
            if slow:
                what += f' of {images:.1f} Hz of images: the edge is slower than its camera'
            yield Finding(Level.WARN if slow else Level.OK, RATES, what, remedy if slow else '')
        elif mode == SPLIT and name not in scan.denied:
            what = f'{edge} gets images and sends nothing on {name}'
            remedy = f'read its log and diagnostics ({edge.lstrip("/")}: image)'
            yield Finding(Level.ERROR, RATES, what, remedy)


def check_contract(scan: Scan, bundle: Bundle | None) -> Iterator[Finding]:
    """Compare the bundles of edge, server and this machine.

    Args:
        scan: What was found.
        bundle: The local one, None if it is no good.

    Yields:
        The findings.
    """
    for edge in scan.edges:
        topics = scan.published_by(edge, CONTRACT)
        contracts = [contract for name in topics for contract in scan.contracts.get(name, ())]
        if not contracts and {*topics} <= {*scan.denied}:
            continue
        if not contracts:
            what = f'{edge} has announced no contract in {scan.seconds:g} s'
            remedy = 'no qos_overrides on contract: it has to be transient_local and reliable'
            yield Finding(Level.ERROR, CONTRACTS, what, remedy)
            continue
        contract = contracts[-1]
        theirs = f'{contract.bundle} {contract.version} ({contract.fingerprint:016x})'
        servers = {report.fingerprint for report in _reports(scan, edge)}
        if others := servers - {contract.fingerprint}:
            what = f'{edge} runs {theirs}, its server a bundle {min(others):016x}'
            yield Finding(Level.ERROR, CONTRACTS, what, 'give both the same parameter bundle')
        elif servers:
            yield Finding(Level.OK, CONTRACTS, f'{edge} and its server run {theirs}')
        if bundle and bundle.fingerprint != contract.fingerprint:
            what = f'{edge} runs {theirs}, the bundle here is {bundle.title}'
            remedy = (
                f'copy the bundle to all machines, or mtl-split doctor --bundle {contract.bundle}'
            )
            yield Finding(Level.WARN, CONTRACTS, what, remedy)


def _reports(scan: Scan, edge: str) -> list[Report]:
    return [
        report for name in scan.subscribed_by(edge, REPORT) for report in scan.reports.get(name, ())
    ]


def check_link(scan: Scan) -> Iterator[Finding]:
    """Judge the link of each edge by the reports of its server.

    Args:
        scan: What was found.

    Yields:
        The findings.
    """
    for edge in scan.edges:
        topics = [
            name
            for name in scan.subscribed_by(edge, REPORT)
            if scan.topic(name).publishers and name not in scan.denied
        ]
        reports = _reports(scan, edge)
        if topics and not reports:
            what = f'{topics[0]} has a publisher, but no report came in {scan.seconds:g} s'
            remedy = 'the server hangs or the way back is cut: read its log, try ping'
            yield Finding(Level.ERROR, LINK, what, remedy)
        if not reports:
            continue
        received, lost = sum(r.received for r in reports), sum(r.lost for r in reports)
        if not received:
            yield _describe_nothing(scan, edge)
            continue
        span = sum(r.interval for r in reports)
        share = lost / (received + lost)
        values = scan.statuses.get(f'{edge.lstrip("/")}: link')
        trip = values.values.get('round trip ms p50') if values else None
        what = (
            f'{edge}: {sum(r.answered for r in reports) / span:.1f} Hz answered, '
            f'{share:.1%} of frames lost, '
            f'{sum(r.goodput * r.interval for r in reports) / span / 1e3:.1f} kB/s, '
            f'round trip {trip + " ms" if trip else "not measured"}'
        )
        level = Level.OK
        if share > LOSS_WARN:
            level = Level.ERROR if share > LOSS_ERROR else Level.WARN
        remedy = (
            'send less: a lower rate, or mode auto; larger net.core.rmem_default on the server; '
            'a better place for the antenna'
        )
        yield Finding(level, LINK, what, remedy if level else '')
        yield from _check_server(edge, reports)


def _describe_nothing(scan: Scan, edge: str) -> Finding:
    sent = sum(scan.stream(name).sent for name in scan.published_by(edge, FEATURES))
    what = f'no frame of {edge} reached its server in {scan.seconds:g} s'
    if not sent:
        return Finding(Level.OK, LINK, f'{what}: it sends none')
    remedy = 'frames are larger than the link takes: a lower rate; no firewall between the two'
    return Finding(Level.ERROR, LINK, f'{what}, it sent {sent}', remedy)


def _check_server(edge: str, reports: list[Report]) -> Iterator[Finding]:
    if refusals := [report.refusal for report in reports if report.refusal]:
        what = f'the server of {edge} refuses frames: {refusals[-1]}'
        yield Finding(Level.ERROR, LINK, what, 'give both the same bundle and version of mtl_split')
    if late := sum(report.late for report in reports):
        what = f'{late} frames of {edge} came too late to be answered'
        yield Finding(Level.WARN, LINK, what, 'a lower rate, mode auto, or a longer deadline_ms')
    busy = statistics.fmean(report.busy_fraction for report in reports)
    if busy > BUSY:
        what = f'the server of {edge} is busy {busy:.0%} of the time'
        remedy = 'raise threads or providers of the server, or take fewer images a second'
        yield Finding(Level.WARN, LINK, what, remedy)


def check_clock(scan: Scan) -> Iterator[Finding]:
    """Judge the stamps of the images against the clock that they follow.

    Args:
        scan: What was found.

    Yields:
        The findings.
    """
    clocks = len(scan.topic('/clock').publishers)
    simulated = [
        n for n in (*scan.edges, *scan.servers) if scan.parameters.get(n, {}).get('use_sim_time')
    ]
    if simulated and not clocks:
        yield Finding(
            Level.ERROR,
            CLOCK,
            f'use_sim_time is set on {", ".join(simulated)}, and nobody publishes /clock: their '
            'time stands still',
            'mtl-split replay BAG --clock (ros2 bag play --clock), or use_sim_time:=false',
        )
    if clocks > 1:
        what = f'/clock has {clocks} publishers: time jumps between them'
        yield Finding(Level.ERROR, CLOCK, what, 'end all but one')
    for name in dict.fromkeys(n for edge in scan.edges for n in scan.images_of(edge)):
        yield from _check_stamps(scan, name, '/clock' if clocks else 'the clock of this machine')


def _check_stamps(scan: Scan, name: str, clock: str) -> Iterator[Finding]:
    stream = scan.stream(name)
    if stream.zeros:
        what = f'{stream.zeros} of {stream.heard} images on {name} have a stamp of zero'
        remedy = 'let the camera driver set header.stamp: results carry the same header'
        yield Finding(Level.WARN, CLOCK, what, remedy)
    if stream.steps_back:
        what = f'stamps on {name} went back {stream.steps_back} times'
        remedy = 'a looping bag or two publishers; consumers that order by stamp have to reset'
        yield Finding(Level.WARN, CLOCK, what, remedy)
    if not stream.ages:
        return
    age = statistics.median(stream.ages)
    if age < -AHEAD_S:
        what = f'images on {name} are stamped {-age:.1f} s ahead of {clock}'
        remedy = 'set the clocks of both machines: chronyc tracking; timedatectl set-ntp true'
        yield Finding(Level.WARN, CLOCK, what, remedy)
    elif age > BEHIND_S:
        what = f'images on {name} are stamped {age:.0f} s before {clock}'
        remedy = (
            'a bag: mtl-split replay BAG --clock and use_sim_time:=true for who compares stamps '
            'with now; a camera: set its clock (chrony)'
        )
        yield Finding(Level.WARN, CLOCK, what, remedy)
    else:
        what = f'images on {name} are stamped {age * 1e3:.0f} ms before {clock}'
        yield Finding(Level.OK, CLOCK, what)


def check_diagnostics(scan: Scan) -> Iterator[Finding]:
    """Quote what edges and servers complain of.

    Args:
        scan: What was found.

    Yields:
        The findings.
    """
    nodes = {node.lstrip('/') for node in (*scan.edges, *scan.servers)}
    own = {
        name: status
        for name, status in sorted(scan.statuses.items())
        if name.rpartition(': ')[0] in nodes
    }
    for name, status in own.items():
        if status.level is not Level.OK:
            what = f'{name}: {status.message}'
            level = min(status.level, Level.ERROR)
            yield Finding(level, DIAGNOSTICS, what, 'docs/troubleshooting.md')
    if nodes and not own and '/diagnostics' not in scan.denied:
        what = f'no diagnostics of edge or server came in {scan.seconds:g} s'
        yield Finding(Level.WARN, DIAGNOSTICS, what, 'listen longer: --seconds 10')
