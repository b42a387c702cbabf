# SPDX-License-Identifier: Apache-2.0
"""What the mode parameters ask of the chooser."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import PICTURE_FORMATS, CodecId
from mtl_split_core.pictures import PICTURE_QUALITY
from mtl_split_core.profile import Mode, ProfilePoint, unmeasured
from mtl_split_edge.chooser import Chooser
from mtl_split_edge.in_use import InUse
from mtl_split_edge.pipeline import DEFAULT_RATE
from mtl_split_ros.parameters import Parameters

AUTO = 'auto'
NEED_LOCAL = (AUTO, Mode.LOCAL)
"""Modes in which the edge answers itself."""


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

    @classmethod
    def of(cls, settings: Parameters) -> 'Wish':
        """Read the parameters."""
        return cls(
            settings.text('mode'),
            settings.integer('rate'),
            settings.text('codec'),
            settings.text('picture'),
            settings.number('deadline_ms'),
        )

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


class Course:
    """The mode in force: what the parameters wish, as far as it can be done yet.

    Args:
        mode: At the start; all that it needs is there.
        say: Called with a line for the log.
    """

    def __init__(self, mode: str, say: Callable[[str], object]) -> None:
        self.mode = mode
        self._say = say
        self._wish: Wish | None = None

    def forget(self) -> None:
        """Take the next wish over whole, as the chooser is new."""
        self._wish = None

    def follow(self, wish: Wish, in_use: InUse, chooser: Chooser) -> Wish:
        """Bring the chooser up to date before an image.

        Args:
            wish: The parameters.
            in_use: What there is to do them by; a mode that needs more waits for it, and the one
                before goes on.
            chooser: Follows.

        Returns:
            What is in force.
        """
        if wish.mode in NEED_LOCAL and in_use.local is None:
            wish = replace(wish, mode=self.mode)
        if wish != self._wish:
            before, self._wish = self._wish, wish
            if point := wish.point(in_use.bundle):
                chooser.hold(point)
            elif in_use.profile and (before is None or before.mode != AUTO):
                chooser.choose(in_use.profile)
            chooser.aim(wish.deadline_ms / 1e3)
            self.mode = wish.mode
            if before and before.mode != wish.mode:
                self._say(f'mode {wish.mode}')
        return wish
