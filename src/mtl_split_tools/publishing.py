# SPDX-License-Identifier: Apache-2.0
"""From topics of a recording to publishers: names, types, QoS, and why one is left out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rclpy.duration import Duration, Infinite
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rosbags.interfaces import Connection, Qos, QosDurability, QosReliability

from mtl_split_core.errors import DataError
from mtl_split_ros import security
from mtl_split_tools.bags import Bag, connection_qos

_ACK_TIMEOUT = Duration(seconds=2)
_LINGER_S = 0.2
_QUEUE_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Route:
    """One topic of the recording; `publisher` is None when it is skipped, `reason` says why."""

    connection: Connection
    topic: str
    publisher: Publisher | None
    reason: str
    has_header: bool = False

    def publish(self, data: bytes) -> None:
        """Publish one serialised message as it is."""
        if self.publisher is not None:
            self.publisher.publish(data)

    def qos_text(self) -> str:
        """Return the QoS in words."""
        if self.publisher is None:
            return ''
        profile = self.publisher.qos_profile
        text = str(profile.reliability.name).lower().replace('_', ' ')
        latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        return f'{text}, latched' if latched else text

    def remark(self, node: Node) -> str:
        """Say who listens, or why nobody can."""
        if self.publisher is None:
            return f'skipped: {self.reason}'
        matched, problems = 0, []
        for info in node.get_subscriptions_info_by_topic(self.topic):
            name = f'{info.node_namespace.rstrip("/")}/{info.node_name}'
            compatibility, why = qos_check_compatible(self.publisher.qos_profile, info.qos_profile)
            if info.topic_type != self.connection.msgtype:
                problems.append(f'{name} wants {info.topic_type}')
            elif compatibility == QoSCompatibility.ERROR:
                problems.append(f'{name} does not match: {why.strip().rstrip(";")}')
            else:
                matched += 1
        return '; '.join([str(matched) if matched else 'none yet', *problems])


def make_routes(
    node: Node, bag: Bag, topics: Sequence[str] | None, remap: Sequence[str], own_clock: bool
) -> list[Route]:
    """Make a publisher for each topic of the recording that can be published.

    Args:
        node: Owner of the publishers.
        bag: The recording.
        topics: Only these names, as recorded; all if None.
        remap: Rules FROM:=TO.
        own_clock: The replay publishes /clock itself.

    Returns:
        All topics, also those that are skipped.

    Raises:
        DataError: A name in `topics` or `remap` is not in the recording.
    """
    known = {connection.topic for connection in bag.connections}
    names = _parse_remap(remap)
    for name in [*(topics or []), *names]:
        if name not in known:
            msg = f'{bag.path} has no topic {name}; it has {", ".join(sorted(known)) or "none"}'
            raise DataError(msg)
    routes = []
    for connection in bag.connections:
        topic = names.get(connection.topic, connection.topic)
        if topics is not None and connection.topic not in topics:
            routes.append(Route(connection, topic, None, 'not in --topics'))
        elif own_clock and topic == '/clock':
            routes.append(Route(connection, topic, None, 'replaced by --clock'))
        else:
            routes.append(_make_route(node, connection, topic))
    return routes


def subscribers(routes: Sequence[Route]) -> int:
    """Count the matched subscriptions of the topic that has most."""
    counts = (route.publisher.get_subscription_count() for route in routes if route.publisher)
    return max(counts, default=0)


def acknowledge(routes: Sequence[Route]) -> None:
    """Wait until the readers have the last messages, which leave with their publisher."""
    for route in routes:
        if route.publisher is not None:
            route.publisher.wait_for_all_acked(_ACK_TIMEOUT)
    time.sleep(_LINGER_S)  # best effort is never acknowledged


def recorded_qos(profiles: Sequence[Qos]) -> QoSProfile:
    """Return the QoS that suits every reader which the recorded publishers suited.

    Only what decides about matching is taken over: deadlines and lifespans of the recording would
    not hold at another rate.
    """
    best_effort = profiles and all(
        profile.reliability == QosReliability.BEST_EFFORT for profile in profiles
    )
    latched = any(profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles)
    return QoSProfile(
        depth=max([_QUEUE_DEPTH, *(profile.depth for profile in profiles)]),
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        # As the graph reports them for everybody: unset ones would not compare as compatible.
        deadline=Infinite,
        liveliness_lease_duration=Infinite,
    )


def _make_route(node: Node, connection: Connection, topic: str) -> Route:
    try:
        message_type = _message_type(connection.msgtype)
    except (ImportError, AttributeError, ValueError):
        package = connection.msgtype.split('/', 1)[0]
        reason = f'{connection.msgtype} is not installed (package {package})'
        return Route(connection, topic, None, reason)
    profile = recorded_qos(connection_qos(connection))
    with security.rights(topic):
        publisher = node.create_publisher(message_type, topic, profile)
    # The bytes go out as recorded, so both ends must mean the same message by the name.
    installed = next(
        (
            str(info.topic_type_hash)
            for info in node.get_publishers_info_by_topic(topic)
            if info.node_name == node.get_name()
        ),
        '',
    )
    if connection.digest and installed.startswith('RIHS') and connection.digest != installed:
        node.destroy_publisher(publisher)
        reason = f'the recorded {connection.msgtype} differs from the installed one'
        return Route(connection, topic, None, reason)
    fields = list(message_type.get_fields_and_field_types().values())
    return Route(connection, topic, publisher, '', has_header=fields[:1] == ['std_msgs/Header'])


def _message_type(name: str) -> Any:
    package, kind, type_name = name.split('/')
    return getattr(import_module(f'{package}.{kind}'), type_name)


def _parse_remap(rules: Sequence[str]) -> dict[str, str]:
    names = {}
    for rule in rules:
        source, separator, target = rule.partition(':=')
        if not (separator and source and target):
            msg = f'--remap {rule} is not of the form FROM:=TO'
            raise DataError(msg)
        names['/' + source.lstrip('/')] = '/' + target.lstrip('/')
    return names
