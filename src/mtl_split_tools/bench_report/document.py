# SPDX-License-Identifier: Apache-2.0
"""The measured parts of docs/performance.md."""

from functools import partial
from pathlib import Path
from typing import Any

from mtl_split_tools.bench_report.findings import RACES, choices, kinds_of, losses, winners
from mtl_split_tools.bench_report.looks import (
    AUTO,
    KINDS,
    LOCAL,
    SPLIT,
    Row,
    family,
    link_name,
    links_of,
    on_link,
)
from mtl_split_tools.bench_report.pictures import NAMES
from mtl_split_tools.bench_report.reading import Run, fps_of, outside_network, unnamed_share
from mtl_split_tools.console import MISSING, figure, kilobytes
from mtl_split_tools.files import write_bytes
from mtl_split_tools.marked import fill, markdown
from mtl_split_tools.spreads import with_limits

COMMAND = 'bench'
PARTS = ('measured', 'choice', 'winners', 'losses', 'costs', 'links')
"""Names of the measured parts."""
_COLUMNS = {SPLIT: 'split'}


def fill_document(path: Path, run: Run, folder: Path) -> None:
    """Fill a document, and put the pictures into the folder of its name beside it.

    Args:
        path: Markdown with marked lines for all PARTS.
        run: The figures.
        folder: Has the pictures.

    Raises:
        DataError: The document lacks a part, or has another one.
    """
    text = fill(path.read_text(encoding='utf-8'), COMMAND, blocks(run))
    for name in NAMES:
        write_bytes(path.with_suffix('') / f'{name}.png', (folder / f'{name}.png').read_bytes())
    write_bytes(path, text.encode())


def blocks(run: Run) -> dict[str, str]:
    """Return the text of each part by its name."""
    rows = run.rows
    lost = [f'- {text}.' for text in losses(rows)]
    texts = (
        _measured(run),
        markdown(
            ('link', *(_COLUMNS.get(kind, KINDS[kind]) for kind in kinds_of(rows))),
            choices(rows),
        ),
        markdown(('link', *(race.name for race in RACES)), winners(rows)),
        '\n'.join(lost) or 'Nothing was better than Z_b in any of this, on any link.',
        _costs(on_link(rows, links_of(rows)[0])),
        _links(run),
    )
    return dict(zip(PARTS, texts, strict=True))


def _measured(run: Run) -> str:
    machine, settings = run.summary['machine'], run.summary['settings']
    raw = run.summary['uncompressed']
    repeats = [row['repeats'] for row in run.rows]
    told = _runs(min(repeats), max(repeats))
    return (
        f'Bundle `{settings["bundle"]}` (fingerprint `{settings["fingerprint"]}`) on '
        f'{machine["processor"]}, {machine["cores"]} cores, Linux {machine["kernel"]}, Python '
        f'{machine["python"]}. {settings["images"]} images a measurement at '
        f'{fps_of(run.measured):g} Hz, deadline {settings["deadline_ms"]:g} ms, {told}. The '
        f'network on uncompressed pictures: mIoU {figure(raw["miou"])}, mAP50 '
        f'{figure(raw["map50"])}, accuracy {figure(raw["accuracy"])}. kB are 1000 bytes.'
        f'{_unnamed(on_link(run.rows, links_of(run.rows)[0]))}'
        f'{"".join(_other(name, of) for name, of in run.summary.get("rival_bundles", {}).items())}'
    )


def _unnamed(rows: list[Row]) -> str:
    # of the way that auto takes a frame the stages of another one say nothing
    fixed = [row for row in rows if family(row['transport']) not in (AUTO, LOCAL)]
    shares = [share for row in fixed if (share := unnamed_share(row)) is not None]
    if not shares:
        return ''
    return (
        ' Over the fastest link the stages that a node names and its own whole differ by at most '
        f'{max(shares):.0%} of the median time.'
    )


def _other(name: str, of: dict[str, Any]) -> str:
    return (
        f' `{name}` is another bundle: {name} {of["version"]}, family {of["family"]} (fingerprint '
        f'`{of["fingerprint"]}`); on uncompressed pictures mIoU {figure(of["miou"])}, mAP50 '
        f'{figure(of["map50"])}, accuracy {figure(of["accuracy"])}.'
    )


def _costs(rows: list[Row]) -> str:
    sizes = ('transport', 'kB a frame', 'on the wire', 'p50 ms', 'p95 ms', 'p99 ms')
    costs = ('not the network', 'edge CPU ms', 'server CPU ms', 'edge MB', 'server MB')
    return markdown(
        (*sizes, *costs, 'mIoU', 'mAP50'),
        [
            (
                f'`{row["transport"]}`',
                *(kilobytes(row[key]) for key in ('bytes_app', 'bytes_wire')),
                *(_spread(row, 'end_to_end_ms', 0, key) for key in ('p50', 'p95', 'p99')),
                _share(None if family(row['transport']) == AUTO else outside_network(row)),
                *(_spread(row, key, 1) for key in ('edge_cpu_ms', 'server_cpu_ms')),
                *(figure(row[key], 0) for key in ('edge_rss_mb', 'server_rss_mb')),
                *(figure(row[key]) for key in ('miou', 'map50')),
            )
            for row in rows
        ],
    )


def _links(run: Run) -> str:
    links = links_of(run.rows)
    cells = {(row['transport'], row['link_mbit']): row for row in run.rows}

    def cell(way: str, link: float | None) -> str:
        row = cells.get((way, link))
        if row is None:
            return MISSING
        share = with_limits(f'{row["in_time"]:.0%}', row, 'in_time', lambda value: f'{value:.0%}')
        return f'{share}, {_spread(row, "streaming_miou", 3)}'

    ways = dict.fromkeys(row['transport'] for row in run.rows)
    return markdown(
        ('transport', *map(link_name, links)),
        [(f'`{way}`', *(cell(way, link) for link in links)) for way in ways],
    )


def _runs(fewest: int, most: int) -> str:
    """Return how often each transport was measured over each link, in words."""
    if most == 1:
        return 'one run'
    several = f'{most} runs' if fewest == most else f'{fewest} to {most} runs'
    return f'{several} in turn: medians, with the least and the most in brackets'


def _spread(row: Row, key: str, digits: int, name: str = '') -> str:
    value = row[key][name] if name else row[key]
    say = partial(figure, digits=digits)
    return with_limits(say(value), row, key, say, name)


def _share(value: float | None) -> str:
    return MISSING if value is None else f'{value:.0%}'
