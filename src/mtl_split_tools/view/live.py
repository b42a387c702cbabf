# SPDX-License-Identifier: Apache-2.0
"""The topics of a running graph, as they come."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy

from mtl_split_ros import security
from mtl_split_tools.console import console
from mtl_split_tools.doctor.scan import UNNAMED
from mtl_split_tools.tool_node import tool_node
from mtl_split_tools.view.topics import Role, Shown, camera_of, choose_topics, pictures_of

LOOK_S = 1.0
SPIN_S = 0.1
SILENT_S = 3.0
# Chosen where the publishers are known: reliable if all of them are, or most large pictures would
# be lost. A writer that keeps the last ones is not held back by a slow viewer.
_AS_OFFERED = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_AVAILABLE)
_LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
Show = Callable[[str, Role, Any, int], None]


class Live:
    """Subscribes what there is to show, also what appears later."""

    def __init__(self, node: Node, namespace: str, image: str | None, show: Show) -> None:
        self._node = node
        self._namespace = namespace
        self._image = image
        self._show = show
        self._subscribed: set[str] = set()
        self._found: dict[str, str] = {}

    def look(self) -> None:
        """Subscribe what has appeared."""
        before, found = (
            self._found,
            {
                topic: kinds[0]
                for topic, kinds in self._node.get_topic_names_and_types()
                if self._node.count_publishers(topic)
            },
        )
        self._found = found
        image = self._image or self._image_of_edge()
        # what a new edge takes may be known a moment later than what it gives
        early = not image and f'{self._namespace}/{Role.FEATURES}' in found.keys() - before.keys()
        for shown in choose_topics(found, self._namespace, image):
            picture = shown.role is Role.IMAGE
            left = picture and (early or 'picture' in self._subscribed)
            if shown.topic not in self._subscribed and not left:
                self._subscribe(shown)

    @property
    def nothing(self) -> bool:
        """Whether nothing is there."""
        return not self._subscribed

    def why_nothing(self) -> str:
        """Tell who waits for a picture where to look."""
        where = self._namespace or 'the root namespace'
        if cameras := ', '.join(name or '/' for name in camera_of(self._found)):
            return f'no topics yet in {where}, but in {cameras}: choose one by --namespace'
        return f'no topics yet in {where}; `mtl-split doctor` says why'

    def _image_of_edge(self) -> str | None:
        """Return the pictures that the edge takes, whose topic is often another one than image."""
        features = f'{self._namespace}/{Role.FEATURES}'
        for edge in self._node.get_publishers_info_by_topic(features):
            if edge.node_name == UNNAMED:
                continue  # rcl refuses to be asked about it
            # it may have ended meanwhile
            with suppress(NodeNameNonExistentError):
                taken = self._node.get_subscriber_names_and_types_by_node(
                    edge.node_name, edge.node_namespace
                )
                kinds = {topic: types[0] for topic, types in taken}
                if image := pictures_of(kinds, self._found):
                    return image
        return None

    def _subscribe(self, shown: Shown) -> None:
        def on_message(message: Any) -> None:
            self._show(shown.topic, shown.role, message, time.time_ns())

        profile = _LATCHED if shown.latched else _AS_OFFERED
        with security.rights(shown.topic):
            self._node.create_subscription(shown.message, shown.topic, on_message, profile)
        # one camera at a time, though it may have both transports
        self._subscribed |= {shown.topic, *(['picture'] if shown.role is Role.IMAGE else [])}
        console.print(f'{shown.role.name.lower().replace("_", " ")}: {shown.topic}')


def follow(namespace: str, image: str | None, show: Show) -> None:
    """Show a graph until Ctrl-C.

    Args:
        namespace: Of the camera.
        image: Topic of its pictures; by name if None.
        show: Gets topic, role, message, and when it arrived (nanoseconds since 1970).
    """
    with tool_node('mtl_split_view') as node:
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        live = Live(node, namespace, image, show)
        begun = looked = time.monotonic()
        warned = False
        while True:
            executor.spin_once(timeout_sec=SPIN_S)
            now = time.monotonic()
            if now - looked > LOOK_S:
                looked = now
                live.look()
                if live.nothing and now - begun > SILENT_S and not warned:
                    warned = True
                    console.print(live.why_nothing(), soft_wrap=True)
