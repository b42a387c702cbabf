# SPDX-License-Identifier: Apache-2.0
"""The figures of a bench as they lie in its folder, in the form that the pictures take them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_split_core.errors import DataError
from mtl_split_tools.bench_report.looks import LOCAL, OTHER, SPLIT, Row, family

UNLIMITED = 'unlimited'
_SIDES = {
    'edge entropy': 'coding',
    'server decode': 'coding',
    'server encode': 'network on the server',
    'server encoder': 'network on the server',
    'server tail': 'network on the server',
    'edge tail': 'network on the edge',
}
_TOTALS = ('edge edge', 'server server')


@dataclass(frozen=True, slots=True)
class Shot:
    """One image of a measurement.

    Args:
        at: When it was published, seconds.
        index: Its picture of the clip, from 0.
        delay_s: Until its answer, seconds; None: not answered.
        way: How it was sent.
    """

    at: float
    index: int
    delay_s: float | None
    way: str


@dataclass(frozen=True, slots=True)
class Run:
    """A finished bench.

    Args:
        summary: Its summary.json.
        rows: Medians by link and transport, with `link_mbit`, None where nothing limits it.
        measured: Each measurement with its images.
    """

    summary: dict[str, Any]
    rows: Sequence[Row]
    measured: Sequence[Row]


def make_run(summary: dict[str, Any], measured: Sequence[Row]) -> Run:
    """Return a run with the links as numbers."""
    return Run(summary, list(map(_with_link, summary['rows'])), list(map(_with_link, measured)))


def read_run(folder: Path) -> Run:
    """Read what `mtl-split bench` wrote.

    Raises:
        DataError: There is none.
    """
    try:
        summary = json.loads((folder / 'summary.json').read_text(encoding='utf-8'))
        cells = [
            json.loads(path.read_text(encoding='utf-8'))
            for path in sorted((folder / 'cells').glob('*.json'))
        ]
    except (OSError, ValueError) as error:
        msg = f'{folder} has no figures of a bench ({error}); run `mtl-split bench` first'
        raise DataError(msg) from error
    settings = summary['settings']
    return make_run(summary, [cell['row'] for cell in cells if cell['settings'] == settings])


def shots(row: Row) -> list[Shot]:
    """Return the images of a measurement."""
    return [Shot(at, index, delay_s, way) for at, index, delay_s, way, *_ in row['images']]


def delays_of(measured: Sequence[Row]) -> dict[tuple[float | None, str], list[float | None]]:
    """Return milliseconds until the answer by link and transport, all repeats together."""
    found: dict[tuple[float | None, str], list[float | None]] = {}
    for row in measured:
        found.setdefault((row['link_mbit'], row['transport']), []).extend(
            None if shot.delay_s is None else shot.delay_s * 1e3 for shot in shots(row)
        )
    return found


def fps_of(measured: Sequence[Row]) -> float:
    """Return images a second, of the first measurement."""
    times = [shot.at for shot in shots(measured[0])]
    return round((len(times) - 1) / (times[-1] - times[0]), 1)


def stack_of(row: Row) -> dict[str, float]:
    """Return where the median time of an image goes, by the names of the picture of stages.

    What a node took as a whole and no stage of its names is `all else`. What neither node has
    measured lies between them: DDS, link, and the consumer's end.
    """
    stack: dict[str, float] = {}
    for stage, value in row['stages_ms'].items():
        if stage in _TOTALS or value is None:
            continue
        name = _SIDES.get(stage, 'all else')
        if stage == 'edge encode':
            name = 'network on the edge' if _runs_encoder(row['transport']) else 'coding'
        stack[name] = stack.get(name, 0.0) + value
    if unnamed := sum(max(0.0, rest) for rest in _unnamed_ms(row)):
        stack['all else'] = stack.get('all else', 0.0) + unnamed
    whole = row['end_to_end_ms']['p50']
    if whole is not None:
        stack['between the nodes'] = max(0.0, whole - sum(stack.values()))
    return stack


def unnamed_share(row: Row) -> float | None:
    """Return by how much stages and the nodes' own totals differ, as a share of the median time.

    What is left over is no check: it is called `between the nodes`. This is one. None where a node
    told no total, or nothing was answered.
    """
    whole, rests = row['end_to_end_ms']['p50'], _unnamed_ms(row)
    return float(sum(map(abs, rests)) / whole) if whole and len(rests) == len(_TOTALS) else None


def outside_network(row: Row) -> float | None:
    """Return the share of the median time that is neither encoder nor tail; None if unknown."""
    whole, stack = row['end_to_end_ms']['p50'], stack_of(row)
    if whole is None or 'network on the server' not in stack:
        return None
    return float(
        1 - (stack.get('network on the edge', 0.0) + stack['network on the server']) / whole
    )


def _unnamed_ms(row: Row) -> list[float]:
    """Return what the total of each node has beyond its stages; of those that told one."""
    times = {stage: value for stage, value in row['stages_ms'].items() if value is not None}
    return [
        times[total]
        - sum(
            value
            for stage, value in times.items()
            if stage != total and stage.split(' ')[0] == total.split(' ')[0]
        )
        for total in _TOTALS
        if total in times
    ]


def _runs_encoder(transport: str) -> bool:
    kind = transport.partition(':')[0]
    return family(transport) in (SPLIT, OTHER, LOCAL) or kind in ('float16', 'float32', 'lossless')


def _with_link(row: Row) -> Row:
    """Add the link as a number; without an interface of its own the payload stands for the wire."""
    mbit = row['link_mbit'] if 'link_mbit' in row else _mbit(row['link'])
    return {**row, 'link_mbit': mbit, 'bytes_wire': row['bytes_wire'] or row['bytes_app']}


def _mbit(name: str) -> float | None:
    return None if name == UNLIMITED else float(name)
