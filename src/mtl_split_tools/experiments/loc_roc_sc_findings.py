# SPDX-License-Identifier: Apache-2.0
"""What the figures of `loc-roc-sc` say to the claims of the MTL-Split paper."""

from collections.abc import Mapping

from mtl_split_tools.console import kilobytes
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
