# SPDX-License-Identifier: Apache-2.0
"""What the size of a message costs between two processes: the feature stream without the nodes.

One process sends, one on the other side receives, with the message, the reliability and the queues
that the nodes have by default. Sizes take turns, so that whatever else the machine does meets all
of them. Each message is a line of the sender's report, and one of the reader's where it came:
  {"kind": "sent", "sequence": number, "bytes": size, "at": monotonic seconds before the call}
  {"kind": "came", "sequence": number, "at": monotonic seconds in the callback}
"""

import argparse
import itertools
import json
import sys
import time
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import rclpy
from mtl_split.msg import FeatureMap
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from mtl_split_ros.qos import features_profile, features_reader_profile
from mtl_split_tools.console import figure, kilobytes
from mtl_split_tools.lab import Lab
from mtl_split_tools.lab.stations import Station
from mtl_split_tools.link_bench.rows import percentiles

SIZES = (500, 1000, 2000, 4000, 8000, 15_000, 30_000, 60_000)
"""Bytes of the payload."""
COLUMNS = ('payload', 'came', 'p50 ms', 'p95 ms')
_RATE_HZ = 60.0
_DRAIN_S = 1.0
_TOPIC = 'features'


def measure_messages(
    folder: Path, seconds: float, environment: Mapping[str, str], *, loopback: bool
) -> list[dict[str, Any]]:
    """Return for each size `bytes`, `sent`, `came` (share) and `delay_ms` (p50, p95, p99).

    Args:
        folder: Gets logs and reports.
        seconds: For how long to send.
        environment: Added to that of the processes.
        loopback: Without a link, see Lab.
    """
    module = 'bench.messages'
    with Lab(folder, environment, loopback=loopback) as lab:
        reader = lab.process(Station, 'reader', lab.server_host, module, '--receive')
        sender = lab.process(Station, 'sender', lab.edge_host, module)
        began = time.monotonic()
        time.sleep(seconds)
        end = time.monotonic()
        time.sleep(_DRAIN_S)
        sent = [line for line in sender.lines('sent') if began <= line['at'] < end]
        return rows_of(sent, reader.lines('came'))


def rows_of(sent: Iterable[dict[str, Any]], came: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each size, the smallest first.

    Args:
        sent: Lines of the sender.
        came: Lines of the reader, perhaps of more than these messages.
    """
    arrivals = {line['sequence']: line['at'] for line in came}
    delays: dict[int, list[float | None]] = {}
    for line in sent:
        at = arrivals.get(line['sequence'])
        late = None if at is None else 1e3 * (at - line['at'])
        delays.setdefault(line['bytes'], []).append(late)
    return [
        {
            'bytes': size,
            'sent': len(found),
            'came': float(np.mean([delay is not None for delay in found])),
            'delay_ms': percentiles([delay for delay in found if delay is not None]),
        }
        for size, found in sorted(delays.items())
    ]


def message_rows(found: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the rows of the table, see COLUMNS.

    Args:
        found: What measure_messages() returned.
    """
    return [
        (
            kilobytes(row['bytes']),
            f'{row["came"]:.0%}',
            *(figure(row['delay_ms'][key], 2) for key in ('p50', 'p95')),
        )
        for row in found
    ]


def _send(node: Node, report: TextIO) -> None:
    publisher = node.create_publisher(FeatureMap, _TOPIC, features_profile('reliable'))
    while not publisher.get_subscription_count():
        time.sleep(0.01)
    print('ready', flush=True)
    payloads = itertools.cycle([array('B', bytes(size)) for size in SIZES])
    due = time.monotonic()
    for sequence, payload in enumerate(payloads):
        due = max(due + 1 / _RATE_HZ, time.monotonic())  # no burst to catch up
        time.sleep(max(0.0, due - time.monotonic()))
        message = FeatureMap(sequence=sequence, data=payload)
        at = time.monotonic()
        publisher.publish(message)
        line = {'kind': 'sent', 'sequence': sequence, 'bytes': len(payload), 'at': at}
        report.write(json.dumps(line) + '\n')


def _receive(node: Node, report: TextIO) -> None:
    def on_message(message: FeatureMap) -> None:
        line = {'kind': 'came', 'sequence': message.sequence, 'at': time.monotonic()}
        report.write(json.dumps(line) + '\n')

    node.create_subscription(FeatureMap, _TOPIC, on_message, features_reader_profile('best_effort'))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    print('ready', flush=True)
    executor.spin()


def main() -> int:
    """Run one side until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--receive', action='store_true')
    parser.add_argument('--report', type=Path, required=True)
    options = parser.parse_args()
    rclpy.init()
    node = Node('messages', enable_rosout=False)
    with options.report.open('w', buffering=1) as report:
        (_receive if options.receive else _send)(node, report)
    return 0


if __name__ == '__main__':
    sys.exit(main())
