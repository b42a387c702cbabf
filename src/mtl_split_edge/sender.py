# SPDX-License-Identifier: Apache-2.0
"""Sends pictures to the server as feature maps, and keeps the books of it."""

import secrets
import time

from mtl_split.msg import FeatureMap
from rclpy.node import Node
from std_msgs.msg import Header

from mtl_split_core.encode import Features
from mtl_split_core.profile import ProfilePoint
from mtl_split_edge.arrival import Picture
from mtl_split_edge.decision import Decision
from mtl_split_edge.in_use import InUse
from mtl_split_edge.ledger import Sent
from mtl_split_edge.other_side import OtherSide
from mtl_split_edge.pipeline import EdgePipeline
from mtl_split_ros.packets import packet_to_msg
from mtl_split_ros.qos import features_profile, make_publisher


class Sender:
    """Publishes `features`; owned by the worker.

    Args:
        node: Publishes.
        reliability: Parameter `feature_reliability`.
        in_use: What frames are encoded by.
        side: Told of each frame.
    """

    def __init__(
        self, node: Node, reliability: str, in_use: InUse, side: OtherSide[Header]
    ) -> None:
        # what the server says of an edge before this one must not be taken for our frames
        self.pipeline = EdgePipeline(in_use.bundle, in_use.stage, secrets.randbits(32))
        self.newest: FeatureMap | None = None
        self._side = side
        self._features = make_publisher(node, FeatureMap, 'features', features_profile(reliability))

    @property
    def readers(self) -> int:
        """How many subscriptions `features` has."""
        return self._features.get_subscription_count()

    def take_over(self, in_use: InUse) -> None:
        """Encode by another bundle from now on; the numbers go on."""
        self.pipeline.take_over(in_use.bundle, in_use.stage)
        self.newest = None

    def send(
        self,
        picture: Picture,
        point: ProfilePoint,
        until: float,
        decision: Decision | None,
        features: Features | None = None,
    ) -> None:
        """Send a picture.

        Args:
            picture: What to send.
            point: How.
            until: Until when the server may answer, monotonic seconds of this edge.
            decision: Why; None for a probe, which nobody answers.
            features: Of the picture, where it was answered here already.
        """
        packet = self.pipeline.encode(
            picture.image,
            rate=point.rate,
            codec=point.codec.name if point.codec else '',
            wait_s=picture.started - picture.arrived,
            convert_s=picture.converted - picture.started,
            features=features,
        )
        size = len(packet.payload)
        message = packet_to_msg(packet, picture.header)
        side = self._side
        session, until_us = side.servers.address(until)
        message.answer_session, message.answer_until_us = session, until_us
        message.probe = decision is None
        if decision:
            frame = Sent(
                picture.header,
                point,
                size,
                picture.arrived,
                until,
                session,
                until_us,
                decision.expected_s,
                str(decision.reason),
            )
            side.ledger.sent(packet.sequence, frame)
            side.chooser.worked(point, time.monotonic() - picture.started)
        side.link.sent(packet.sequence)
        side.chooser.sent(packet.sequence, size, point)
        publishing = time.monotonic()
        self._features.publish(message)
        self.newest = message
        published = time.monotonic()
        self.pipeline.sent(packet, published - picture.arrived, published - publishing)
