# SPDX-License-Identifier: Apache-2.0
"""The `image` subscription of both nodes: raw or compressed, under image_transport's names."""

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from mtl_split_ros.qos import image_profile, make_subscription
from mtl_split_ros.stamps import StampWatch
from mtl_split_ros.status import Status
from mtl_split_ros.topic_watch import COMPRESSED, TopicWatch

_LOST = 'let both sides be reliable, or publish images that are compressed or smaller'


class ImageTopic:
    """Subscribes `image` on demand and watches it.

    By reliability 'best_available' it follows the publishers. Best effort matches them all, but the
    shared memory of Fast DDS holds half a megabyte of a publisher's messages, and of images larger
    than that most are lost where nobody asks for them again. rclpy's own BEST_AVAILABLE chooses
    once: reliable where no publisher is there yet, and hears nothing of one that is best effort.
    """

    def __init__(
        self,
        node: Node,
        transport: str,
        reliability: str,
        callback: Callable[[Image | CompressedImage], None],
        topic: str = 'image',
    ) -> None:
        """Resolve the names.

        Args:
            node: Whose subscription it will be.
            transport: 'raw' or 'compressed'.
            reliability: 'best_available', 'reliable' or 'best_effort'.
            callback: Called with every image.
            topic: Its name before remapping.
        """
        self._node = node
        self._callback = callback
        self._compressed = transport == 'compressed'
        # as image_transport does: remap the base topic, then append the transport
        raw_name = node.resolve_topic_name(topic)
        names = (raw_name, f'{raw_name}{COMPRESSED}')
        self.name = names[self._compressed]
        self._other_name = names[not self._compressed]
        self._other_transport = 'raw' if self._compressed else 'compressed'
        self._profile = image_profile(reliability)
        self._follows = False
        kind = 'sensor_msgs/msg/CompressedImage' if self._compressed else 'sensor_msgs/msg/Image'
        self._watch = TopicWatch(
            node,
            self.name,
            kind,
            self._profile,
            self._elsewhere,
            lost=_LOST,
            changed=self._follow,
        )
        self._stamps = StampWatch()
        self._subscription: Subscription | None = None

    def subscribe(self) -> None:
        """Subscribe, if that is not done yet."""
        if self._subscription is None:
            self._watch.restart()
            self._subscribe()

    def unsubscribe(self) -> None:
        """Let the topic go: nothing crosses the network for it any more."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    @property
    def subscribed(self) -> bool:
        """Whether the topic is subscribed now."""
        return self._subscription is not None

    def fill(self, status: Status) -> None:
        """Add rate or silence to a diagnostic status, and whether the stamps went back."""
        self._watch.fill(status)
        self._stamps.fill(status)

    def _heard(self, message: Image | CompressedImage) -> None:
        self._watch.heard(len(message.data))
        self._stamps.heard(message.header.stamp)
        self._callback(message)

    def _subscribe(self) -> None:
        self._subscription = make_subscription(
            self._node,
            CompressedImage if self._compressed else Image,
            self.name,
            self._heard,
            self._profile,
            self._watch.events(),
            self._settle,
        )

    def _settle(self, profile: QoSProfile) -> None:
        self._follows = profile.reliability == ReliabilityPolicy.BEST_AVAILABLE
        if self._follows:
            profile.reliability = self._watch.best_reliability(ReliabilityPolicy.BEST_EFFORT)

    def _follow(self) -> bool:
        """Subscribe anew where other publishers ask for another reliability."""
        now = self._profile.reliability
        if not self._follows or self._watch.best_reliability(now) == now:
            return False
        self.unsubscribe()
        self._subscribe()
        return True

    def _elsewhere(self) -> str:
        count = self._node.count_publishers(self._other_name)
        if not count:
            return ''
        there = f'{self._other_name} has {count}'
        if self._compressed and self._other_name.endswith(COMPRESSED):
            base = self._other_name.removesuffix(COMPRESSED)
            return f'{there}: give the topic as {base}, image_transport appends {COMPRESSED}'
        return f'{there}: set image_transport to {self._other_transport}'
