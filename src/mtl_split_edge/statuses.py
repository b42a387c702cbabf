# SPDX-License-Identifier: Apache-2.0
"""The topic `frame_status`: what became of each image."""

import time
from collections.abc import Callable

from mtl_split.msg import FrameStatus
from rclpy.node import Node
from std_msgs.msg import Header

from mtl_split_edge.arrival import Arrival
from mtl_split_edge.fates import Fate, Fates, Outcome
from mtl_split_edge.ledger import Sent
from mtl_split_ros.outbox import Outbox
from mtl_split_ros.qos import make_publisher, status_profile
from mtl_split_ros.status import Status


class Statuses:
    """Publishes the fate of each image, once it is known.

    Args:
        node: Publishes.
        mode: Returns the mode in force.
        outbox: Publishes, since the callback of the camera is among those who tell.
    """

    def __init__(self, node: Node, mode: Callable[[], str], outbox: Outbox) -> None:
        self.fates = Fates()
        self._mode = mode
        self._outbox = outbox
        self._publisher = make_publisher(node, FrameStatus, 'frame_status', status_profile())

    def tell(self, header: Header, fate: Fate) -> None:
        """Tell what became of the image with this header."""
        self.fates.add(fate)
        self._outbox.send(
            self._publisher,
            FrameStatus(
                header=header,
                outcome=int(fate.outcome),
                mode=self._mode(),
                way=fate.way,
                reason=fate.reason,
                bytes=fate.bytes,
                expected_ms=fate.expected_s * 1e3,
                elapsed_ms=fate.elapsed_s * 1e3,
            ),
        )

    def fill(self, status: Status) -> None:
        """Add to a diagnostic status how many nobody heard of."""
        status.add('statuses left out', self._outbox.left_out)

    def dropped(self, arrival: Arrival, reason: str) -> None:
        """An image was not worked on."""
        elapsed_s = time.monotonic() - arrival.at
        fate = Fate(Outcome.DROPPED, reason=reason, elapsed_s=elapsed_s)
        self.tell(arrival.message.header, fate)

    def settled(self, frame: Sent[Header], outcome: Outcome) -> None:
        """What became of a sent frame is known."""
        fate = Fate(
            outcome,
            frame.point.name,
            frame.reason,
            frame.bytes,
            frame.expected_s,
            time.monotonic() - frame.arrived,
        )
        self.tell(frame.header, fate)
