# SPDX-License-Identifier: Apache-2.0
"""Listens to the graph for a few seconds; streams by best effort, so that it holds up nobody."""

import os
import time
from collections import defaultdict
from collections.abc import Callable
from importlib import import_module
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from mtl_split.msg import LinkReport, SplitContract
from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.event_handler import QoSMessageLostInfo, SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.task import Future
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rosgraph_msgs.msg import Clock

from mtl_split_edge.link import Report
from mtl_split_edge.reports import report_from_msg
from mtl_split_ros import discovery, security
from mtl_split_ros.status import Level, short
from mtl_split_server.pipeline import Contract
from mtl_split_tools.bags import message_stamp
from mtl_split_tools.doctor.environment import describe_reach
from mtl_split_tools.doctor.matching import endpoint, mismatches
from mtl_split_tools.doctor.scan import (
    COMPRESSED,
    CONTRACT,
    FEATURES,
    IMAGE,
    REPORT,
    Complaint,
    Scan,
    Stream,
    Topic,
)
from mtl_split_tools.tool_node import tool_node

DIAGNOSTICS = 'diagnostic_msgs/msg/DiagnosticArray'
CLOCK = 'rosgraph_msgs/msg/Clock'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
STAMPED = (IMAGE, COMPRESSED, FEATURES, DETECTIONS)
PARAMETERS = ('bundle', 'image_transport', 'use_sim_time')
TOOL = 'mtl_split_doctor'
LOOK_S = 0.25
ASK_AGAIN_S = 1.0
KEPT = 1000
TEXT = 400


def listen(seconds: float) -> Scan:
    """Listen to the graph of the domain that the environment names.

    Args:
        seconds: For how long, above 0.

    Returns:
        What was found.

    Raises:
        MtlSplitError: ROS 2 does not start here.
    """
    discovery.announce_often()
    # two of them may listen at once
    with tool_node(TOOL, f'{TOOL}_{os.getpid()}') as node:
        listener = _Listener(node)
        try:
            return listener.listen(seconds)
        finally:
            listener.close()


class _Listener:
    """One node that subscribes what it finds."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._subscribed: set[str] = set()
        self._denied: set[str] = set()
        self._clients: dict[str, Client] = {}
        self._answers: dict[str, Future] = {}
        self._asked: dict[str, float] = {}
        self._streams: dict[str, Stream] = defaultdict(Stream)
        self._stamps: dict[str, int] = {}
        self._contracts: dict[str, dict[int, Contract]] = defaultdict(dict)
        self._reports: dict[str, list[Report]] = defaultdict(list)
        self._statuses: dict[str, Complaint] = {}
        self._clock_ns: int | None = None

    def listen(self, seconds: float) -> Scan:
        end = time.monotonic() + seconds
        looked = -float('inf')
        topics: dict[str, Topic] = {}
        while (now := time.monotonic()) < end:
            if now - looked >= LOOK_S:
                looked = now
                topics = self._look()
                self._follow(topics)
            self._executor.spin_once(timeout_sec=min(LOOK_S, end - now))
        names = [
            f'{namespace.rstrip("/")}/{name}'
            for name, namespace in self._node.get_node_names_and_namespaces()
            if name != self._node.get_name() and not name.startswith('_')
        ]
        return Scan(
            seconds=seconds,
            reach=describe_reach(),
            nodes=tuple(sorted(names)),
            topics=topics,
            streams=dict(self._streams),
            contracts={name: tuple(found.values()) for name, found in self._contracts.items()},
            reports={name: tuple(found) for name, found in self._reports.items()},
            statuses=self._statuses,
            parameters={node: _parameters(answer) for node, answer in self._answers.items()},
            denied=tuple(sorted(self._denied)),
        )

    def close(self) -> None:
        self._executor.shutdown()

    def _look(self) -> dict[str, Topic]:
        found = {}
        for name, _ in self._node.get_topic_names_and_types():
            publishers = self._others(self._node.get_publishers_info_by_topic(name))
            subscribers = self._others(self._node.get_subscriptions_info_by_topic(name))
            if publishers or subscribers:
                found[name] = Topic(
                    name,
                    tuple(endpoint(info) for info in publishers),
                    tuple(endpoint(info) for info in subscribers),
                    mismatches(publishers, subscribers),
                )
        return found

    def _others(self, infos: list[TopicEndpointInfo]) -> list[TopicEndpointInfo]:
        return [info for info in infos if info.node_name != self._node.get_name()]

    def _follow(self, topics: dict[str, Topic]) -> None:
        """Subscribe what is new and ask new nodes for their parameters."""
        scan = Scan(0.0, topics=topics)
        nodes = (*scan.edges, *scan.servers)
        images = {name for node in nodes for name in scan.images_of(node)}
        callbacks: dict[str, tuple[type, Callable[[str, Any], None]]] = {
            CONTRACT: (SplitContract, self._on_contract),
            REPORT: (LinkReport, self._on_report),
            DIAGNOSTICS: (DiagnosticArray, self._on_diagnostics),
            CLOCK: (Clock, self._on_clock),
        }
        for topic in topics.values():
            for kind in {end.kind for end in topic.publishers}:
                if kind in callbacks:
                    self._subscribe(topic.name, *callbacks[kind], raw=False)
                elif kind in STAMPED and (kind in (FEATURES, DETECTIONS) or topic.name in images):
                    package, _, name = kind.split('/')
                    message = getattr(import_module(f'{package}.msg'), name)
                    self._subscribe(topic.name, message, self._on_stamped, raw=True)
        for node in nodes:
            if node not in self._clients:
                self._make_client(node)
            if node not in self._clients:
                continue
            if self._unanswered(node) and self._clients[node].service_is_ready():
                self._asked[node] = time.monotonic()
                names = [*PARAMETERS, *(['mode'] if node in scan.edges else [])]
                request = GetParameters.Request(names=names)
                self._answers[node] = self._clients[node].call_async(request)

    def _make_client(self, node: str) -> None:
        service = f'{node}/get_parameters'
        if service in self._denied:
            return

        def make() -> None:
            self._clients[node] = self._node.create_client(GetParameters, service)

        self._if_granted(service, make)

    def _unanswered(self, node: str) -> bool:
        """Tell whether to ask a node for its parameters, for the first time or again.

        An answer is lost where the service knows the client's writer and not yet its reader.
        """
        if node not in self._answers:
            return True
        late = time.monotonic() - self._asked[node] > ASK_AGAIN_S
        return late and not self._answers[node].done()

    def _subscribe(
        self, topic: str, message: type, callback: Callable[[str, Any], None], *, raw: bool
    ) -> None:
        if topic in self._subscribed:
            return
        self._subscribed.add(topic)
        infos = self._others(self._node.get_publishers_info_by_topic(topic))
        latched = message is SplitContract and all(
            info.qos_profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL for info in infos
        )
        reliability = (
            # a best effort reader gets nothing of the past
            QoSReliabilityPolicy.RELIABLE if latched else QoSReliabilityPolicy.BEST_EFFORT
        )
        durability = (
            QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE
        )
        profile = QoSProfile(depth=50, reliability=reliability, durability=durability)

        def subscribe() -> None:
            self._node.create_subscription(
                message,
                topic,
                lambda heard: callback(topic, heard),
                profile,
                event_callbacks=SubscriptionEventCallbacks(
                    message_lost=lambda event: self._on_lost(topic, event)
                ),
                raw=raw,
            )

        self._if_granted(topic, subscribe)

    def _if_granted(self, name: str, make: Callable[[], object]) -> None:
        """Remember what the policy denies to the doctor, and go on with the rest."""
        try:
            with security.rights(name):
                make()
        except security.SecurityError:
            self._denied.add(name)

    def _on_lost(self, topic: str, event: QoSMessageLostInfo) -> None:
        stream = self._streams[topic]
        stream.notice(time.monotonic())
        stream.lost += event.total_count_change

    def _on_stamped(self, topic: str, data: bytes) -> None:
        stream = self._streams[topic]
        stream.notice(time.monotonic())
        stream.heard += 1
        stream.size += len(data)
        seconds, nanoseconds = message_stamp(data)
        stamp = seconds * 10**9 + nanoseconds
        if not stamp:
            stream.zeros += 1
            return
        clock = time.time_ns() if self._clock_ns is None else self._clock_ns
        if len(stream.ages) < KEPT:
            stream.ages.append((clock - stamp) / 1e9)
        stream.steps_back += stamp < self._stamps.get(topic, stamp)
        self._stamps[topic] = stamp

    def _on_contract(self, topic: str, message: SplitContract) -> None:
        self._contracts[topic][message.session] = Contract(
            short(message.bundle), short(message.version), message.fingerprint, message.session
        )

    def _on_report(self, topic: str, message: LinkReport) -> None:
        report = report_from_msg(message)
        if report.possible and len(self._reports[topic]) < KEPT:
            self._reports[topic].append(report)

    def _on_diagnostics(self, _topic: str, message: DiagnosticArray) -> None:
        for status in message.status:
            level = min(int.from_bytes(status.level, 'little'), Level.STALE)
            values = {pair.key: pair.value for pair in status.values}
            text = short(status.message, TEXT)
            self._statuses[short(status.name)] = Complaint(Level(level), text, values)

    def _on_clock(self, _topic: str, message: Clock) -> None:
        self._clock_ns = message.clock.sec * 10**9 + message.clock.nanosec


def _parameters(answer: Future) -> dict[str, object]:
    if not answer.done() or answer.exception():
        return {}
    values = answer.result().values
    if len(values) < len(PARAMETERS):
        return {}
    return dict(zip((*PARAMETERS, 'mode'), map(parameter_value_to_python, values), strict=False))
