# SPDX-License-Identifier: Apache-2.0
"""A policy that is driven over a link, frame by frame, without waiting."""

from dataclasses import replace

from tests.made_profile import made_profile

from mtl_split_core.profile import Mode
from mtl_split_edge.decision import Decision, PolicySettings, QueueState
from mtl_split_edge.link_estimate import LinkEstimate
from mtl_split_edge.policy import Policy

SETTINGS = PolicySettings()
PROFILE = made_profile()
SENDING = tuple(point for point in PROFILE.points if point.mode is not Mode.LOCAL)


def link(mbit: float, delay_ms: float = 20.0, **changes: float) -> LinkEstimate:
    made = LinkEstimate(known=True, delay_s=delay_ms / 1e3, slowness=1 / (mbit * 125e3))
    return replace(made, **changes)  # type: ignore[arg-type]


def drive(
    policy: Policy, seconds: float, estimate: LinkEstimate, start: float = 0.0, age_s: float = 0.0
) -> list[Decision]:
    frames = round(seconds / policy.settings.period_s)
    queue = QueueState(age_s)
    return [
        policy.decide(estimate, queue, start + number * policy.settings.period_s)
        for number in range(frames)
    ]
