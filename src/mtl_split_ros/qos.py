# SPDX-License-Identifier: Apache-2.0
"""Named QoS profiles of the graph, and endpoints that take `qos_overrides` parameters."""

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSHistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    QoSReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from mtl_split_core.errors import MtlSplitError
from mtl_split_ros import security

RESULT_LIFE_S = 0.1
"""For how long a result that was lost on its way is sent again."""


BEST_AVAILABLE = 'best_available'
"""Reliable where every publisher is, else best effort."""


def _profile(*, depth: int, reliability: str, latched: bool = False) -> QoSProfile:
    # a fresh object each time: rclpy writes the overrides into the profile that it is given
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=QoSReliabilityPolicy.get_from_short_key(reliability),
        durability=(
            QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE
        ),
    )


def image_profile(reliability: str = 'best_effort') -> QoSProfile:
    """Image subscription: depth 1 is the newest.

    Args:
        reliability: 'reliable'; 'best_effort', which matches every publisher; or BEST_AVAILABLE.
    """
    return _profile(depth=1, reliability=reliability)


def features_profile(reliability: str) -> QoSProfile:
    """Feature stream, 'reliable' or 'best_effort', depth 1: a queue is stale frames in bursts."""
    return _profile(depth=1, reliability=reliability)


def features_reader_profile(reliability: str) -> QoSProfile:
    """Their subscription: room for those of many senders until the callback takes the newest."""
    return _profile(depth=500, reliability=reliability)


def results_profile() -> QoSProfile:
    """Perception results: only the newest, or one lost packet would hold back those behind it.

    And not for long: the writer forgets it, before another machine has answered a later frame.
    """
    profile = _profile(depth=1, reliability='reliable')
    profile.lifespan = Duration(seconds=RESULT_LIFE_S)
    return profile


def status_profile() -> QoSProfile:
    """Status of each frame; several can come at once."""
    return _profile(depth=20, reliability='reliable')


def report_profile() -> QoSProfile:
    """Link reports: only the newest counts."""
    return _profile(depth=1, reliability='reliable')


def report_reader_profile() -> QoSProfile:
    """Their subscription: the next one makes up for a lost one, no bytes go into repeating."""
    return _profile(depth=10, reliability='best_effort')


def latched_profile() -> QoSProfile:
    """Contract and label info: a late joiner gets the last one."""
    return _profile(depth=1, reliability='reliable', latched=True)


def make_publisher(node: Node, message: type, topic: str, profile: QoSProfile) -> Publisher:
    """Create a publisher whose QoS can be changed by parameters `qos_overrides.TOPIC...`.

    Raises:
        SecurityError: If the policy of the enclave denies it.
        MtlSplitError: If an override has an unknown value.
    """
    try:
        with security.rights(topic):
            return node.create_publisher(
                message, topic, profile, qos_overriding_options=_overrides()
            )
    except RuntimeError as error:
        raise _clear(topic, error) from error


def make_subscription(
    node: Node,
    message: type,
    topic: str,
    callback: Callable[[Any], None],
    profile: QoSProfile,
    events: SubscriptionEventCallbacks | None = None,
    settle: Callable[[QoSProfile], object] = lambda _: None,
) -> Subscription:
    """Create a subscription whose QoS can be changed by parameters `qos_overrides.TOPIC...`.

    Args:
        node: Whose subscription it is.
        message: Type of the messages.
        topic: Their name.
        callback: Called with each.
        profile: QoS; the overrides are written into this very object.
        events: What to call on events of the middleware.
        settle: Called with the profile once the overrides are in it; may change it once more.

    Raises:
        SecurityError: If the policy of the enclave denies it.
        MtlSplitError: If an override has an unknown value.
    """
    try:
        with security.rights(topic):
            return node.create_subscription(
                message,
                topic,
                callback,
                profile,
                event_callbacks=events,
                qos_overriding_options=_overrides(settle),
            )
    except RuntimeError as error:
        raise _clear(topic, error) from error


def _overrides(settle: Callable[[QoSProfile], object] = lambda _: None) -> QoSOverridingOptions:
    def accept(profile: QoSProfile) -> SetParametersResult:
        settle(profile)
        return SetParametersResult(successful=True)

    return QoSOverridingOptions(
        (
            QoSPolicyKind.HISTORY,
            QoSPolicyKind.DEPTH,
            QoSPolicyKind.RELIABILITY,
            QoSPolicyKind.DURABILITY,
        ),
        callback=accept,
    )


def _clear(topic: str, error: RuntimeError) -> MtlSplitError:
    return MtlSplitError(
        f'topic {topic!r}: {security.plain(error)}; correct its qos_overrides parameters'
    )
