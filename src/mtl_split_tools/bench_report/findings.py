# SPDX-License-Identifier: Apache-2.0
"""What the figures say, link by link: which rate to set, and where something else is better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mtl_split_tools.bench_report.looks import (
    AUTO,
    LOCAL,
    OTHER,
    PICTURE,
    RAW,
    SPLIT,
    VIDEO,
    Row,
    family,
    link_name,
    links_of,
    on_link,
)
from mtl_split_tools.console import figure, kilobytes

EQUAL = 0.005
"""Accuracies that differ by less are the same."""
IN_TIME = 0.95
"""Who answers fewer images in time is out of the race for speed and cost."""
_CLEAR = 0.05
"""Times, processor time and bytes that differ by less, as a share, are the same."""


@dataclass(frozen=True, slots=True)
class Race:
    """Something in which one transport is best.

    Args:
        name: What is best about it.
        value: Of a row; None: not in the race.
        say: A value in words.
        sign: 1 where more is better, -1 where less is.
        sending: Whether only those that send their images take part.
    """

    name: str
    value: Callable[[Row], float | None]
    say: Callable[[float], str]
    sign: int
    sending: bool = False


RACES = (
    Race('accuracy at hand', lambda row: row['streaming_miou'], lambda v: f'mIoU {v:.3f}', 1),
    Race('soonest answer', lambda row: _if_in_time(row, row['end_to_end_ms']['p50']),
         lambda v: f'{v:.0f} ms', -1),
    Race('least work for the edge', lambda row: _if_in_time(row, row['edge_cpu_ms']),
         lambda v: f'{v:.1f} ms of CPU', -1),
    Race('least work for the server', lambda row: _if_in_time(row, row['server_cpu_ms']),
         lambda v: f'{v:.1f} ms of CPU', -1, sending=True),
    Race('fewest bytes', lambda row: _if_in_time(row, row['bytes_wire']), kilobytes, -1,
         sending=True),
)  # fmt: skip


def best(rows: Sequence[Row], race: Race) -> Row | None:
    """Return the winner among rows of one link; mode auto does not take part."""
    running = [
        row
        for row in rows
        if family(row['transport']) not in ((AUTO, LOCAL) if race.sending else (AUTO,))
        and race.value(row) is not None
    ]
    return max(running, key=lambda row: race.sign * (race.value(row) or 0.0), default=None)


def winners(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return for each link who wins each race."""
    found = []
    for link in links_of(rows):
        cells = [link_name(link)]
        for race in RACES:
            row = best(on_link(rows, link), race)
            value = None if row is None else race.value(row)
            cells.append('-' if row is None or value is None else _cell(row, race.say(value)))
        found.append(tuple(cells))
    return found


def losses(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each race that something other than Z_b wins clearly."""
    found = []
    for link in links_of(rows):
        mine = on_link(rows, link)
        for race in RACES:
            winner = best(mine, race)
            split = best([row for row in mine if family(row['transport']) == SPLIT], race)
            if winner is None or family(winner['transport']) == SPLIT:
                continue
            value = race.value(winner) or 0.0
            text = f'{link_name(link)}, {race.name}: {_cell(winner, race.say(value))}'
            if split is None:
                found.append(f'{text}, and no rate answers {IN_TIME:.0%} of the images in time')
                continue
            other = race.value(split) or 0.0
            if abs(value - other) < (EQUAL if race is RACES[0] else _CLEAR * abs(other)):
                continue
            text += f' against {_cell(split, race.say(other))}'
            if race is not RACES[0]:
                worth = [figure(row['streaming_miou']) for row in (winner, split)]
                text += f'; mIoU at hand {worth[0]} against {worth[1]}'
            found.append(text)
    return found


def kinds_of(rows: Sequence[Row]) -> list[str]:
    """Return the kinds to compare: the rate to set first; other bundles where there are some."""
    others = [OTHER] if any(family(row['transport']) == OTHER for row in rows) else []
    return [SPLIT, AUTO, LOCAL, *others, PICTURE, VIDEO, RAW]


def choices(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return for each link what the best of each kind reaches, in the order of kinds_of()."""
    columns = kinds_of(rows)
    found = []
    for link in links_of(rows):
        mine = on_link(rows, link)
        kinds: dict[str, Row] = {}
        # Of equally accurate ones that with the fewest bytes is named.
        for row in sorted(mine, key=lambda row: row['bytes_wire'] or 0.0):
            kind, kept = family(row['transport']), kinds.get(family(row['transport']))
            if kept is None or worth_of(row) > worth_of(kept) + EQUAL:
                kinds[kind] = row
        found.append((link_name(link), *(_reached(kinds.get(kind)) for kind in columns)))
    return found


def worth_of(row: Row) -> float:
    """Return the accuracy at hand; 0 where there never was an answer."""
    return float(row['streaming_miou'] or 0.0)


def _if_in_time(row: Row, value: float | None) -> float | None:
    return value if row['in_time'] >= IN_TIME else None


def _cell(row: Row, text: str) -> str:
    return f'`{row["transport"]}` {text}'


def _reached(row: Row | None) -> str:
    if row is None:
        return '-'
    return f'`{row["transport"]}` {row["in_time"]:.0%}, {figure(row["streaming_miou"])}'
