# SPDX-License-Identifier: Apache-2.0
"""What the mode parameters ask of the chooser."""

from dataclasses import dataclass

from mtl_split_core.bundle import Bundle
from mtl_split_core.codecs import PICTURE_FORMATS, CodecId
from mtl_split_core.pictures import PICTURE_QUALITY
from mtl_split_core.profile import Mode, ProfilePoint, unmeasured
from mtl_split_edge.pipeline import DEFAULT_RATE

AUTO = 'auto'


@dataclass(frozen=True, slots=True)
class Wish:
    """The parameters that say how frames are answered.

    Args:
        mode: Parameter `mode`.
        rate: Parameter `rate`.
        codec: Parameter `codec`.
        picture: Parameter `picture`.
        deadline_ms: Parameter `deadline_ms`.
    """

    mode: str
    rate: int
    codec: str
    picture: str
    deadline_ms: float

    def point(self, bundle: Bundle) -> ProfilePoint | None:
        """Return the one way of a fixed mode; None in mode auto.

        Args:
            bundle: Gives the default rate.
        """
        if self.mode == AUTO:
            return None
        mode = Mode(self.mode)
        if mode is Mode.LOCAL:
            return unmeasured(mode, None, 0)
        if mode is Mode.REMOTE:
            kind, quality = self.picture.split(':')
            (codec,) = (codec for codec, name in PICTURE_FORMATS.items() if name == kind)
            return unmeasured(mode, codec, PICTURE_QUALITY.index(int(quality)))
        rate = bundle.default_rate if self.rate == DEFAULT_RATE else self.rate
        return unmeasured(mode, CodecId[self.codec.upper()], rate)
