# SPDX-License-Identifier: Apache-2.0
"""What is kept of each measurement, and the medians over repeats.

`cells/REPEAT-LINK-WAY.json` is one measurement: {"settings": of the run, "row": {...}}. In
`summary.json` are `machine`, `settings`, `links`, `uncompressed` (metrics of the network without a
link) and `rows`, the medians over the repeats of each way over each link. Figures are per image of
the camera unless said otherwise, times in ms, shares and accuracies 0 to 1; null is not known.

  link, transport      names; link is `unlimited` or Mbit/s
  frames               images of the measurement
  in_time, answered    shares; answered: at all, in_time: within the deadline
  by_edge              share that the edge answered in time by itself
  ways                 how many images were answered in time which way
  not_answered         how many were not, by the reason that the edge gave
  disorder             answers that came twice, or after one to a later image
  bytes_app            payload, images that were not sent count as 0
  bytes_sent           payload of an image that was sent: {mean, p95}
  bytes_wire(_back)    Ethernet bytes with all that DDS adds, to the server (and back); null on the
                       loopback device
  end_to_end_ms        {p50, p95, p99} from an image's publishing to the arrival of boxes and class
  stages_ms            medians by `SIDE STAGE`, `edge edge` and `server server` the whole of a side;
                       nothing of a side whose window is for the most part of what was before
  edge_cpu_ms, server_cpu_ms     processor time of the process per image
  edge_cpu_s, server_cpu_s       the same of the whole measurement: what stands for energy here
  edge_rss_mb, server_rss_mb     memory at the end
  miou, map50, accuracy          of what was answered in time
  streaming_miou       of what the consumer has at the deadline of each image, be it an older answer

A measurement has `repeat` and `images`, one line for each image, see frame_line(); a row of the
summary has `repeats` and `spread` instead, least and most of each figure.
"""

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtl_split_core.bundle import Bundle
from mtl_split_edge.fates import Outcome
from mtl_split_tools.bench.buffers import allowed_kb
from mtl_split_tools.bench.plan import Turn
from mtl_split_tools.files import write_json
from mtl_split_tools.link_bench.frames import Frame

MIDDLED = (
    *('in_time', 'answered', 'bytes_app', 'bytes_wire', 'bytes_wire_back', 'edge_cpu_ms'),
    *('server_cpu_ms', 'edge_rss_mb', 'server_rss_mb', 'miou', 'map50', 'accuracy'),
    *('by_edge', 'streaming_miou', 'edge_cpu_s', 'server_cpu_s'),
)
"""Figures of which the median over the repeats is taken."""
MIDDLED_EACH = ('end_to_end_ms', 'stages_ms', 'bytes_sent')
"""The same of what is in a mapping."""


def frame_line(frame: Frame) -> list[Any]:
    """Return an image as a row has it.

    Args:
        frame: The image.

    Returns:
        When it was published (monotonic seconds), picture of the clip from 0, delay of its answer
        in s or None, way, payload in bytes, and what became of it: `edge` or `server` (who
        answered), `missed` (sent for nothing), `dropped` (not sent), or `untold` (the edge said
        nothing; a rival's says nothing of what it did not send).
    """
    way = frame.way.partition('@')[0]
    if frame.delay_s is not None:
        fate = 'edge' if frame.outcome is Outcome.ANSWERED_BY_EDGE else 'server'
    elif frame.outcome is None:
        fate = 'untold'
    else:
        fate = 'missed' if way else 'dropped'
    return [frame.at, frame.index, frame.delay_s, way, frame.bytes, fate]


class Cells:
    """Measurements that were finished, one file each: a run that was stopped goes on behind them.

    Args:
        folder: Has them.
        settings: Of the run; what was measured with others does not count.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._folder = folder
        self._settings = settings

    def read(self, turn: Turn) -> dict[str, Any] | None:
        """Return the row of a measurement that was finished with the same settings."""
        try:
            content = json.loads(self._path(turn).read_text(encoding='utf-8'))
            settings, row = content['settings'], content['row']
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return row if settings == self._settings else None

    def write(self, turn: Turn, row: dict[str, Any]) -> None:
        """Keep a row."""
        write_json(self._path(turn), {'settings': self._settings, 'row': row})

    def _path(self, turn: Turn) -> Path:
        return self._folder / f'{turn.name}.json'


def describe_machine() -> dict[str, Any]:
    """Return what the figures hold for; `socket_buffer_kb` is the largest that it allows."""
    lines = Path('/proc/cpuinfo').read_text(encoding='ascii', errors='replace').splitlines()
    model = next((line.partition(':')[2].strip() for line in lines if 'model name' in line), '')
    return {
        'processor': model or platform.processor() or platform.machine(),
        'architecture': platform.machine(),
        'cores': len(os.sched_getaffinity(0)),
        'memory_gb': round(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9, 1),
        'socket_buffer_kb': allowed_kb(),
        'kernel': platform.release(),
        'python': platform.python_version(),
    }


def describe_settings(
    bundle: Bundle, deadline_ms: float, images: int, *, loopback: bool = False
) -> dict[str, Any]:
    """Return what has to be the same for two measurements to be of one run."""
    return {
        'bundle': f'{bundle.name} {bundle.version}',
        'fingerprint': f'{bundle.fingerprint:016x}',
        'deadline_ms': deadline_ms,
        'images': images,
        'network': 'loopback device' if loopback else 'two namespaces',
    }


def middle(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure over the repeats of one way on one link, and its spread.

    Args:
        rows: Of the repeats.

    Returns:
        A row whose `spread` has [least, most] of each figure.
    """
    found: dict[str, Any] = {**rows[0], 'repeats': len(rows), 'spread': {}}
    del found['images']
    for key in MIDDLED:
        found[key], found['spread'][key] = _middle([row[key] for row in rows])
    for key in MIDDLED_EACH:
        names = list(dict.fromkeys(name for row in rows for name in row[key]))
        pairs = {name: _middle([row[key].get(name) for row in rows]) for name in names}
        found[key] = {name: value for name, (value, _) in pairs.items()}
        found['spread'][key] = {name: spread for name, (_, spread) in pairs.items()}
    return found


def _middle(values: Sequence[float | None]) -> tuple[float | None, list[float] | None]:
    known = [value for value in values if value is not None]
    if not known:
        return None, None
    return float(np.median(known)), [min(known), max(known)]
