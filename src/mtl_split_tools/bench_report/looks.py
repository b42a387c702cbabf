# SPDX-License-Identifier: Apache-2.0
"""One colour for each kind of transport, and names that a reader knows."""

from collections.abc import Iterable
from typing import Any

SPLIT, PICTURE, VIDEO, RAW, LOCAL, AUTO = 'split', 'picture', 'video', 'raw', 'local', 'auto'
OTHER = 'other'

COLORS = {
    SPLIT: '#0072b2',
    PICTURE: '#d55e00',
    VIDEO: '#8e4ba8',
    RAW: '#777777',
    LOCAL: '#009e73',
    AUTO: '#000000',
    OTHER: '#b8860b',
}
KINDS = {
    SPLIT: 'Z_b',
    PICTURE: 'pictures',
    VIDEO: 'video',
    RAW: 'uncompressed',
    LOCAL: 'edge alone',
    AUTO: 'auto',
    OTHER: 'another bundle',
}
_FAMILIES = {
    'split': SPLIT, 'jpeg': PICTURE, 'webp': PICTURE, 'h264': VIDEO, 'h265': VIDEO,
    'raw': RAW, 'float32': RAW, 'float16': RAW, 'lossless': RAW, 'local': LOCAL, 'auto': AUTO,
}  # fmt: skip

Row = dict[str, Any]


def family(transport: str) -> str:
    """Return the kind of a transport: split, picture, video, raw, local, auto or other.

    What has no name of its own here is that of another bundle.
    """
    return _FAMILIES.get(transport.partition(':')[0], OTHER)


def color(transport: str) -> str:
    """Return the colour of a transport."""
    return COLORS[family(transport)]


def label(transport: str) -> str:
    """Return the name of a transport in a picture."""
    kind, _, value = transport.partition(':')
    names = {'split': 'split', 'jpeg': 'JPEG', 'webp': 'WebP', 'h264': 'H.264', 'h265': 'H.265'}
    extra = {'raw': 'raw image', 'float32': 'float32', 'float16': 'float16'}
    name = names.get(kind) or extra.get(kind, kind)
    return f'{name} {value}'.strip()


def link_name(mbit: float | None) -> str:
    """Return the name of a link."""
    return 'no limit' if mbit is None else f'{mbit:g} Mbit/s'


def links_of(rows: Iterable[Row]) -> list[float | None]:
    """Return the links of rows, the fastest first."""
    found = {row['link_mbit'] for row in rows}
    return sorted(found, key=lambda mbit: -(float('inf') if mbit is None else mbit))


def on_link(rows: Iterable[Row], mbit: float | None) -> list[Row]:
    """Return the rows of one link."""
    return [row for row in rows if row['link_mbit'] == mbit]
