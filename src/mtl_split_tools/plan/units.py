# SPDX-License-Identifier: Apache-2.0
"""Figures with units, as a person types them and as a table shows them."""

import math
import re

from mtl_split_core.errors import DataError

_SCALE = {'k': 1e3, 'K': 1e3, 'M': 1e6, 'G': 1e9}
_NUMBER = r'(\d+(?:\.\d*)?|\.\d+)'


def parse_bandwidth(text: str, option: str) -> float:
    """Return bits per second.

    Args:
        text: `300k`, `1M`, `1.5Mbit/s`, `2 Gbps`: bits, by 1000.
        option: Name of the option, for the error.

    Raises:
        DataError: Another form, or not above 0.
    """
    allowed = 'a number with k, M or G for kbit/s, Mbit/s or Gbit/s, such as 300k or 1.5M'
    return _parse(text, option, r'(?:bit/s|bit|bps)?', allowed)


def parse_memory(text: str, option: str) -> float:
    """Return megabytes (10^6 bytes).

    Args:
        text: `200M`, `1.5G`, `200MB`: bytes, by 1000.
        option: Name of the option, for the error.

    Raises:
        DataError: Another form, or not above 0.
    """
    allowed = 'a number with k, M or G for kB, MB or GB (by 1000), such as 200M'
    return _parse(text, option, 'B?', allowed) / 1e6


def _parse(text: str, option: str, unit: str, allowed: str) -> float:
    found = re.fullmatch(rf'{_NUMBER} ?([kKMG]){unit}', text.strip(), re.ASCII)
    value = float(found[1]) * _SCALE[found[2]] if found else math.nan
    if not 0 < value < 1e15:
        msg = f"{option} '{text}' is not {allowed}"
        raise DataError(msg)
    return value


def bandwidth_text(bit_s: float) -> str:
    """Return a bandwidth for people."""
    for scale, name in ((1e9, 'Gbit/s'), (1e6, 'Mbit/s')):
        if bit_s >= scale:
            return f'{bit_s / scale:.3g} {name}'
    return f'{bit_s / 1e3:.3g} kbit/s'
