# SPDX-License-Identifier: Apache-2.0
"""What is kept of each measurement, and the medians over repeats."""

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtl_split_core.bundle import Bundle
from mtl_split_tools.bench.plan import Turn
from mtl_split_tools.files import write_json
from mtl_split_tools.link_bench.frames import Frame

MIDDLED = (
    *('in_time', 'answered', 'bytes_app', 'bytes_wire', 'bytes_wire_back', 'edge_cpu_ms'),
    *('server_cpu_ms', 'edge_rss_mb', 'server_rss_mb', 'miou', 'map50', 'accuracy'),
    'streaming_miou',
)
"""Figures of which the median over the repeats is taken."""


def frame_line(frame: Frame) -> list[Any]:
    """Return an image as a row has it: at, picture, delay in s or None, way, payload."""
    return [frame.at, frame.index, frame.delay_s, frame.way.partition('@')[0], frame.bytes]


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
        except (OSError, ValueError):
            return None
        row: dict[str, Any] = content['row']
        return row if content['settings'] == self._settings else None

    def write(self, turn: Turn, row: dict[str, Any]) -> None:
        """Keep a row."""
        write_json(self._path(turn), {'settings': self._settings, 'row': row})

    def _path(self, turn: Turn) -> Path:
        return self._folder / f'{turn.name}.json'


def describe_machine() -> dict[str, Any]:
    """Return what the figures hold for."""
    lines = Path('/proc/cpuinfo').read_text(encoding='ascii', errors='replace').splitlines()
    model = next((line.partition(':')[2].strip() for line in lines if 'model name' in line), '')
    return {
        'processor': model or platform.processor() or platform.machine(),
        'architecture': platform.machine(),
        'cores': len(os.sched_getaffinity(0)),
        'kernel': platform.release(),
        'python': platform.python_version(),
    }


def describe_settings(bundle: Bundle, deadline_ms: float, images: int) -> dict[str, Any]:
    """Return what has to be the same for two measurements to be of one run."""
    return {
        'bundle': f'{bundle.name} {bundle.version}',
        'fingerprint': f'{bundle.fingerprint:016x}',
        'deadline_ms': deadline_ms,
        'images': images,
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
    for key in ('end_to_end_ms', 'stages_ms'):
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
