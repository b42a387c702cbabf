# SPDX-License-Identifier: Apache-2.0
"""Which fault comes when, by a seed."""

import random
from dataclasses import dataclass
from enum import StrEnum

PERIOD_S = 20.0
FIRST_S = 10.0
FAST_MBIT = 10.0
"""The link between faults."""


class Kind(StrEnum):
    """What goes wrong."""

    KILL = 'server killed'
    """SIGKILL; started again after a while."""
    STALL = 'server stalled'
    """SIGSTOP, then SIGCONT."""
    CUT = 'link cut'
    SLOW = 'link slow'
    LOSS = 'packets lost'
    STILL = 'camera still'
    """It publishes nothing."""
    SIZE = 'camera size'
    """It publishes images of another size."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Args:
        at: When it begins, seconds from the start.
        kind: What it is.
        seconds: How long it lasts.
        value: Mbit/s of SLOW, per cent of LOSS, width of SIZE; 0 otherwise.
    """

    at: float
    kind: Kind
    seconds: float
    value: float = 0.0

    @property
    def end(self) -> float:
        """When it is over."""
        return self.at + self.seconds

    @property
    def text(self) -> str:
        """What it is, for people."""
        unit = {Kind.SLOW: 'Mbit/s', Kind.LOSS: '%', Kind.SIZE: 'pixels wide'}.get(self.kind)
        return f'{self.kind} {self.value:g} {unit}' if unit else str(self.kind)


def schedule(seed: int, seconds: float) -> list[Fault]:
    """Return the faults of a drive: each kind once before one comes again.

    Args:
        seed: Decides order, length and strength.
        seconds: Length of the drive; the last fault is over well before its end.
    """
    chance = random.Random(seed)
    faults: list[Fault] = []
    kinds: list[Kind] = []
    at = FIRST_S
    while at + PERIOD_S <= seconds:
        if not kinds:
            kinds = list(Kind)
            chance.shuffle(kinds)
        faults.append(_fault(chance, round(at, 1), kinds.pop()))
        at += PERIOD_S
    return faults


def _fault(chance: random.Random, at: float, kind: Kind) -> Fault:
    match kind:
        case Kind.SLOW:
            seconds, value = chance.uniform(5, 10), round(chance.uniform(0.3, 3), 1)
        case Kind.LOSS:
            seconds, value = chance.uniform(3, 8), chance.choice((1, 5, 20))
        case Kind.SIZE:
            seconds, value = chance.uniform(3, 8), chance.choice((320, 640, 720))
        case Kind.STALL:
            seconds, value = chance.uniform(1, 3), 0.0
        case _:
            seconds, value = chance.uniform(1, 5), 0.0
    return Fault(at, kind, round(seconds, 1), value)
