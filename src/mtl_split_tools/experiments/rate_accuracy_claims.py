# SPDX-License-Identifier: Apache-2.0
"""What the figures of `rate-accuracy` say to claims about sending features of several tasks."""

from collections.abc import Mapping

from mtl_split_tools.experiments.claims import LADON, NOT_NOTED, Claim, Verdict, judge
from mtl_split_tools.experiments.frame import Result
from mtl_split_tools.sweep.result import METRICS, RIVALS

_DETECTION = 'map50'
# arXiv 2501.01420, ResNet-50: from beta 0.32 to 20.48.
_PUBLISHED = 'from 66 to 4 kB: mAP -26%, mIoU -6%, top-1 -8%'


def judge_rates(results: Mapping[str, Result]) -> list[Claim]:
    """Return the claims, for each bundle that its figures say something of.

    Args:
        results: By bundle, with `rows` and `bd_rate`.
    """
    found = (find(name, result) for name, result in results.items() for find in (_first, _fewer))
    return [claim for claim in found if claim]


def _first(name: str, result: Result) -> Claim | None:
    """Return whether detection loses the largest share from the picture to the least rate."""
    rows = {row['transport']: row for row in result['rows']}
    least, raw = rows['split:0'], rows['raw']
    lost = {
        metric: 1 - least[metric] / raw[metric]
        for metric in METRICS
        if raw[metric] and least[metric] is not None
    }
    if _DETECTION not in lost or len(lost) < 2:
        return None
    shares = ', '.join(f'{METRICS[metric]} {-share:+.0%}' for metric, share in lost.items())
    return Claim(
        LADON,
        'detection loses first when the rate falls',
        _PUBLISHED,
        f'{name}, from the uncompressed picture to {least["bytes_per_frame"] / 1e3:.1f} kB: '
        f'{shares}; one set of weights, so without spread',
        Verdict.HOLDS if lost[_DETECTION] == max(lost.values()) else Verdict.FAILS,
        'a box needs the place of an edge, a class of a large area does not',
    )


def _fewer(name: str, result: Result) -> Claim | None:
    """Return whether the split sends less than pictures at equal accuracy, each at its best."""
    told, less = [], []
    for rival, text in RIVALS.items():
        if not rival.endswith('best'):
            continue
        for metric, found in result['bd_rate'][rival].items():
            share = found['rate']
            if share is None and not found['above']:
                continue  # they have no accuracy in common
            less.append(share is None or share < 0)
            figure = 'all above' if share is None else f'{share:+.0%}'
            told.append(f'{METRICS[metric]} against {text} {figure}')
    if not told:
        return None
    return Claim(
        LADON,
        'the split sends less than a compressed picture of the same accuracy',
        NOT_NOTED,
        f'{name}, mean bytes at equal accuracy: {"; ".join(told)}; one set of weights',
        judge(sum(less), len(less)),
        'Z_b holds what the tasks need, a picture what eyes see',
    )
