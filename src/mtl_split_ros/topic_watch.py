# SPDX-License-Identifier: Apache-2.0
"""Says why nothing arrives on a topic: no publisher, another type, a QoS that does not match."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rclpy.event_handler import QoSMessageLostInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible

from mtl_split_ros.shared_memory import REMEDY, strangers
from mtl_split_ros.status import Level, Status
from mtl_split_ros.windows import RateMeter

SILENT_AFTER_S = 3.0
REMIND_EVERY_S = 30.0
FEW = 3
"""Messages that may be lost before anything is said of it."""
LOST_WARN = 0.1
"""Share of messages lost on their way above which it is said."""
SILENT = 'look at the log of what publishes it'
COMPRESSED = '/compressed'
"""What image_transport appends to the name of a topic."""


@dataclass(frozen=True, slots=True)
class Publishers:
    """Who publishes on a topic.

    Args:
        total: All publishers.
        incompatible: One reason per publisher whose QoS does not match the subscription.
        other_types: Type name of each publisher of another type.
        elsewhere: Where the same data is published in another form, '' if nowhere.
        strangers: Users of this machine whose messages may not arrive here.
    """

    total: int = 0
    incompatible: tuple[str, ...] = ()
    other_types: tuple[str, ...] = ()
    elsewhere: str = ''
    strangers: tuple[str, ...] = ()


def describe_silence(
    topic: str, kind: str, since: str, publishers: Publishers, silent: str = SILENT
) -> str:
    """One line that names topic, publishers, incompatible ones, since when, and the remedy."""
    line = (
        f'no message on {topic} ({kind}) since {since}, publishers: {publishers.total}, '
        f'with incompatible QoS: {len(publishers.incompatible)}'
    )
    if publishers.other_types:
        line += f', of another type: {len(publishers.other_types)} ({publishers.other_types[0]})'
    if publishers.incompatible:
        reason = publishers.incompatible[0].strip().rstrip(';')
        return f'{line} ({reason}); change it there or by qos_overrides.{topic}.subscription'
    if publishers.other_types and topic.endswith(COMPRESSED) and kind.endswith('/Image'):
        base = topic.removesuffix(COMPRESSED)
        return f'{line}; set image_transport to compressed, and give the topic as {base}'
    if publishers.other_types:
        return f'{line}; set image_transport to match' if 'Image' in kind else line
    if publishers.total and publishers.strangers:
        return (
            f'{line}; either another user of this machine ({", ".join(publishers.strangers)}) runs '
            f'them, and the messages do not arrive: {REMEDY}; or they send nothing: {silent}'
        )
    if publishers.total:
        return f'{line}; they send nothing: {silent}'
    if publishers.elsewhere:
        return f'{line}; but {publishers.elsewhere}'
    return f'{line}; remap the topic or start its publisher'


def describe_loss(topic: str, heard_hz: float, lost_hz: float, size: float, remedy: str) -> str:
    """One line on messages that were published and did not arrive, and the remedy.

    Args:
        topic: Their name.
        heard_hz: Messages that arrived, per second.
        lost_hz: Messages that did not, per second.
        size: Mean payload of those that arrived in bytes, 0 if none did.
        remedy: What helps.
    """
    each = f' of {size / 1e3:.0f} kB' if size else ''
    return (
        f'{lost_hz:.1f} of {heard_hz + lost_hz:.1f} messages a second on {topic}{each} are lost on '
        f'their way here: {remedy}'
    )


class TopicWatch:
    """Watches one subscription: rate, silence, and what the graph knows about the topic."""

    def __init__(
        self,
        node: Node,
        topic: str,
        kind: str,
        profile: QoSProfile,
        elsewhere: Callable[[], str] = lambda: '',
        silent: str = SILENT,
        lost: str = '',
        changed: Callable[[], bool] = lambda: False,
    ) -> None:
        """Watch a topic.

        Args:
            node: Whose subscription it is.
            topic: Resolved name.
            kind: Type name, as in 'sensor_msgs/msg/Image'.
            profile: QoS of the subscription; overrides are written into this very object.
            elsewhere: Where else to look when there is no publisher; a hint or ''.
            silent: What to think of a publisher that sends nothing.
            lost: What helps where more than a tenth of the messages is lost; '' complains of none.
            changed: Called when other publishers are there; tells whether it subscribed anew.
        """
        self._node = node
        self._log = node.get_logger()
        self._topic = topic
        self._kind = kind
        self._profile = profile
        self._elsewhere = elsewhere
        self._silent = silent
        self._remedy = lost
        self._changed = changed
        self.meter = RateMeter()
        self._lost = RateMeter()
        self.lost = 0
        self.restart()

    def restart(self) -> None:
        """The subscription begins now; a silence before it does not count."""
        self._last = time.monotonic()
        self._since = time.strftime('%H:%M:%S')
        self._reminded: dict[str, float] = {}

    def heard(self, size: int) -> None:
        """A message of `size` payload bytes arrived."""
        self.meter.add(size)
        self._last = time.monotonic()
        self._since = ''

    def events(self) -> SubscriptionEventCallbacks:
        """Event callbacks: publishers that come, go or do not match, and messages that are lost."""
        return SubscriptionEventCallbacks(
            incompatible_qos=self._incompatible_appeared,
            message_lost=self._message_lost,
            matched=self._matched,
        )

    def best_reliability(self, unknown: ReliabilityPolicy) -> ReliabilityPolicy:
        """Return reliable where all publishers are, best effort where one is not.

        Args:
            unknown: What to return while there is no publisher.
        """
        found = self._node.get_publishers_info_by_topic(self._topic)
        kinds = {info.qos_profile.reliability for info in found if info.topic_type == self._kind}
        if not kinds:
            return unknown
        everywhere = kinds == {ReliabilityPolicy.RELIABLE}
        return ReliabilityPolicy.RELIABLE if everywhere else ReliabilityPolicy.BEST_EFFORT

    def fill(self, status: Status) -> None:
        """Add rate, losses and silence to a diagnostic status, log trouble once in a while."""
        # an event may have come before the graph knew of its publisher
        self._changed()
        publishers = self._publishers()
        status.add('topic', self._topic)
        status.add('publishers', publishers.total)
        status.add('incompatible publishers', len(publishers.incompatible))
        status.add('received', self.meter.total)
        frames, size = self.meter.rates()
        status.add('rate Hz', frames)
        status.add('received byte/s', size)
        status.add('lost on the way', self.lost)
        status.add('reliability', self._profile.reliability.name.lower())
        silent_s = self._silent_s()
        line = self._losses()
        if silent_s < SILENT_AFTER_S and not line:
            status.merge_summary(Level.OK, f'{frames:.1f} Hz on {self._topic}')
            self._reminded.clear()
            return
        # one that lost all its first images was silent before: each of both is said
        trouble = 'loss' if line else 'silence'
        if not line:
            if not self._since:
                self._since = time.strftime('%H:%M:%S', time.localtime(time.time() - silent_s))
            since = f'{self._since} ({silent_s:.0f} s)'
            line = describe_silence(self._topic, self._kind, since, publishers, self._silent)
        status.merge_summary(Level.WARN, line)
        now = time.monotonic()
        if now - self._reminded.get(trouble, -REMIND_EVERY_S) >= REMIND_EVERY_S:
            self._reminded[trouble] = now
            self._log.warning(line)

    def _silent_s(self) -> float:
        return time.monotonic() - self._last

    def _publishers(self) -> Publishers:
        found = self._node.get_publishers_info_by_topic(self._topic)
        others = [info.topic_type for info in found if info.topic_type != self._kind]
        same = [info for info in found if info.topic_type == self._kind]
        checks = [qos_check_compatible(info.qos_profile, self._profile) for info in same]
        return Publishers(
            total=len(found),
            incompatible=_reasons(checks),
            other_types=tuple(others),
            elsewhere='' if found else self._elsewhere(),
            strangers=strangers() if found and self._silent_s() >= SILENT_AFTER_S else (),
        )

    def _losses(self) -> str:
        (heard, size), (_, lost) = self.meter.rates(), self._lost.rates()
        if not self._remedy or self.lost < FEW or lost <= LOST_WARN * (heard + lost):
            return ''
        each = size / heard if heard else 0.0
        return describe_loss(self._topic, heard, lost, each, self._remedy)

    def _message_lost(self, event: QoSMessageLostInfo) -> None:
        self.lost += event.total_count_change
        self._lost.add(event.total_count_change)

    def _matched(self, _event: object) -> None:
        self._changed()

    def _incompatible_appeared(self, _event: object) -> None:
        if self._changed():
            return
        publishers = self._publishers()
        reason = publishers.incompatible[0] if publishers.incompatible else 'unknown policy'
        self._log.warning(
            f'a publisher on {self._topic} offers an incompatible QoS ({reason.strip()}): '
            f'nothing will come from it; change it there or by '
            f'qos_overrides.{self._topic}.subscription'
        )


def _reasons(checks: Sequence[tuple[QoSCompatibility, str]]) -> tuple[str, ...]:
    return tuple(
        reason for compatibility, reason in checks if compatibility == QoSCompatibility.ERROR
    )
