# SPDX-License-Identifier: Apache-2.0
"""The topics of recordings, in the order of their time."""

import heapq
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import Any

from rclpy.serialization import deserialize_message

from mtl_split_core.errors import DataError
from mtl_split_tools.annotate.source import choose_source
from mtl_split_tools.bags import Bag, open_bag
from mtl_split_tools.console import progress_bar
from mtl_split_tools.view.topics import Role, Shown, camera_of, choose_topics

Show = Callable[[str, Role, Any, int], None]


def show_recording(
    path: Path, beside: Path | None, namespace: str | None, image: str | None, show: Show
) -> int:
    """Show a whole recording.

    Args:
        path: With results.
        beside: Another recording, with the pictures; may be None.
        namespace: Of the camera; may be None where there is one.
        image: Topic of the pictures; may be None where there is one.
        show: Gets topic, role, message, and its nanoseconds in the recording.

    Returns:
        The number of messages.

    Raises:
        DataError: A recording is damaged or has nothing to show.
    """
    with ExitStack() as stack:
        bag = stack.enter_context(open_bag(path))
        camera = _camera(path, bag, namespace)
        found = _types(bag)
        source = beside or path
        try:
            pictures = choose_source(source, image)
        except DataError:
            if beside or image:
                raise
        else:
            image = pictures.topic
        shown = [(bag, s) for s in choose_topics(found, camera, image)]
        if beside:
            other = stack.enter_context(open_bag(beside))
            mine = [(bag, s) for _, s in shown if s.role is not Role.IMAGE]
            extra = choose_topics(_types(other), camera, image)
            shown = mine + [(other, s) for s in extra if s.role is Role.IMAGE]
        if not shown:
            msg = (
                f'{path} has no topics that are shown; `mtl-split inspect {path}` says what it has'
            )
            raise DataError(msg)
        return _show(shown, show)


def _show(shown: list[tuple[Bag, Shown]], show: Show) -> int:
    streams, total = [], 0
    for bag in {bag.path: bag for bag, _ in shown}.values():
        by_topic = {s.topic: s for of, s in shown if of is bag}
        connections = [c for c in bag.connections if c.topic in by_topic]
        total += sum(connection.msgcount for connection in connections)
        streams.append(_read(bag, by_topic))
    with progress_bar() as progress:
        task = progress.add_task('reading', total=total)
        for moment, what, data in heapq.merge(*streams, key=itemgetter(0)):
            show(what.topic, what.role, deserialize_message(data, what.message), moment)
            progress.advance(task)
    return total


def _read(bag: Bag, shown: Mapping[str, Shown]) -> Iterator[tuple[int, Shown, bytes]]:
    connections = [c for c in bag.connections if c.topic in shown]
    for connection, moment, data in bag.messages(connections):
        yield moment, shown[connection.topic], data


def _camera(path: Path, bag: Bag, namespace: str | None) -> str:
    if namespace is not None:
        return namespace
    cameras = camera_of(_types(bag))
    if len(cameras) > 1:
        names = ', '.join(name or '/' for name in cameras)
        msg = f'{path} has results of {len(cameras)} cameras: {names}; choose one by --namespace'
        raise DataError(msg)
    return cameras[0] if cameras else ''


def _types(bag: Bag) -> dict[str, str]:
    return {c.topic: c.msgtype for c in bag.connections if c.msgcount}
