# SPDX-License-Identifier: Apache-2.0
"""What the figures of `loc-roc-sc` say to the claims of the MTL-Split paper."""

from collections.abc import Mapping

from mtl_split_tools.console import kilobytes
from mtl_split_tools.experiments.claims import MTL_SPLIT, NOT_NOTED, Claim, judge
from mtl_split_tools.experiments.frame import Result
from mtl_split_tools.experiments.pieces import (
    FLOAT32,
    JPEG,
    LINKS_MBIT,
    RAW,
    Piece,
    latency_ms,
    link_name,
    read_pieces,
)

_NOISE = 0.05


def find(networks: Mapping[str, Result], check: Result) -> list[str]:
    """Return sentences with figures.

    Args:
        networks: What was measured, by network.
        check: What the real nodes took.
    """
    published = {name: result for name, result in networks.items() if result['weights'] == 'random'}
    pieces = {name: read_pieces(result['pieces']) for name, result in published.items()}
    saved = {
        name: 1 - result['memory_mb']['split'] / result['memory_mb']['local']
        for name, result in networks.items()
    }
    least, most = min(saved, key=saved.__getitem__), max(saved, key=saved.__getitem__)
    found = [
        f'Memory of the edge, split against local-only: {saved[least]:.0%} less ({least}) to '
        f'{saved[most]:.0%} less ({most}).'
    ]
    for way, text in ((RAW, 'the raw picture'), (JPEG, f'the picture as {JPEG}')):
        smaller = [n for n, p in pieces.items() if p[FLOAT32].bytes < p[way].bytes]
        sooner = [n for n, p in pieces.items() if _sooner(p[FLOAT32], p[way])]
        found.append(
            f'Backbones of the paper, float32 Z_b against {text}: fewer bytes for '
            f'{_which(smaller, pieces)}; sooner by {_NOISE:.0%} or more on some link for '
            f'{_which(sooner, pieces)}.'
        )
    for name, result in networks.items():
        if result['weights'] == 'trained':
            ways = read_pieces(result['pieces'])
            sizes = [piece.bytes for way, piece in ways.items() if way.startswith('split:')]
            found.append(
                f'{name}, coded: {kilobytes(min(sizes))} to {kilobytes(max(sizes))} for a picture, '
                f'as {JPEG} {kilobytes(ways[JPEG].bytes)}.'
            )
    found += [
        f'Real nodes, {row["way"]} at {link_name(row["mbit"])}: computed {row["computed_ms"]:.0f} '
        + _measured(row)
        for row in check['rows']
    ]
    if check['skipped']:
        found.append(f'The check against real nodes was skipped: {check["skipped"]}.')
    return found


def judge_ways(networks: Mapping[str, Result]) -> list[Claim]:
    """Return what the figures say to the paper's claims of memory, bytes and latency.

    Args:
        networks: What was measured, by network; those with random weights count.
    """
    published = {name: result for name, result in networks.items() if result['weights'] == 'random'}
    pieces = {name: read_pieces(result['pieces']) for name, result in published.items()}
    saved = {
        name: 1 - result['memory_mb']['split'] / result['memory_mb']['local']
        for name, result in published.items()
    }
    rivals = {'the raw picture': RAW, JPEG: JPEG}
    sizes, links, fewer, sooner = [], [], 0, 0
    for text, way in rivals.items():
        shares = [ways[FLOAT32].bytes / ways[way].bytes for ways in pieces.values()]
        count = sum(_sooner(ways[FLOAT32], ways[way]) for ways in pieces.values())
        sizes.append(f'{min(shares):.2f} to {max(shares):.2f} times {text}')
        links.append(f'{count} of {len(pieces)} against {text}')
        fewer += sum(share < 1 for share in shares)
        sooner += count
    of = len(rivals) * len(pieces)
    return [
        Claim(
            MTL_SPLIT,
            'split needs less memory on the edge than local-only',
            NOT_NOTED,
            f'{min(saved.values()):.0%} to {max(saved.values()):.0%} less',
            judge(sum(share > 0 for share in saved.values()), len(saved)),
            'the heads stay at the server; what every process needs stays on the edge',
        ),
        Claim(
            MTL_SPLIT,
            'split sends less than remote-only',
            NOT_NOTED,
            '; '.join(sizes),
            judge(fewer, of),
            'Z_b is float32 as it comes; to beat a JPEG takes a bottleneck and a coder, which '
            '`camvid` has',
        ),
        Claim(
            MTL_SPLIT,
            'split answers sooner than remote-only',
            NOT_NOTED,
            f'backbones that do, by {_NOISE:.0%} or more, on some link: {"; ".join(links)}',
            judge(sooner, of),
            'on a slow link the bytes decide; on a fast one, with a slow edge, the picture is '
            'sooner, as the server then does more of the work',
        ),
    ]


def _sooner(piece: Piece, other: Piece) -> bool:
    return any(
        latency_ms([piece], mbit) < (1 - _NOISE) * latency_ms([other], mbit) for mbit in LINKS_MBIT
    )


def _which(names: list[str], of: Mapping[str, object]) -> str:
    if len(names) == len(of):
        return 'all'
    left = [name for name in of if name not in names]
    return f'{len(names)} of {len(of)} (not {", ".join(left)})' if names else 'none'


def _measured(row: Result) -> str:
    counts = f'{row["answered"]} of {row["pictures"]} answered'
    if row['measured_ms'] is None:
        return f'ms, {counts}.'
    return f'ms, measured {row["measured_ms"]:.0f} ms ({row["deviation"]:+.0%}), {counts}.'
