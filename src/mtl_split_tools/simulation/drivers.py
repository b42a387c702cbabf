# SPDX-License-Identifier: Apache-2.0
"""Who drives beside the policy: one fixed rate, and a plan made in advance."""

import math
from collections.abc import Sequence

from mtl_split_core.profile import ProfilePoint
from mtl_split_edge.decision import Decision, Reason
from mtl_split_edge.link import Report


class Fixed:
    """Sends every frame the same way and asks no questions.

    Args:
        point: The way.
    """

    def __init__(self, point: ProfilePoint) -> None:
        self._decision = Decision(point, None, math.inf, Reason.BEST)

    def decide(self, age_s: float, now: float) -> Decision:  # noqa: ARG002
        """See Driver."""
        return self._decision

    def sent(self, sequence: int, size: int, point: ProfilePoint, now: float) -> None:
        """See Driver."""

    def reported(self, report: Report, now: float) -> None:
        """See Driver."""


class Planned(Fixed):
    """Follows a plan.

    Args:
        choices: How to answer each frame; None: drop it.
        fps: Images per second, to know which frame it is.
    """

    def __init__(self, choices: Sequence[ProfilePoint | None], fps: float) -> None:
        self._choices = choices
        self._fps = fps

    def decide(self, age_s: float, now: float) -> Decision:
        """See Driver."""
        choice = self._choices[round((now - age_s) * self._fps)]
        return Decision(choice, None, math.inf, Reason.BEST if choice else Reason.NO_LINK)
