# SPDX-License-Identifier: Apache-2.0
"""What a few seconds of listening to the graph gave: plain values, judged by the other modules."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mtl_split_edge.link import Report
from mtl_split_ros.status import Level
from mtl_split_server.pipeline import Contract

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
FEATURES = 'mtl_split/msg/FeatureMap'
CONTRACT = 'mtl_split/msg/SplitContract'
REPORT = 'mtl_split/msg/LinkReport'
OWN = (FEATURES, CONTRACT, REPORT)
SUFFIX = '/compressed'
UNNAMED = '_NODE_NAME_UNKNOWN_'
"""What rclpy calls a node that was discovered and has not told its name (rmw_dds_common)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A publisher or a subscription.

    Args:
        node: Full name of its node.
        kind: Type name, as in 'sensor_msgs/msg/Image'.
    """

    node: str
    kind: str


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A publisher and a subscription of one topic whose QoS do not match.

    Args:
        publisher: Its node.
        subscriber: Its node.
        reason: Which policy, in words.
    """

    publisher: str
    subscriber: str
    reason: str


@dataclass(frozen=True, slots=True)
class Topic:
    """Who is on a topic.

    Args:
        name: Its name.
        publishers: All, without the doctor.
        subscribers: All, without the doctor.
        mismatches: Pairs that cannot hear each other.
    """

    name: str
    publishers: tuple[Endpoint, ...] = ()
    subscribers: tuple[Endpoint, ...] = ()
    mismatches: tuple[Mismatch, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """All types on it, sorted."""
        return tuple(sorted({end.kind for end in (*self.publishers, *self.subscribers)}))


@dataclass(slots=True)
class Stream:
    """What was sent on a topic.

    Args:
        heard: Messages that arrived.
        first: When the first one came or was missed, monotonic seconds.
        last: When the last one was.
        size: Bytes of all.
        ages: Seconds from each header stamp to the clock that the stamps follow; without zeros.
        zeros: Messages whose stamp is zero.
        steps_back: How often a stamp was before that of the message before it.
        lost: Messages that were lost on the way to the doctor, who asks for none again.
    """

    heard: int = 0
    first: float = 0.0
    last: float = 0.0
    size: int = 0
    ages: list[float] = field(default_factory=list)
    zeros: int = 0
    steps_back: int = 0
    lost: int = 0

    @property
    def sent(self) -> int:
        """Messages that were sent, as far as the doctor noticed."""
        return self.heard + self.lost

    @property
    def rate(self) -> float:
        """Messages sent per second, 0 below two."""
        return (self.sent - 1) / (self.last - self.first) if self.last > self.first else 0.0

    def notice(self, now: float) -> None:
        """Take the time of a message that came or was missed, before it is counted."""
        self.first = self.first if self.sent else now
        self.last = now


@dataclass(frozen=True, slots=True)
class Complaint:
    """A diagnostic status.

    Args:
        level: Its level.
        message: Its line.
        values: Its pairs.
    """

    level: Level
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scan:
    """All that was found on the graph.

    Args:
        seconds: For how long it listened.
        reach: Where it looked: domain and range.
        nodes: Full names; a name twice where two nodes share it.
        topics: Topics by name.
        streams: What arrived, by topic.
        contracts: Latest contracts by topic, one per session.
        reports: Link reports by topic, in their order.
        statuses: Latest diagnostics by name, as in 'front/edge: image'.
        parameters: Parameters of edges and servers by node.
        denied: Topics and services that the policy of SROS 2 denies to the doctor.
    """

    seconds: float
    reach: str = 'domain 0'
    nodes: tuple[str, ...] = ()
    topics: Mapping[str, Topic] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict)
    contracts: Mapping[str, tuple[Contract, ...]] = field(default_factory=dict)
    reports: Mapping[str, tuple[Report, ...]] = field(default_factory=dict)
    statuses: Mapping[str, Complaint] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    denied: tuple[str, ...] = ()

    def topic(self, name: str) -> Topic:
        """Return a topic, an empty one if nobody is on it."""
        return self.topics.get(name) or Topic(name)

    def stream(self, name: str) -> Stream:
        """Return what arrived on a topic."""
        return self.streams.get(name) or Stream()

    def published_by(self, node: str, kind: str) -> tuple[str, ...]:
        """Return the topics on which a node publishes a type."""
        return tuple(
            topic.name for topic in self.topics.values() if Endpoint(node, kind) in topic.publishers
        )

    def subscribed_by(self, node: str, kind: str) -> tuple[str, ...]:
        """Return the topics on which a node subscribes a type."""
        return tuple(
            topic.name
            for topic in self.topics.values()
            if Endpoint(node, kind) in topic.subscribers
        )

    @property
    def unnamed(self) -> tuple[str, ...]:
        """Topics of ours with an end of which nothing arrives, not even the name of its node."""
        return tuple(
            sorted(
                topic.name
                for topic in self.topics.values()
                for end in (*topic.publishers, *topic.subscribers)
                if end.kind in OWN and end.node.endswith(UNNAMED)
            )
        )

    @property
    def edges(self) -> tuple[str, ...]:
        """Nodes that announce a contract."""
        return self._publishing(CONTRACT)

    @property
    def servers(self) -> tuple[str, ...]:
        """Nodes that report on a link."""
        return self._publishing(REPORT)

    def images_of(self, node: str) -> tuple[str, ...]:
        """Return the image topics that a node subscribes, of either type."""
        return (*self.subscribed_by(node, IMAGE), *self.subscribed_by(node, COMPRESSED))

    def _publishing(self, kind: str) -> tuple[str, ...]:
        found = {
            end.node
            for topic in self.topics.values()
            for end in topic.publishers
            if end.kind == kind and not end.node.endswith(UNNAMED)
        }
        return tuple(sorted(found))
