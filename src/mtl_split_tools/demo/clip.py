# SPDX-License-Identifier: Apache-2.0
"""The recording that the demo runs on, and its labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from rosbags.interfaces import Connection
from sensor_msgs.msg import CompressedImage, Image

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import DataError, ImageError
from mtl_split_ros.images import to_rgb
from mtl_split_tools.accuracy import AccuracyMeter
from mtl_split_tools.bags import IMAGE_TYPES, message_stamp, open_bag
from mtl_split_tools.shipped import shipped_bag
from mtl_split_train.dataset import Dataset, read_dataset

SHIPPED = 'camvid_val'
Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Clip:
    """Pictures of a recording; `stamps` and `sizes` (bytes) are in their order."""

    path: Path
    topic: str
    compressed: bool
    camera_info: str | None
    stamps: tuple[Stamp, ...]
    sizes: tuple[int, ...]
    times: tuple[int, ...]
    labels: Dataset | None

    @property
    def fps(self) -> float:
        """Pictures per second, from the median of their distances."""
        steps = np.diff(self.times)
        return 1e9 / float(np.median(steps)) if steps.size and np.median(steps) > 0 else 15.0

    def pictures(self) -> Iterator[tuple[Stamp, NDArray[np.uint8]]]:
        """Read the pictures again.

        Yields:
            Stamp and picture, RGB uint8 H x W x 3; pictures that cannot be decoded are left out.
        """
        kind = CompressedImage if self.compressed else Image
        with open_bag(self.path) as bag:
            connection = bag.image_connection(self.topic)
            for _, _, data in bag.messages([connection]):
                try:
                    yield message_stamp(data), to_rgb(deserialize_message(data, kind))
                except ImageError:
                    continue


def shipped_clip() -> Path:
    """Return the clip that comes with the project.

    Raises:
        DataError: It is nowhere.
    """
    if bag := shipped_bag(SHIPPED):
        return bag
    msg = f'{SHIPPED} is neither in the source tree nor installed; give --bag'
    raise DataError(msg)


def read_clip(path: Path, topic: str | None, labels: Path | None, bundle: Bundle) -> Clip:
    """Look through a recording and its labels, so that nothing fails after the run.

    Args:
        path: The recording.
        topic: Its pictures; the topic with most if None.
        labels: Folder with labels/ and annotations.json; if None, that of the recording, if any.
        bundle: Must have the classes of the labels.

    Returns:
        The clip.

    Raises:
        DataError: No pictures, pictures that share a stamp, or labels that do not fit.
    """
    stamps: list[Stamp] = []
    sizes, times = [], []
    with open_bag(path) as bag:
        connection = bag.image_connection(topic)
        compressed = connection.msgtype == IMAGE_TYPES[0]
        kind = CompressedImage if compressed else Image
        for _, moment, data in bag.messages([connection]):
            stamps.append(message_stamp(data))
            sizes.append(len(deserialize_message(data, kind).data))
            times.append(moment)
        camera_info = _camera_info(bag.connections, connection.topic)
    if len(set(stamps)) != len(stamps):
        msg = (
            f'{path}: {len(stamps) - len(set(stamps))} pictures on {connection.topic} share a '
            'stamp with another; the demo finds results by stamp: record it with stamps'
        )
        raise DataError(msg)
    found = _labels(path, labels)
    clip = Clip(
        path,
        connection.topic,
        compressed,
        camera_info,
        tuple(stamps),
        tuple(sizes),
        tuple(times),
        found,
    )
    if found is not None:
        _check_labels(clip, found)
        AccuracyMeter(found, bundle)
    return clip


def _labels(path: Path, labels: Path | None) -> Dataset | None:
    if labels is not None:
        return read_dataset(labels, images=False)
    beside = path.resolve().parent
    return read_dataset(beside, images=False) if (beside / 'annotations.json').exists() else None


def _check_labels(clip: Clip, labels: Dataset) -> None:
    if len(labels.images) != len(clip.stamps):
        msg = (
            f'{labels.path} labels {len(labels.images)} pictures, {clip.path} has '
            f'{len(clip.stamps)} on {clip.topic}: give the --labels of this recording'
        )
        raise DataError(msg)
    _, picture = next(clip.pictures(), (None, None))
    first = labels.images[0]
    if picture is not None and picture.shape[:2] != (first.height, first.width):
        msg = (
            f'{labels.path} is for pictures of {first.width}x{first.height}, {clip.path} has '
            f'{picture.shape[1]}x{picture.shape[0]}: give the --labels of this recording'
        )
        raise DataError(msg)


def _camera_info(connections: Sequence[Connection], topic: str) -> str | None:
    camera = topic.removesuffix('/compressed').rsplit('/', 1)[0]
    names = (c.topic for c in connections if c.msgtype == 'sensor_msgs/msg/CameraInfo')
    return next((name for name in names if name.rsplit('/', 1)[0] == camera), None)
