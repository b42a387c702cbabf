# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with bytes and numbers of any kind."""

import math
from random import Random

U8, U16, U32, U64 = (2**bits - 1 for bits in (8, 16, 32, 64))
FLOATS = (0.0, -0.0, -1.0, 1e-45, 1e-3, 3.4e38, -3.4e38, math.inf, -math.inf, math.nan)
TEXTS = ('', 'camvid', '\x1b[2J', '{}%s%n', '\u202e', '☃', 'x' * 70_000, '../../etc/passwd')


def flip(random: Random, data: bytes, reach: int | None = None) -> bytes:
    """Return the bytes with some bits the other way.

    Args:
        random: Decides.
        data: The bytes.
        reach: How many from the start may be hit; all if None.
    """
    length = min(len(data), reach or len(data))
    if not length:
        return data
    flipped = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 16, 256))):
        flipped[random.randrange(length)] ^= 1 << random.randrange(8)
    return bytes(flipped)


def cut(random: Random, data: bytes) -> bytes:
    """Return the bytes without their end, or with something behind it."""
    if random.random() < 0.7:
        return data[: random.randrange(len(data) + 1)]
    return data + random.randbytes(random.randrange(1, 4096))


def splice(random: Random, one: bytes, other: bytes) -> bytes:
    """Return the head of one and the tail of another."""
    at = random.randrange(min(len(one), len(other)) + 1)
    return one[:at] + other[at:]


def drop(random: Random, data: bytes) -> bytes:
    """Return the bytes without some in the middle, or with some twice."""
    first, last = sorted(random.randrange(len(data) + 1) for _ in range(2))
    last = min(last, first + 4096)
    return data[:first] + data[last:] if random.random() < 0.5 else data[:last] + data[first:]


def noise(random: Random, length: int) -> bytes:
    """Return bytes that mean nothing."""
    length = random.choice((0, 1, 3, 4, length, random.randrange(60_000)))
    fill = random.choice((b'\0', b'\xff', b''))
    return fill * length if fill else random.randbytes(length)


def worsen(random: Random, data: bytes) -> bytes:
    """Return the bytes with one of the things above wrong."""
    way = random.random()
    if way < 0.5:
        return flip(random, data, random.choice((None, 16, 64, 512)))
    if way < 0.7:
        return cut(random, data)
    return drop(random, data) if way < 0.95 else noise(random, len(data))


def whole(random: Random, most: int) -> int:
    """Return a number from 0 to `most`, the ends more often than those between."""
    return random.choice((0, 1, most, most - 1, random.randrange(most + 1)))


def real(random: Random) -> float:
    """Return a float32 of any kind."""
    return random.choice((*FLOATS, random.uniform(0, 10)))
