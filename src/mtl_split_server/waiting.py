# SPDX-License-Identifier: Apache-2.0
"""What waits for the server's worker, and what its cameras share."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from mtl_split.msg import FeatureMap

from mtl_split_core.bundle import Bundle
from mtl_split_core.results import FrameResults
from mtl_split_core.tail import Encoded, Inferred, Prepared, TailStage
from mtl_split_ros.parameters import Parameters
from mtl_split_server.overlays import Picture
from mtl_split_server.schedule import CameraQueue


class Answerer(Protocol):
    """Whose frames they are: answers them when their turn has come."""

    def begin(self, frame: 'Frame') -> 'Begun | None':
        """Decode a frame; None for one that gets no answer."""

    def answer(self, begun: 'Begun', inferred: Inferred, batch: int) -> None:
        """Publish what the network says of a frame that went through it with `batch` - 1 others."""

    def draw(self, drawing: 'Drawing') -> None:
        """Draw an overlay."""

    def failed(self, error: Exception) -> None:
        """Count a frame that an unexpected error has cost its answer."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that waits for its turn.

    Args:
        camera: Whose it is.
        message: As it came.
        prepared: Checked and decoded; None where it is decoded when its turn comes.
        at: When it came, monotonic seconds.
        until: Until when an answer helps, microseconds of this server's clock; NO_DEADLINE without
            a limit.
    """

    camera: Answerer
    message: FeatureMap
    prepared: Prepared | None
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Begun:
    """A frame whose turn has come, decoded.

    Args:
        frame: As it waited.
        prepared: Its content.
        encoded: The same as the network takes it.
        wanted: Names of the tasks whose results somebody reads.
        at: When its turn came, monotonic seconds.
    """

    frame: Frame
    prepared: Prepared
    encoded: Encoded
    wanted: Collection[str]
    at: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """An overlay that waits for its turn: the image came after its results."""

    camera: Answerer
    image: Picture
    results: FrameResults
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Common:
    """What all cameras of a server share.

    Args:
        settings: Parameters of the node.
        bundle: In use.
        tail: Loaded.
        session: Of the server process.
        queue: Takes what is to be worked on.
        busy_s: Seconds for which the worker worked so far.
    """

    settings: Parameters
    bundle: Bundle
    tail: TailStage
    session: int
    queue: CameraQueue[Frame | Drawing]
    busy_s: Callable[[], float]
