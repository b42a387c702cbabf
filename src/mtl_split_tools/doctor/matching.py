# SPDX-License-Identifier: Apache-2.0
"""Who of a topic can hear whom, from what rclpy knows of its endpoints."""

from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo

from mtl_split_tools.doctor.scan import Endpoint, Mismatch


def endpoint(info: TopicEndpointInfo) -> Endpoint:
    """What the doctor keeps of an endpoint."""
    return Endpoint(f'{info.node_namespace.rstrip("/")}/{info.node_name}', info.topic_type)


def mismatches(
    publishers: list[TopicEndpointInfo], subscribers: list[TopicEndpointInfo]
) -> tuple[Mismatch, ...]:
    """Pairs of one type that cannot hear each other.

    Args:
        publishers: Of a topic.
        subscribers: Of the same.
    """
    found = []
    for publisher in publishers:
        for subscriber in subscribers:
            if publisher.topic_type != subscriber.topic_type:
                continue
            compatibility, reason = qos_check_compatible(
                publisher.qos_profile, subscriber.qos_profile
            )
            if compatibility == QoSCompatibility.ERROR:
                text = reason.removeprefix('ERROR: ').strip().rstrip(';')
                found.append(Mismatch(endpoint(publisher).node, endpoint(subscriber).node, text))
    return tuple(found)
