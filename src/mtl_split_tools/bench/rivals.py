# SPDX-License-Identifier: Apache-2.0
"""What people use instead that our nodes do not speak: raw images, video, and floats.

The nodes do have a codec for floats; but Z_b as floats is hundreds of datagrams, of which a reader
with best effort, as theirs, hardly ever gets all.
"""

from dataclasses import dataclass

from mtl_split_core.errors import DataError
from mtl_split_tools.bench.video import CODECS

RAW = 'raw'
FLOATS = ('float32', 'float16')
"""Z_b as it is: what MTL-Split sends as published, and half of that."""
TOPIC = 'rival'
MOST_QUALITY = 51


@dataclass(frozen=True, slots=True)
class Rival:
    """A way to send a picture.

    Args:
        name: `raw`, `float32`, `float16`, `h264:CRF` or `h265:CRF`.
        codec: Of video; '' for the others.
        quality: Constant rate factor of video.
    """

    name: str
    codec: str = ''
    quality: int = 0

    @property
    def depth(self) -> int:
        """Of the queue: what stands alone replaces the one before; video needs each packet."""
        return 30 if self.codec else 1

    @property
    def floats(self) -> bool:
        """Whether it sends Z_b."""
        return self.name in FLOATS


def parse_rival(name: str) -> Rival:
    """Return the rival of a name.

    Raises:
        DataError: There is none of that name.
    """
    codec, _, quality = name.partition(':')
    if name in (RAW, *FLOATS):
        return Rival(name)
    if codec in CODECS and quality.isdecimal() and int(quality) <= MOST_QUALITY:
        return Rival(name, codec, int(quality))
    known = ', '.join((RAW, *FLOATS, *(f'{codec}:CRF' for codec in CODECS)))
    msg = f'{name} is no rival; there are {known} with CRF 0 to {MOST_QUALITY}'
    raise DataError(msg)


def is_rival(name: str) -> bool:
    """Tell whether a way is one of these rather than of the nodes."""
    return name.partition(':')[0] in (RAW, *FLOATS, *CODECS)
