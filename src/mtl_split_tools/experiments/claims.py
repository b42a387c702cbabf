# SPDX-License-Identifier: Apache-2.0
"""Claims of the papers beside our figures: what an experiment says to each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

MTL_SPLIT, LADON = 'MTL-Split', 'Ladon'
NOT_NOTED = 'not in our notes'
"""For `Claim.published`, where the paper has a figure that we have not."""


class Verdict(StrEnum):
    """What our figures say to a claim."""

    HOLDS = 'holds'
    PARTLY = 'holds partly'
    FAILS = 'does not hold'
    OPEN = 'open: one seed'


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of a paper, and what we found.

    Args:
        paper: `MTL_SPLIT` or `LADON`.
        claim: In our words.
        published: The paper's figure, or that there is none.
        ours: Our figure with its spread.
        verdict: By a rule from our figures.
        why: What makes it so, or what our figures leave open.
    """

    paper: str
    claim: str
    published: str
    ours: str
    verdict: Verdict
    why: str

    def document(self) -> dict[str, Any]:
        """Return it as results.json has it."""
        return asdict(self)


@runtime_checkable
class Judges(Protocol):
    """What an experiment offers whose figures say something to claims of a paper."""

    def claims(self, results: Mapping[str, dict[str, Any]]) -> Sequence[Claim]:
        """Return the claims that the results, of all cells or some, say something to."""


COLUMNS = ('paper', 'claim', "the paper's figure", 'our figure', 'verdict', 'why')


def rows(claims: Sequence[Claim]) -> list[tuple[str, ...]]:
    """Return a row of a table for each claim, as COLUMNS."""
    return [(c.paper, c.claim, c.published, c.ours, str(c.verdict), c.why) for c in claims]


def judge(for_it: int, of: int) -> Verdict:
    """Return a verdict by how many of the comparisons speak for a claim.

    Args:
        for_it: How many do.
        of: How many there are, at least one.
    """
    if for_it == of:
        return Verdict.HOLDS
    return Verdict.PARTLY if for_it else Verdict.FAILS
