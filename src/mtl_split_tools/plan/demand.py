# SPDX-License-Identifier: Apache-2.0
"""What a placement has to keep to, and what it should be best in."""

from dataclasses import dataclass
from enum import StrEnum

from mtl_split_edge.decision import PolicySettings
from mtl_split_edge.link_estimate import LinkEstimate


class Objective(StrEnum):
    """What the best placement is the best in."""

    ACCURACY = 'accuracy'
    """Most expected accuracy; then soonest; then fewest bytes."""
    LATENCY = 'latency'
    """Soonest answer, as Neurosurgeon asks for; then most accuracy; then fewest bytes."""
    BYTES = 'bytes'
    """Fewest bytes; then most accuracy; then soonest."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked for.

    Args:
        bandwidth_bit_s: From the edge to the server, bits per second, above 0.
        deadline_ms: From picture to answer; infinite: none.
        fps: Pictures per second of the camera, above 0.
        rtt_ms: Round trip of an empty message.
        loss: Share of lost packets, 0 to below 1.
        edge_factor: How much longer the edge takes than the profile says, above 0.
        server_factor: The same of the server.
        edge_share: Share of the time that the edge may work, above 0 to 1.
        memory_mb: Most memory of the edge, MB (10^6 bytes); None: any.
        min_accuracy: Least expected accuracy, 0 to 1.
        objective: What the choice is the best in.
    """

    bandwidth_bit_s: float
    deadline_ms: float = float('inf')
    fps: float = 15.0
    rtt_ms: float = 20.0
    loss: float = 0.0
    edge_factor: float = 1.0
    server_factor: float = 1.0
    edge_share: float = 1.0
    memory_mb: float | None = None
    min_accuracy: float = 0.0
    objective: Objective = Objective.ACCURACY

    @property
    def link(self) -> LinkEstimate:
        """The link as the policy of the edge sees it, known for certain."""
        return LinkEstimate(
            known=True,
            delay_s=self.rtt_ms / 1e3,
            slowness=8 / self.bandwidth_bit_s,
            loss=self.loss,
            edge_factor=self.edge_factor,
            server_factor=self.server_factor,
        )

    @property
    def settings(self) -> PolicySettings:
        """The aims in the words of the policy; a local answer costs nothing beside its work."""
        return PolicySettings(
            deadline_s=self.deadline_ms / 1e3, period_s=1 / self.fps, local_cost=0.0
        )
