# SPDX-License-Identifier: Apache-2.0
"""The link as the policy sees it."""

import math
from dataclasses import dataclass

PACKET_BYTES = 1400
"""Payload of a network packet; a frame is lost when one of its packets is."""


@dataclass(frozen=True, slots=True)
class LinkEstimate:
    """The link as the policy sees it.

    Args:
        known: Whether anything was measured yet.
        delay_s: Round trip of an empty message, seconds.
        slowness: Seconds per byte on the way to the server, above 0.
        delay_sigma_s: Standard deviation of delay and jitter, seconds.
        slowness_sigma: Standard deviation of the slowness.
        loss: Share of lost packets, 0 to 1.
        answered: Share of the frames that arrived which the server answers, 0 to 1.
        server_factor: How much longer the server takes than the profile says, above 0.
        edge_factor: How much longer this edge takes than the profile says, above 0.
        probed_packets: Packets of probes that arrived since one was lost or a frame was sent.
        trip_s: Latest round trip as it was measured, less what the server held the frame, seconds.
    """

    known: bool
    delay_s: float
    slowness: float
    delay_sigma_s: float = 0.0
    slowness_sigma: float = 0.0
    loss: float = 0.0
    answered: float = 1.0
    server_factor: float = 1.0
    edge_factor: float = 1.0
    probed_packets: int = 0
    trip_s: float = 0.0

    @property
    def goodput(self) -> float:
        """Bytes per second that arrive while the link is busy."""
        return 1 / self.slowness

    def travel_s(self, size: float, sigmas: float = 0.0) -> float:
        """Return the seconds from the sending of a frame to the arrival of its answer.

        The server's work is not in it.

        Args:
            size: Bytes.
            sigmas: Standard deviations to add.
        """
        sigma = math.hypot(self.delay_sigma_s, size * self.slowness_sigma)
        return self.delay_s + size * self.slowness + sigmas * sigma

    def delivery(self, size: float) -> float:
        """Return the chance that a frame arrives and is answered.

        Args:
            size: Bytes.
        """
        whole = (1 - self.loss) ** max(1, math.ceil(size / PACKET_BYTES))
        return float(whole * self.answered)
