# SPDX-License-Identifier: Apache-2.0
"""What the figures of `one-vs-three` say to the claims of the Ladon paper."""

import math
from collections.abc import Mapping

from mtl_split_tools.experiments.claims import LADON, Claim, Verdict
from mtl_split_tools.experiments.frame import Result
from mtl_split_tools.experiments.pieces import LOCAL, SLOW_EDGE

EDGES = (
    ('latency_ms', 'edge as measured'),
    ('slow_edge_ms', f'edge {SLOW_EDGE:g} times slower'),
)


def find(results: Mapping[str, Result]) -> list[str]:
    """Return sentences with figures.

    Args:
        results: By bundle, with `placements`.
    """
    found = []
    for name, result in results.items():
        count, placements = len(result['singles']), result['placements']
        if count < 2:
            continue
        several = f'{count}, local'
        for key, edge in EDGES:
            split, at = best_reduction(placements, key, 'split')
            local, where = best_reduction(placements, key, 'local')
            one = placements['one, split, rate 0'][key]
            slowest = next(iter(one))
            times = one[slowest] / placements[several][key][slowest]
            found.append(
                f'{name}, {edge}, one split network: up to {split:.0%} less latency than {count} '
                f'split ones ({at}); sooner than {count} local ones '
                f'{sooner_from(placements, key, several)}, up to {local:.0%} ({where}), and at '
                f'{slowest} and the least rate {times:.1f} times their latency; sooner than one '
                f'local network {sooner_from(placements, key, "one, local")}.'
            )
        work = placements['one, split, rate 0']['edge_ms']
        found.append(
            f'{name}, work of the edge, one split network: '
            f'{1 - work / placements[several]["edge_ms"]:.0%} less than {count} local ones, '
            f'{1 - work / placements[f"{count}, split, rate 0"]["edge_ms"]:.0%} less than {count} '
            f'split ones, {1 - work / placements["one, local"]["edge_ms"]:.0%} less than one '
            'local network.'
        )
    return found


_LATENCY, _ENERGY = 0.954, 0.882  # arXiv 2501.01420, abstract


def judge_headlines(results: Mapping[str, Result]) -> list[Claim]:
    """Return what the figures say to the paper's headlines.

    A headline holds where our best figure reaches the paper's, and partly where it is a gain.

    Args:
        results: By bundle, with `placements`.
    """
    claims = []
    for name, result in results.items():
        count, placements = len(result['singles']), result['placements']
        if count < 2:
            continue
        told, best = [], 0.0
        for key, edge in EDGES:
            for against in ('split', 'local'):
                share, link = best_reduction(placements, key, against)
                told.append(f'up to {share:.0%} ({count} {against}, {edge}, {link})')
                best = max(best, share)
        work = {
            end: _saved_work(placements['one, split, rate 0'], placements[f'{count}, {way}'])
            for end, way in (('local', LOCAL), ('split', 'split, rate 0'))
        }
        shares = [
            f'{share:.0%} ± {spread:.0%} less than {count} {end}'
            for end, (share, spread) in work.items()
        ]
        claims += [
            Claim(
                LADON,
                'one encoder and one pass for three tasks: less latency end to end',
                f'up to {_LATENCY:.1%}, against its own baselines',
                f'{name}: {"; ".join(told)}',
                _reached(best, _LATENCY),
                f'{count} of the same make send {count} times the bytes, so {1 - 1 / count:.0%} is '
                "the most against them; against local ones the edge's speed and the link decide",
            ),
            Claim(
                LADON,
                'the same: less energy on the edge',
                f'up to {_ENERGY:.1%}',
                f'{name}, work of the edge: {", ".join(shares)}',
                Verdict.PARTLY if min(work.values())[0] > 0 else Verdict.FAILS,
                'processor time stands for energy, which is not measured: never more than partly',
            ),
        ]
    return claims


def _saved_work(one: Result, several: Result) -> tuple[float, float]:
    """Return the share of the edge's work that one placement saves, and its spread."""
    share = float(one['edge_ms'] / several['edge_ms'])
    apart = (found['edge_spread_ms'] / found['edge_ms'] for found in (one, several))
    return 1 - share, share * math.hypot(*apart)


def _reached(best: float, published: float) -> Verdict:
    if best >= published:
        return Verdict.HOLDS
    return Verdict.PARTLY if best > 0 else Verdict.FAILS


def best_reduction(placements: Mapping[str, Result], key: str, against: str) -> tuple[float, str]:
    """Return how much sooner one split network answers, and on which link that is most.

    Args:
        placements: Of a bundle.
        key: `latency_ms` or `slow_edge_ms`.
        against: End of the other placements' names: `local` or `split`. Split ones are compared
            at the same rate.

    Returns:
        Share of the latency that is saved, at most 1, and the link.
    """
    found = []
    for name, one in placements.items():
        if not name.startswith('one, split'):
            continue
        wanted = 'local' if against == 'local' else name.partition(', ')[2]
        other = next(
            value
            for key_of, value in placements.items()
            if key_of.partition(', ')[2] == wanted and not key_of.startswith('one')
        )
        found += [(1 - one[key][link] / other[key][link], link) for link in one[key]]
    return max(found)


def sooner_from(placements: Mapping[str, Result], key: str, than: str) -> str:
    """Return on which of the links one split network, at any rate, is sooner than another way.

    Args:
        placements: Of a bundle.
        key: `latency_ms` or `slow_edge_ms`.
        than: Name of the other placement.

    Returns:
        In words.
    """
    other = placements[than][key]
    split = [found[key] for name, found in placements.items() if name.startswith('one, split')]
    links = [link for link in other if min(one[link] for one in split) < other[link]]
    if not links:
        return 'on no link'
    return 'on every link' if len(links) == len(other) else f'from {links[0]} on'
