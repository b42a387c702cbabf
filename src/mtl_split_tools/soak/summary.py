# SPDX-License-Identifier: Apache-2.0
"""The figures of a drive, as summary.json has them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mtl_split_edge.fates import Outcome
from mtl_split_tools.link_bench.frames import Frame
from mtl_split_tools.link_bench.rows import percentiles
from mtl_split_tools.soak.drive import Drive, Memory
from mtl_split_tools.soak.faults import Fault

AFTER_S = 5.0
"""So long after a fault the edge may still be finding its way back."""


def summarise(
    drive: Drive, faults: Sequence[Fault], seconds: float, deadline_s: float
) -> dict[str, Any]:
    """Return the figures; shares 0 to 1, times in ms, memory in MB.

    Args:
        drive: The drive.
        faults: Its faults.
        seconds: Its length.
        deadline_s: Time of an image, seconds.
    """
    frames = drive.frames
    answered = [frame for frame in frames if frame.delay_s is not None]
    spans = [(fault.at, fault.end + AFTER_S) for fault in faults]
    calm = [f for f in frames if not any(a <= f.at - drive.begin <= b for a, b in spans)]
    return {
        'minutes': seconds / 60,
        'frames': len(frames),
        'answered': len(answered),
        'in_time': _in_time(frames, deadline_s),
        'in_time_without_fault': _in_time(calm, deadline_s),
        'by_edge': _share(answered, Outcome.ANSWERED_BY_EDGE),
        'duplicates': drive.duplicates,
        'out_of_order': drive.out_of_order,
        'end_to_end_ms': percentiles([f.delay_s * 1e3 for f in answered if f.delay_s is not None]),
        'edge_alive': drive.edge_alive,
        'edge_rss_growth_mb': growth(drive.edge),
        'faults': [_fault(drive, fault, deadline_s) for fault in faults],
        'edge_rss_mb': drive.edge.mb,
        'server_rss_mb': drive.server.mb,
        'rss_seconds': drive.edge.seconds,
    }


def growth(memory: Memory) -> float | None:
    """Return by how much the memory grew: mean of the last quarter less that of the second.

    The first quarter is left out: it fills pools and caches.
    """
    known = [value for value in memory.mb if value is not None]
    quarter = len(known) // 4
    if not quarter:
        return None
    return float(np.mean(known[-quarter:]) - np.mean(known[quarter : 2 * quarter]))


def _fault(drive: Drive, fault: Fault, deadline_s: float) -> dict[str, Any]:
    """Return how a fault was taken.

    `in_time` is over the fault and what follows it, `gap_ms` the longest time between two answers
    then, `return_ms` from its end to the first answer of the server.
    """
    since = drive.begin + fault.at
    end = drive.begin + fault.end
    during = [f for f in drive.frames if since <= f.at <= end + AFTER_S]
    arrivals = sorted(
        f.at + f.delay_s
        for f in drive.frames
        if f.delay_s is not None and since - 1.0 <= f.at <= end + AFTER_S
    )
    back = next(
        (
            f.at + f.delay_s
            for f in drive.frames
            if f.at >= end and f.outcome is Outcome.ANSWERED_BY_SERVER and f.delay_s is not None
        ),
        None,
    )
    return {
        'at': fault.at,
        'kind': str(fault.kind),
        'text': fault.text,
        'seconds': fault.seconds,
        'value': fault.value,
        'in_time': _in_time(during, deadline_s),
        'gap_ms': float(np.diff(arrivals).max()) * 1e3 if len(arrivals) > 1 else None,
        'return_ms': None if back is None else (back - end) * 1e3,
    }


def _in_time(frames: Sequence[Frame], deadline_s: float) -> float | None:
    if not frames:
        return None
    return sum(frame.in_time(deadline_s) for frame in frames) / len(frames)


def _share(frames: Sequence[Frame], outcome: Outcome) -> float | None:
    return sum(f.outcome is outcome for f in frames) / len(frames) if frames else None
