# SPDX-License-Identifier: Apache-2.0
"""Which cut of a backbone is worth its bytes: the rules behind the picture and the claim."""

from collections.abc import Mapping, Sequence

from mtl_split_tools.experiments.frame import Result
from mtl_split_train.published.cut_training import RIVAL

WITHIN = 0.01
"""What coding may cost, of the mean accuracy of all tasks."""

_LESS = 0.95  # what sends hardly less is not worth more work


def mean(accuracy: Mapping[str, float]) -> float:
    """Return the mean accuracy of all tasks."""
    return sum(accuracy.values()) / len(accuracy)


def least(ways: Sequence[Result], uncoded: Mapping[str, float]) -> Result | None:
    """Return the way of fewest bytes that keeps the answers; None where none does.

    Args:
        ways: Of coding one cut, or the picture.
        uncoded: Accuracy by task without any coding.
    """
    bar = mean(uncoded) - WITHIN - 1e-9
    kept = [way for way in ways if way['enough'] and mean(way['accuracy']) >= bar]
    return min(kept, key=lambda way: float(way['bytes']), default=None)


def rival(result: Result) -> Result:
    """Return the JPEG that a cut has to be smaller than, whatever the network makes of it.

    Args:
        result: Of a backbone.
    """
    return next(way for way in result['jpeg'] if way['coarseness'] == RIVAL)


def keeping(result: Result) -> list[tuple[Result, Result]]:
    """Return each cut that some coding keeps the answers at, and the least such coding.

    Args:
        result: Of a backbone.
    """
    found = [(cut, least(cut['coded'], result['uncoded'])) for cut in result['cuts']]
    return [(cut, way) for cut, way in found if way is not None]


def first_below(result: Result) -> tuple[Result, Result] | None:
    """Return the first cut that sends less than the JPEG and keeps the answers, and its coding.

    Args:
        result: Of a backbone.
    """
    limit = rival(result)['bytes']
    return next(((cut, way) for cut, way in keeping(result) if way['bytes'] < limit), None)


def useful(result: Result) -> list[tuple[Result, Result]]:
    """Return the cuts that send less than each earlier one, and their codings.

    Args:
        result: Of a backbone.
    """
    kept: list[tuple[Result, Result]] = []
    for cut, way in keeping(result):
        if not kept or way['bytes'] < _LESS * kept[-1][1]['bytes']:
            kept.append((cut, way))
    return kept
