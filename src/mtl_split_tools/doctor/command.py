# SPDX-License-Identifier: Apache-2.0
"""`mtl-split doctor`: why nothing comes, and what helps."""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from importlib import import_module

from rich.markup import escape

from mtl_split_core.errors import DataError, MtlSplitError
from mtl_split_ros.status import Level
from mtl_split_tools.console import MISSING, console, figure, table
from mtl_split_tools.doctor.environment import ROS, check_environment
from mtl_split_tools.doctor.finding import WORDS, Finding, count
from mtl_split_tools.doctor.flow import (
    check_clock,
    check_contract,
    check_diagnostics,
    check_link,
    check_rates,
)
from mtl_split_tools.doctor.graph import check_graph, own_topics
from mtl_split_tools.doctor.model import check_bundle, check_providers
from mtl_split_tools.doctor.scan import Scan

DESCRIPTION = """Say why nothing comes, or that all is well: looks at the environment and this
machine, the model bundle, the execution providers, and for some seconds at the graph: nodes,
topics, types, QoS, rates, contract, link, clocks, and what the nodes complain of. Each finding
comes with what helps. Exit status: 0 without errors, 1 with errors, 2 for a wrong call. It
subscribes the images and features of each edge by best effort while it listens: over a narrow
link, run it on the edge."""
EPILOG = """examples:
  mtl-split doctor
  mtl-split doctor --seconds 10 --hz 15          with what the camera should give
  mtl-split doctor --bundle my_bundle --providers CUDAExecutionProvider
  mtl-split doctor --seconds 0                   this machine only, no graph
  mtl-split doctor --json
"""
TROUBLE = 1
LONGEST_S = 600.0
STYLES = {Level.OK: 'green', Level.WARN: 'yellow', Level.ERROR: 'bold red'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        '--seconds',
        type=float,
        default=5.0,
        help='how long to listen to the graph (default: 5; 0: do not)',
    )
    parser.add_argument('--bundle', default='camvid', help='directory or name (default: camvid)')
    parser.add_argument(
        '--backend', default='onnxruntime', help='as of the nodes (default: onnxruntime)'
    )
    parser.add_argument(
        '--providers',
        nargs='+',
        default=[],
        metavar='NAME',
        help='execution providers as of the nodes, best first (default: the CPU)',
    )
    parser.add_argument('--hz', type=float, help='images a second that the camera should give')
    parser.add_argument('--json', action='store_true', help='print the findings as JSON instead')


def run(options: argparse.Namespace) -> int:
    """Look, print, and return 1 if there are errors."""
    if not 0 <= options.seconds <= LONGEST_S:
        msg = f'--seconds {options.seconds:g} is not 0 to {LONGEST_S:g}'
        raise DataError(msg)
    if options.hz is not None and not 0 < options.hz < math.inf:
        msg = f'--hz {options.hz:g} is not above 0'
        raise DataError(msg)
    findings = list(check_environment())
    bundle, found = check_bundle(options.bundle)
    findings += found
    if bundle:
        findings += check_providers(bundle, options.backend, options.providers)
    scan = None
    # where the middleware is missing, ROS 2 ends the process without a word
    usable = not any(found.level is Level.ERROR and found.area == ROS for found in findings)
    if options.seconds and usable:
        try:
            # only here, so that the rest is said where there is no ROS 2
            scan = import_module('mtl_split_tools.doctor.listen').listen(options.seconds)
        except MtlSplitError as error:
            remedy = 'do as it says; the findings above may tell why'
            findings.append(Finding(Level.ERROR, ROS, f'does not start: {error}', remedy))
    elif options.seconds:
        what = 'the graph was not looked at: ROS 2 finds nobody, set up like this'
        findings.append(Finding(Level.WARN, ROS, what, 'the errors above first'))
    if scan:
        findings += check_graph(scan)
        findings += check_rates(scan, options.hz)
        findings += check_contract(scan, bundle)
        findings += check_link(scan)
        findings += check_clock(scan)
        findings += check_diagnostics(scan)
    if options.json:
        print(json.dumps(_document(findings, scan), indent=2))
    else:
        _print(findings, scan)
    return TROUBLE if count(findings)['error'] else 0


def _document(findings: Sequence[Finding], scan: Scan | None) -> dict[str, object]:
    return {
        'counts': count(findings),
        'findings': [finding.document() for finding in findings],
        'topics': [
            dict(zip(('name', 'types', 'publishers', 'subscribers', 'hz'), row, strict=True))
            for row in _topics(scan)
        ],
    }


def _topics(scan: Scan | None) -> Iterator[tuple[str, str, int, int, float | None]]:
    for topic in own_topics(scan) if scan else ():
        assert scan
        rate = round(scan.streams[topic.name].rate, 2) if topic.name in scan.streams else None
        kinds = ', '.join(topic.kinds)
        yield topic.name, kinds, len(topic.publishers), len(topic.subscribers), rate


def _print(findings: Sequence[Finding], scan: Scan | None) -> None:
    rows = [
        (name, kinds, publishers, subscribers, figure(rate, 1))
        for name, kinds, publishers, subscribers, rate in _topics(scan)
    ]
    if rows:
        columns = ('topic', 'type', 'publishers', 'subscribers', 'Hz')
        console.print(table('topics of edge and server', columns, rows))
    lines = [
        (
            f'[{STYLES[finding.level]}]{WORDS[finding.level]}[/]',
            finding.area,
            escape(finding.what),
            escape(finding.remedy) or MISSING,
        )
        for finding in findings
    ]
    console.print(table('findings', ('', 'area', 'what', 'what helps'), lines))
    counts = count(findings)
    console.print(f'errors: {counts["error"]}, warnings: {counts["warn"]}', highlight=False)
