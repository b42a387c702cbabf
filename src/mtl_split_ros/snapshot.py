# SPDX-License-Identifier: Apache-2.0
"""A folder with all that a bug report needs: pictures, feature map, parameters, diagnostics."""

import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.serialization import serialize_message
from rclpy.utilities import get_rmw_implementation_identifier

from mtl_split_core.errors import MtlSplitError
from mtl_split_ros.diagnostics import Updater
from mtl_split_ros.parameters import ParameterSpec
from mtl_split_ros.readable import message_yaml, parameters_yaml
from mtl_split_ros.services import Services, aside

SNAPSHOT_DIR = ParameterSpec(
    'snapshot_dir',
    '~/.ros/mtl_split/snapshots',
    'Directory in which the service `~/snapshot` makes a folder for each call.',
)

Picture = NDArray[np.uint8]
Content = bytes | str


@dataclass(frozen=True, slots=True)
class Moment:
    """What there is of one camera at this moment.

    Args:
        name: Of its folder in the snapshot; '' for the snapshot's own.
        image: RGB, uint8 [H, W, 3], the source image.
        overlay: The same with the results drawn over it.
        features: FeatureMap message.
        missing: Why something is not there, by what.
    """

    name: str
    image: Picture | None
    overlay: Picture | None
    features: Any | None
    missing: Mapping[str, str]

    def files(self) -> dict[str, Content]:
        """Return the content of each file, by its name in the snapshot."""
        files: dict[str, Content] = {}
        if self.image is not None:
            files['image.png'] = _png(self.image)
        if self.overlay is not None:
            files['overlay.png'] = _png(self.overlay)
        if self.features is not None:
            files['feature_map.cdr'] = serialize_message(self.features)
            files['feature_map.yaml'] = message_yaml(self.features)
        if self.missing:
            lines = [f'{what}: {why}\n' for what, why in self.missing.items()]
            files['missing.txt'] = ''.join(lines)
        return {f'{self.name}/{name}' if self.name else name: data for name, data in files.items()}


def offer_snapshot(
    node: Node,
    services: Services,
    directory: str,
    updater: Updater,
    look: Callable[[], Sequence[Moment]],
) -> None:
    """Offer `~/snapshot`, which answers the path of a new folder.

    Args:
        node: Whose parameters and name go into it.
        services: Of the node.
        directory: Parameter `snapshot_dir`.
        updater: Of the node's diagnostics.
        look: Returns what there is of each camera, or raises MtlSplitError; runs in a thread.
    """

    async def snapshot() -> str:
        texts: dict[str, Content] = {
            'parameters.yaml': parameters_yaml(node),
            'diagnostics.yaml': message_yaml(updater.latest()),
            'versions.yaml': _versions(),
        }

        def write() -> Path:
            files = dict(texts)
            for moment in look():
                files.update(moment.files())
            return write_snapshot(Path(directory), node.get_fully_qualified_name(), files)

        return str(await aside(node, write))

    services.offer('snapshot', snapshot)


def write_snapshot(directory: Path, node: str, files: Mapping[str, Content]) -> Path:
    """Write a snapshot in one step: its folder is there with all files, or not at all.

    Args:
        directory: Where the folder is made; `~` is the home of the user.
        node: Name of the node, for that of the folder.
        files: Content by path in the folder.

    Returns:
        The folder, new.

    Raises:
        MtlSplitError: It cannot be written.
    """
    directory = directory.expanduser()
    words = '_'.join(filter(None, node.split('/')))
    stamp = time.strftime('%Y-%m-%d_%H-%M-%S')
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # not by tempfile, which lets nobody else read it whatever the umask says
        scratch = directory / f'.unfinished-{os.getpid()}-{time.monotonic_ns()}'
        scratch.mkdir()
        try:
            for name, content in files.items():
                path = scratch / name
                path.parent.mkdir(parents=True, exist_ok=True)
                data = content.encode() if isinstance(content, str) else content
                path.write_bytes(data)
            return _rename(scratch, directory / f'{stamp}_{words}')
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        msg = f'no snapshot: {error}: correct the parameter snapshot_dir or make room there'
        raise MtlSplitError(msg) from error


def _versions() -> str:
    """What runs here, as YAML."""
    found = {
        'machine': platform.platform(),
        'python': platform.python_version(),
        'ros_distro': os.environ.get('ROS_DISTRO', 'from PyPI'),
        'middleware': get_rmw_implementation_identifier(),
    }
    # which of them there are depends on where ROS came from
    for name in ('mtl-split', 'rclpy', 'ros-rclpy', 'numpy', 'onnxruntime', 'constriction'):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return yaml.safe_dump(found, sort_keys=False)


def _rename(scratch: Path, wanted: Path) -> Path:
    """Give the folder its name, with a number behind it where there is one of that name."""
    place, number = wanted, 1
    while place.exists():
        number += 1
        place = wanted.with_name(f'{wanted.name}_{number}')
    scratch.rename(place)
    return place


def _png(picture: Picture) -> bytes:
    done, data = cv2.imencode('.png', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        msg = f'a picture of {picture.shape[1]}x{picture.shape[0]} cannot be written as PNG'
        raise MtlSplitError(msg)
    return data.tobytes()
