# SPDX-License-Identifier: Apache-2.0
"""The pictures of a recording."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from mtl_split_core.errors import DataError
from mtl_split_tools.bags import IMAGE_TYPES, open_bag

RESULTS = ('/segmentation/mask', '/segmentation/color', '/overlay')
FPS_FROM = 100  # pictures
DEFAULT_FPS = 15.0


@dataclass(frozen=True, slots=True)
class Source:
    """The pictures of a recording: their topic, its type, how many there are."""

    path: Path
    topic: str
    msgtype: str
    count: int

    def messages(self) -> Generator[tuple[int, bytes], None, None]:
        """Read time (nanoseconds of the recording) and serialised message of each picture."""
        with open_bag(self.path) as bag:
            connections = [c for c in bag.connections if c.topic == self.topic]
            for _, moment, data in bag.messages(connections):
                yield moment, data


def choose_source(path: Path, topic: str | None) -> Source:
    """Choose the pictures of a recording.

    Args:
        path: The recording.
        topic: Their topic; may be None where there is one, masks and overlays left out.

    Raises:
        DataError: There are none, or several to choose from.
    """
    with open_bag(path) as bag:
        images = [c for c in bag.connections if c.msgtype in IMAGE_TYPES and c.msgcount]
        found = {c.topic: c for c in images if not c.topic.endswith(RESULTS)}
        if topic is None and len(found) > 1:
            names = ', '.join(f'{c.topic} ({c.msgtype}, {c.msgcount})' for c in found.values())
            msg = f'{path} has pictures on {len(found)} topics: {names}; choose one by --topic'
            raise DataError(msg)
        chosen = bag.image_connection(topic or next(iter(found), None))
        count = sum(c.msgcount for c in images if c.topic == chosen.topic)
        return Source(path, chosen.topic, chosen.msgtype, count)


def frames_per_second(source: Source) -> float:
    """Return the pictures per second of a recording, from the median of the first distances."""
    with closing(source.messages()) as messages:
        times = [moment for moment, _ in islice(messages, FPS_FROM)]
    steps = np.diff(times)
    return 1e9 / float(np.median(steps)) if steps.size and np.median(steps) > 0 else DEFAULT_FPS
