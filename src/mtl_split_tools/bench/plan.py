# SPDX-License-Identifier: Apache-2.0
"""Which ways are measured over which links, in an order that starts few processes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import DataError
from mtl_split_edge.modes import AUTO
from mtl_split_tools.bench.other_bundles import Others, name_of, ways_of
from mtl_split_tools.bench.rivals import FLOATS, RAW, is_rival, parse_rival
from mtl_split_tools.link_bench.plan import LOCAL, Cell, Condition, edge_settings

UNLIMITED = 'unlimited'
LINKS = (UNLIMITED, '20', '5', '1', '0.3')
"""Mbit/s each way."""
_PICTURES = ('jpeg:30', 'jpeg:50', 'jpeg:80', 'webp:30', 'webp:80')
_VIDEO = ('h264:23', 'h264:33', 'h265:33')


@dataclass(frozen=True, slots=True)
class Turn:
    """One measurement.

    Args:
        repeat: Which round over the whole plan, from 0.
        cell: Way and link.
    """

    repeat: int
    cell: Cell

    @property
    def name(self) -> str:
        """For a file."""
        return f'{self.repeat}-{self.cell.condition.name}-{self.cell.way.replace(":", "-")}'


def make_ways(bundle: Bundle) -> list[str]:
    """Return all there is to compare: rivals, MTL-Split's Z_b as it is, and the split."""
    rates = [f'split:{rate}' for rate in range(len(bundle.rates))]
    return [RAW, *_PICTURES, *_VIDEO, *FLOATS, LOCAL, *rates, AUTO]


def check_ways(ways: Sequence[str], bundle: Bundle, others: Others | None = None) -> None:
    """Check names of ways.

    Args:
        ways: The names.
        bundle: Has the rates.
        others: Bundles beside it, each with ways of its own.

    Raises:
        DataError: One is none.
    """
    others = others or {}
    for way in ways:
        if is_rival(way):
            parse_rival(way)
        elif name := name_of(way, others):
            if way not in (known := ways_of({name: others[name]})):
                msg = f'{way} is no way of that bundle: there are {known[0]} to {known[-1]}'
                raise DataError(msg)
        else:
            edge_settings(way, bundle)


def make_condition(name: str) -> Condition:
    """Return the link of a name: `unlimited`, or Mbit/s each way.

    Raises:
        DataError: It is neither.
    """
    if name == UNLIMITED:
        return Condition(name, None, None)
    try:
        mbit = float(name)
    except ValueError:
        mbit = 0.0
    if not 0.05 <= mbit <= 1000:
        msg = f'link {name} is neither {UNLIMITED} nor 0.05 to 1000 Mbit/s'
        raise DataError(msg)
    return Condition(f'{mbit:g}', mbit, mbit)


def make_turns(ways: Sequence[str], links: Sequence[str], repeats: int) -> list[Turn]:
    """Return all measurements, round by round; of a round our nodes first, then rival by rival."""
    conditions = [make_condition(link) for link in links]
    ordered = sorted(ways, key=is_rival)
    return [
        Turn(repeat, Cell(condition, way))
        for repeat in range(repeats)
        for way in ordered
        for condition in conditions
    ]


def by_session(
    turns: Sequence[Turn], others: Others | None = None
) -> Iterator[tuple[str, list[Turn]]]:
    """Group measurements by what has to run for them.

    Args:
        turns: The measurements.
        others: Other bundles, each in nodes of its own.

    Yields:
        The rival's name, that of another bundle, or '' for our nodes; and the measurements.
    """

    def key(turn: Turn) -> tuple[int, str]:
        way = turn.cell.way
        return turn.repeat, way if is_rival(way) else name_of(way, others or {})

    for (_, rival), group in groupby(turns, key):
        yield rival, list(group)
