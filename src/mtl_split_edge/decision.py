# SPDX-License-Identifier: Apache-2.0
"""What the policy is asked and what it answers."""

from dataclasses import dataclass
from enum import StrEnum

from mtl_split_core.profile import ProfilePoint


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What the policy aims at.

    Args:
        deadline_s: From the arrival of the image to the arrival of its answer, seconds.
        period_s: Between two images, seconds.
        local_cost: Accuracy, 0 to 1, that answering on the edge must gain to be worth its load.
        headroom: Share by which the link may get slower before a step up would miss.
        reserve: The same for the present rung, which is left for a lower one with less; below
            `headroom`, so that a link that wavers does not move it.
        margin: Standard deviations of the link that a frame must be in time by.
        up_after_s: For how long a step up must have been possible, seconds.
        up_after_most_s: The same after steps up that failed.
        return_after_s: From the second return to the link in a row that failed to the next, where
            the edge can rehearse it; four times as long where it cannot.
        return_after_most_s: The same after many.
        probe_first_s: From the loss of the link to the first probe, seconds.
        probe_most_s: Longest time between two probes, seconds.
    """

    deadline_s: float = 0.15
    period_s: float = 1 / 15
    local_cost: float = 0.05
    headroom: float = 0.3
    reserve: float = 0.25
    margin: float = 1.0
    up_after_s: float = 0.4
    up_after_most_s: float = 6.0
    return_after_s: float = 2.0
    return_after_most_s: float = 8.0
    probe_first_s: float = 0.25
    probe_most_s: float = 0.5


@dataclass(frozen=True, slots=True)
class QueueState:
    """What waits on the edge.

    Args:
        age_s: Since the arrival of the image, seconds.
        backlog_s: For how long the link is still busy with earlier frames, seconds.
        silence_s: For how long the oldest frame without a sign of arrival is out, seconds.
    """

    age_s: float = 0.0
    backlog_s: float = 0.0
    silence_s: float = 0.0


class Reason(StrEnum):
    """Why a frame is treated as it is."""

    BEST = 'best in time'
    """Sent, in the best way that arrives in time."""
    FIXED = 'fixed by mode'
    """Answered or sent as the mode says."""
    LINK = 'link'
    """Answered by the edge, because nothing sent would be in time, or as good."""
    PROBE = 'probe'
    """Sent to learn about the link, because nothing is known to be in time."""
    LATE = 'late'
    """Dropped: too old for every way."""
    PACED = 'paced'
    """Dropped: the link is still busy with earlier frames."""
    NO_LINK = 'no link'
    """Dropped: nothing sent would be in time, and the edge cannot answer in time."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a frame.

    Args:
        point: How to answer it; None: drop it.
        probe: What to send besides a local answer, to learn about the link; its answer is not
            wanted.
        expected_s: From the arrival of the image to that of the answer, seconds; infinite if
            dropped.
        reason: Why.
    """

    point: ProfilePoint | None
    probe: ProfilePoint | None
    expected_s: float
    reason: Reason
