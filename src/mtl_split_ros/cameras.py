# SPDX-License-Identifier: Apache-2.0
"""The cameras that share one server: their namespaces, and a file of settings for each."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mtl_split_core.errors import MtlSplitError

MAX_CAMERAS = 64
_FILES = ('.yaml', '.yml')
_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*')
_IMAGE_TOPIC = 'image_topic'

Setting = bool | int | float | str


class CameraError(MtlSplitError):
    """Cameras are not described as they have to be."""


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """One camera.

    Args:
        name: Its namespace, below that of the nodes.
        image_topic: Its images; '' where nothing was said.
        parameters: Of its edge.
    """

    name: str
    image_topic: str = ''
    parameters: Mapping[str, Setting] = field(default_factory=dict)

    def image_in(self, default: str) -> str:
        """Return the image topic as a node above this camera's namespace names it.

        Args:
            default: Where nothing was said.
        """
        topic = self.image_topic or default
        return topic if topic.startswith('/') else f'{self.name}/{topic}'


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """Check the namespaces of cameras.

    Raises:
        CameraError: One is no relative namespace, is there twice, or they are too many.
    """
    for number, name in enumerate(names):
        if not _NAME.fullmatch(name):
            msg = (
                f'camera {name!r} is no namespace below that of the nodes; name it as in front or '
                'truck/front: letters, digits and _, no digit first, no slash before or behind'
            )
            raise CameraError(msg)
        if name in names[:number]:
            msg = f'camera {name!r} is named twice; name each once'
            raise CameraError(msg)
    if len(names) > MAX_CAMERAS:
        msg = f'{len(names)} cameras for one server; start another one from {MAX_CAMERAS} on'
        raise CameraError(msg)
    return tuple(names)


def read_cameras(text: str, parameters: Collection[str]) -> tuple[CameraSettings, ...]:
    """Read the launch argument `cameras`.

    Args:
        text: Namespaces with commas between; or a file, as config/cameras.yaml shows it; or ''.
        parameters: Names of the edge's parameters, which the file may give.

    Raises:
        CameraError: It is neither; names thing, value and remedy.
    """
    path = Path(text).expanduser()
    if path.suffix not in _FILES:
        names = [name.strip() for name in text.split(',')] if text.strip() else []
        return tuple(CameraSettings(name) for name in check_names(names))
    try:
        found = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f'{path} cannot be read: {" ".join(str(error).split())}'
        raise CameraError(msg) from error
    if not isinstance(found, dict) or not found:
        msg = f'{path} holds no cameras; write `front: {{}}` and so on, as in config/cameras.yaml'
        raise CameraError(msg)
    check_names([str(name) for name in found])
    return tuple(_camera(path, str(name), given, parameters) for name, given in found.items())


def _camera(path: Path, name: str, given: object, parameters: Collection[str]) -> CameraSettings:
    settings = {} if given is None else given
    if not isinstance(settings, dict):
        msg = f'{path}: camera {name} is {given!r}; give settings, as in `{name}: {{rate: 1}}`'
        raise CameraError(msg)
    for key, value in settings.items():
        if key != _IMAGE_TOPIC and key not in parameters:
            known = ', '.join((_IMAGE_TOPIC, *sorted(parameters)))
            msg = f'{path}: camera {name} has {key!r}, which is none of {known}'
            raise CameraError(msg)
        if not isinstance(value, Setting) or (key == _IMAGE_TOPIC and not isinstance(value, str)):
            msg = f'{path}: camera {name}: {key} is {value!r}; give a text or a number'
            raise CameraError(msg)
    rest = {key: value for key, value in settings.items() if key != _IMAGE_TOPIC}
    return CameraSettings(name, settings.get(_IMAGE_TOPIC, ''), rest)
