# SPDX-License-Identifier: Apache-2.0
"""Which topics of a graph or a recording are shown, and as what."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mtl_split.msg import FeatureMap, FrameStatus, LinkReport, SplitContract
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo


class Role(StrEnum):
    """What a topic says; the value is its name in the namespace of the camera."""

    IMAGE = 'image'
    CONTRACT = 'contract'
    BOX_LABELS = 'detections/label_info'
    MASK_LABELS = 'segmentation/label_info'
    FEATURES = 'features'
    STATUS = 'frame_status'
    REPORT = 'link_report'
    BOXES = 'detections'
    MASK = 'segmentation/mask'
    CLASSES = 'classification'


MESSAGES: dict[str, type] = {
    'mtl_split/msg/FeatureMap': FeatureMap,
    'mtl_split/msg/FrameStatus': FrameStatus,
    'mtl_split/msg/LinkReport': LinkReport,
    'mtl_split/msg/SplitContract': SplitContract,
    'sensor_msgs/msg/CompressedImage': CompressedImage,
    'sensor_msgs/msg/Image': Image,
    'vision_msgs/msg/Classification': Classification,
    'vision_msgs/msg/Detection2DArray': Detection2DArray,
    'vision_msgs/msg/LabelInfo': LabelInfo,
}
LATCHED = frozenset({Role.CONTRACT, Role.BOX_LABELS, Role.MASK_LABELS})
_TYPES: dict[Role, type] = {
    Role.CONTRACT: SplitContract,
    Role.BOX_LABELS: LabelInfo,
    Role.MASK_LABELS: LabelInfo,
    Role.FEATURES: FeatureMap,
    Role.STATUS: FrameStatus,
    Role.REPORT: LinkReport,
    Role.BOXES: Detection2DArray,
    Role.MASK: Image,
}
_PICTURE_TYPES = (CompressedImage, Image)
_PICTURES = ('image/compressed', 'image')  # what the browser can decode is passed on as it is


@dataclass(frozen=True, slots=True)
class Shown:
    """A topic to show."""

    topic: str
    role: Role
    message: type

    @property
    def latched(self) -> bool:
        """Whether a late subscriber gets the last message."""
        return self.role in LATCHED


def choose_topics(found: Mapping[str, str], namespace: str, image: str | None) -> list[Shown]:
    """Choose what to show.

    Args:
        found: Types by topic.
        namespace: Of the camera, '' or absolute without a slash at its end.
        image: Topic of the pictures; by name if None.

    Returns:
        What there is of it, latched topics first.
    """
    types = {topic: MESSAGES[kind] for topic, kind in found.items() if kind in MESSAGES}
    shown = [
        Shown(topic, role, kind)
        for role, kind in _TYPES.items()
        if types.get(topic := f'{namespace}/{role}') is kind
    ]
    prefix = f'{namespace}/{Role.CLASSES}'
    shown += [
        Shown(topic, Role.CLASSES, kind)
        for topic, kind in sorted(types.items())
        if kind is Classification and (topic == prefix or topic.startswith(f'{prefix}/'))
    ]
    pictures = [image] if image else [f'{namespace}/{name}' for name in _PICTURES]
    for topic in pictures:
        picture = types.get(topic)
        if picture is not None and picture in _PICTURE_TYPES:
            shown.append(Shown(topic, Role.IMAGE, picture))
            break
    return shown


def pictures_of(taken: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    """Return the pictures of an edge, compressed where there are such; None if it takes none.

    Args:
        taken: Types by topic that it subscribes.
        found: Types by topic that are published.
    """
    images = [topic for topic, kind in taken.items() if MESSAGES.get(kind) in _PICTURE_TYPES]
    packed = [f'{topic}/compressed' for topic in images]
    return next((topic for topic in (*packed, *images) if topic in found), None)


def camera_of(found: Mapping[str, str]) -> list[str]:
    """Return the namespaces that have results or features of this package, '' for the root."""
    marks = (Role.FEATURES, Role.BOXES, Role.MASK, Role.CLASSES)
    ends = {f'/{role}' for role in marks if role in _TYPES} | {f'/{Role.CLASSES}'}
    return sorted(
        {
            topic.removesuffix(end)
            for topic, kind in found.items()
            for end in ends
            if topic.endswith(end) and kind in MESSAGES
        }
    )
