# SPDX-License-Identifier: Apache-2.0
"""Bandwidth traces: steps of seconds and Mbit/s, or Mahimahi's packet times."""

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.errors import DataError

SHIPPED = Path('samples/traces')

_MAX_BYTES = 16 * 2**20
_MAHIMAHI_PACKET = 1500
_MAHIMAHI_BIN_S = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a link can carry over time; it begins anew at its end.

    Args:
        name: Short name.
        times: Seconds, ascending from 0; the last one is the end.
        carried: Bytes that could be carried until then, from 0; straight between the times.
    """

    name: str
    times: NDArray[np.float64]
    carried: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        """Length of the trace."""
        return float(self.times[-1])

    @classmethod
    def steps(cls, name: str, starts: list[float], mbits: list[float], end: float) -> Self:
        """Make a trace of constant pieces.

        Args:
            name: Short name.
            starts: Start of each piece, seconds, the first 0.
            mbits: Bandwidth of each piece, Mbit/s.
            end: End of the last one, seconds.
        """
        times = np.array([*starts, end])
        carried = np.concatenate([[0.0], np.cumsum(np.diff(times) * np.array(mbits) * 125_000)])
        return cls(name, times, carried)

    def finish(self, start: float, size: float) -> float:
        """Return when a message has left whole.

        Args:
            start: When its first byte may leave, seconds.
            size: Bytes, above 0.
        """
        rounds, inside = divmod(start, self.seconds)
        whole = float(self.carried[-1])
        target = float(np.interp(inside, self.times, self.carried)) + size
        more, target = divmod(target, whole)
        if target == 0.0 and more > 0:
            more, target = more - 1, whole
        after = int(np.searchsorted(self.carried, target, 'left'))
        step = self.carried[after] - self.carried[after - 1]
        part = (target - self.carried[after - 1]) / step
        left = self.times[after - 1] + part * (self.times[after] - self.times[after - 1])
        return float((rounds + more) * self.seconds + left)

    def mbit(self, moment: float) -> float:
        """Return the bandwidth at a moment, Mbit/s.

        Args:
            moment: Seconds.
        """
        inside = moment % self.seconds
        piece = int(np.searchsorted(self.times, inside, 'right')) - 1
        piece = min(piece, len(self.times) - 2)
        duration = self.times[piece + 1] - self.times[piece]
        return float((self.carried[piece + 1] - self.carried[piece]) / duration / 125_000)


def shipped_traces() -> list[Path]:
    """Return the traces that come with the project, by name."""
    prefixes = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    places = [Path(__file__).resolve().parents[3]]
    places += [prefix / 'share' / 'mtl_split' for prefix in prefixes]
    for place in places:
        if found := sorted((place / SHIPPED).glob('*.txt')):
            return found
    msg = f'no {SHIPPED}/*.txt in {", ".join(map(str, places))}; give --trace FILE'
    raise DataError(msg)


def read_trace(path_or_name: str) -> Trace:
    """Read a trace.

    One number a line is Mahimahi's format: milliseconds at which a packet of 1500 bytes may pass.
    Two numbers are seconds and the Mbit/s from then on; the last line ends the trace. What follows
    `#` is a remark.

    Args:
        path_or_name: A file, or the name of a shipped trace.

    Raises:
        DataError: Not there, not readable, or not a trace; names the line.
    """
    path = Path(path_or_name)
    if not path.exists() and path.name == path_or_name:
        shipped = {file.stem: file for file in shipped_traces()}
        if path_or_name not in shipped:
            msg = f'--trace {path_or_name}: no such file, shipped are {", ".join(shipped)}'
            raise DataError(msg)
        path = shipped[path_or_name]
    rows = _rows(path)
    if len(rows[0]) == 1:
        return _mahimahi(path, [row[0] for row in rows])
    starts, mbits = (list(column) for column in zip(*rows, strict=True))
    ascending = starts[0] == 0 and all(a < b for a, b in itertools.pairwise(starts))
    if not ascending or len(rows) < 2:
        msg = f'{path}: the seconds must ascend from 0 and have an end: at least two lines'
        raise DataError(msg)
    if min(mbits) < 0 or max(mbits[:-1]) <= 0:
        msg = f'{path}: the Mbit/s must be at least 0 and once above 0'
        raise DataError(msg)
    return Trace.steps(path.stem, starts[:-1], mbits[:-1], starts[-1])


def _rows(path: Path) -> list[tuple[float, ...]]:
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            msg = f'{path}: has {size} bytes, allowed are {_MAX_BYTES}'
            raise DataError(msg)
        lines = path.read_text('utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f'{path}: not readable as a trace ({error})'
        raise DataError(msg) from error
    rows: list[tuple[float, ...]] = []
    for number, line in enumerate(lines, 1):
        text = line.partition('#')[0].split()
        if not text:
            continue
        try:
            row = tuple(float(word) for word in text)
        except ValueError:
            row = ()
        if (
            len(row) not in (1, 2)
            or not np.isfinite(row).all()
            or len(row) != len((rows or [row])[0])
        ):
            msg = (
                f'{path}: line {number} is {line[:60]!r}, expected seconds and Mbit/s, or '
                "milliseconds alone (Mahimahi's format), the same on every line"
            )
            raise DataError(msg)
        rows.append(row)
    if not rows:
        msg = f'{path}: holds no line of a trace'
        raise DataError(msg)
    return rows


def _mahimahi(path: Path, milliseconds: list[float]) -> Trace:
    moments = np.array(milliseconds) / 1e3
    if (np.diff(moments) < 0).any() or moments[0] < 0 or moments[-1] <= 0:
        msg = f'{path}: the milliseconds must ascend from 0 and end above it'
        raise DataError(msg)
    bins = max(1, round(moments[-1] / _MAHIMAHI_BIN_S))
    edges = np.linspace(0.0, moments[-1], bins + 1)
    passed = np.searchsorted(moments, edges, 'right') * float(_MAHIMAHI_PACKET)
    passed[0] = 0.0
    return Trace(path.stem, np.asarray(edges, np.float64), np.asarray(passed, np.float64))
