# SPDX-License-Identifier: Apache-2.0
"""The real nodes on a shaped link: whether computed latencies are those that a camera sees."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mtl_split_core.bundle import Bundle
from mtl_split_tools.experiments.frame import Result
from mtl_split_tools.experiments.pieces import Piece, latency_ms
from mtl_split_tools.lab import Camera, Consumer, Lab, LabError, Published, why_not
from mtl_split_tools.lab.processes import wait_for
from mtl_split_tools.link_bench.plan import edge_settings

_RATE_HZ = 2.0
"""So slow that no picture waits for the one before it."""
_DEADLINE_MS = 10_000.0
"""So late that the edge answers nothing in the server's place."""
_QUEUE_MS = 3_000.0
_SETTLE = 4
"""Pictures after a change that do not count."""
_START_S = 60.0
_PATIENCE_S = 20.0
_DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """A way over a link.

    Args:
        way: Name as of `measure_pieces`, one that an edge can be told.
        mbit: Rate of the link both ways, 10^6 bit/s.
    """

    way: str
    mbit: float


def check_on_link(
    bundle: Bundle,
    pieces: Mapping[str, Piece],
    checks: Sequence[Check],
    images: int,
    folder: Path,
) -> Result:
    """Compare computed latencies with those from camera to consumer, there and back.

    Args:
        bundle: What the nodes run, on one thread each.
        pieces: Its ways, as measured on this machine.
        checks: What to compare.
        images: How many pictures count for each.
        folder: Gets logs and reports of the nodes.

    Returns:
        `rows`: for each check what was computed and measured, ms, and all that went over the link
        both ways while one picture followed the other; or `skipped`: why there is none.
    """
    if reason := why_not():
        return {'skipped': reason, 'rows': []}
    rows = []
    with Lab(folder) as lab:
        lab.server(bundle=bundle.path, threads=1)
        lab.edge(bundle=bundle.path, threads=1, deadline_ms=_DEADLINE_MS)
        consumer = lab.consumer()
        camera = lab.camera(rate=_RATE_HZ)
        consumer.wait_for_answers(_SETTLE, timeout_s=_START_S)
        for check in checks:
            consumer.set('edge', **edge_settings(check.way, bundle))
            lab.link.shape(check.mbit, check.mbit, queue_ms=_QUEUE_MS)
            begin = len(camera.published()) + _SETTLE
            limit_s = (_SETTLE + images) / _RATE_HZ + _PATIENCE_S
            wait_for(partial(_more_than, camera, begin), 'the first picture', limit_s)
            before = lab.link.traffic()
            last = begin + images
            wait_for(partial(_more_than, camera, last), f'{images} pictures', limit_s)
            traffic = lab.link.traffic().since(before)
            counted = camera.published()[begin : begin + images]
            delays = _delays_ms(counted, consumer)
            computed = latency_ms([pieces[check.way]], check.mbit)
            measured = float(np.median(delays)) if delays else None
            rows.append(
                {
                    'way': check.way,
                    'mbit': check.mbit,
                    'pictures': len(counted),
                    'answered': len(delays),
                    'computed_ms': computed,
                    'measured_ms': measured,
                    'measured_p95_ms': float(np.percentile(delays, 95)) if delays else None,
                    'wire_up_bytes': traffic.up_bytes / images,
                    'wire_down_bytes': traffic.down_bytes / images,
                    'deviation': None if measured is None else measured / computed - 1,
                }
            )
            lab.link.shape(None, None)
    return {'skipped': '', 'rows': rows}


def _more_than(camera: Camera, count: int) -> bool:
    return len(camera.published()) > count


def _delays_ms(counted: Sequence[Published], consumer: Consumer) -> list[float]:
    """Return the times of the answered pictures, as soon as all are, or no more is to come."""
    sent = {image.stamp: image.at for image in counted}
    found: dict[tuple[int, int], float] = {}

    def all_answered() -> bool:
        found.update({a.stamp: a.at - sent[a.stamp] for a in consumer.answers() if a.stamp in sent})
        return len(found) == len(sent)

    with suppress(LabError):  # a picture that was lost counts as not answered
        wait_for(all_answered, 'all answers', _DRAIN_S)
    return [delay * 1e3 for delay in found.values()]
