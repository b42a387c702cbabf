# SPDX-License-Identifier: Apache-2.0
"""What every data format is read into: samples with the labels they have, and their classes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.errors import DataError

T = TypeVar('T')

VOID = 255
"""Label of pixels that no metric and no loss counts, whatever id a format gives them."""
_FRAMES_READ = 1000


@dataclass(frozen=True, slots=True)
class Classes:
    """What a data set can teach; a task without classes is absent.

    `detection` and `segmentation` are class names in the order of their ids; `attribute` names
    what a whole picture is classified by, `values` its classes.
    """

    detection: tuple[str, ...] = ()
    segmentation: tuple[str, ...] = ()
    attribute: str = ''
    values: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any]) -> Self:
        """Build from what `mapping` gives."""
        values: dict[str, Any] = {
            key: value if isinstance(value, str) else tuple(value) for key, value in content.items()
        }
        return cls(**values)

    def mapping(self) -> dict[str, Any]:
        """Return plain lists and texts, as a checkpoint keeps them."""
        return {k: v if isinstance(v, str) else list(v) for k, v in asdict(self).items()}

    def only(self, tasks: Collection[str]) -> 'Classes':
        """Return these classes without those of tasks that are not among ``tasks``.

        Args:
            tasks: Kinds of tasks, as `sizes` names them.
        """
        labelled = 'classification' in tasks
        return Classes(
            self.detection if 'detection' in tasks else (),
            self.segmentation if 'segmentation' in tasks else (),
            self.attribute if labelled else '',
            self.values if labelled else (),
        )

    def sizes(self) -> dict[str, int]:
        """Return the number of classes by kind of task, 0 for an absent one."""
        return {
            'detection': len(self.detection),
            'segmentation': len(self.segmentation),
            'classification': len(self.values),
        }


class LabelMap(Protocol):
    """The file that says what each pixel of a picture is."""

    @property
    def path(self) -> Path:
        """The file."""

    def read(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return class ids H x W, VOID where nothing counts."""


@dataclass(frozen=True, slots=True)
class IdMap:
    """A PNG with one channel; `ids` maps each value that may occur to a class id or VOID."""

    path: Path
    ids: Mapping[int, int]

    def read(self, width: int, height: int) -> NDArray[np.uint8]:
        """See LabelMap.read()."""
        label = read_pixels(self.path, cv2.IMREAD_UNCHANGED, width, height)
        if label.ndim != 2:
            msg = (
                f'{self.path} has {label.shape[2]} channels; a label map is a PNG with one '
                'channel that holds class ids, not colours'
            )
            raise DataError(msg)
        _only_bytes(self.path, label)
        present = np.bincount(label.ravel(), minlength=256).nonzero()[0].tolist()
        if unknown := set(present) - self.ids.keys():
            known, void = (
                ', '.join(str(i) for i, c in self.ids.items() if (c == VOID) is is_void)
                for is_void in (False, True)
            )
            msg = (
                f'{self.path} holds class id {max(unknown)}; the ids are {known} and '
                f'{void or "none"} for void: convert the label map to them'
            )
            raise DataError(msg)
        table = np.full(256, VOID, np.uint8)
        table[list(self.ids)] = list(self.ids.values())
        return table[label]


@dataclass(frozen=True, slots=True)
class PanopticMap:
    """A PNG whose colour R + 256 G + 65536 B is a segment; `segments` maps them to class ids."""

    path: Path
    segments: Mapping[int, int]

    def read(self, width: int, height: int) -> NDArray[np.uint8]:
        """See LabelMap.read()."""
        pixels = read_pixels(self.path, cv2.IMREAD_COLOR, width, height)
        _only_bytes(self.path, pixels)
        blue, green, red = (pixels[..., i].astype(np.int32) for i in range(3))
        colours, index = np.unique(red + 256 * green + 65536 * blue, return_inverse=True)
        if unknown := set(colours.tolist()) - self.segments.keys() - {0}:
            msg = (
                f'{self.path} holds segment {min(unknown)}, which its segments_info does not '
                'list: PNG and JSON must be of the same release'
            )
            raise DataError(msg)
        ids = np.array([self.segments.get(c, VOID) for c in colours.tolist()], np.uint8)
        return ids[index].reshape(height, width)


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame; pixels are read on demand, everything else is in memory.

    `boxes` is float32 N x 4, xyxy in pixels of the image; `class_ids` is int32 N, indices into
    the detection classes; `iscrowd` is bool N, boxes that evaluation ignores. A frame without
    `label_map`, without `has_boxes` or without `attribute` was not labelled for that task and adds
    nothing to its loss and its metric.
    """

    name: str
    image_path: Path
    width: int
    height: int
    label_map: LabelMap | None = None
    has_boxes: bool = False
    boxes: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    class_ids: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    iscrowd: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    attribute: str | None = None

    def image(self) -> NDArray[np.uint8]:
        """Read the picture as uint8 H x W x 3, RGB."""
        pixels = read_pixels(self.image_path, cv2.IMREAD_COLOR, self.width, self.height)
        _only_bytes(self.image_path, pixels)
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]

    def label(self) -> NDArray[np.uint8]:
        """Read the label map as class ids uint8 H x W; all VOID where there is none."""
        if self.label_map is None:
            return np.full((self.height, self.width), VOID, np.uint8)
        return self.label_map.read(self.width, self.height)


@dataclass(frozen=True, slots=True)
class Dataset:
    """The samples of one folder or split, in a fixed order, and the classes of their labels."""

    path: Path
    images: list[Sample]
    classes: Classes

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the detection classes."""
        return self.classes.detection


def check_labels(dataset: Dataset) -> Dataset:
    """Read label maps once, so that a wrong one ends a run before its hours of work.

    Args:
        dataset: What was read. Of a large one, 1000 frames spread over it are looked at.

    Raises:
        DataError: The first label map that does not fit.
    """
    for sample in spread(dataset.images, _FRAMES_READ):
        sample.label()
    return dataset


def check_pictures(dataset: Dataset) -> None:
    """Read pictures once, so that a wrong one ends a run before its hours of work.

    Args:
        dataset: What was read. Of a large one, 1000 frames spread over it are looked at.

    Raises:
        DataError: The first picture that is missing, damaged or of another size.
    """
    for sample in spread(dataset.images, _FRAMES_READ):
        sample.image()


def spread(samples: Sequence[T], most: int) -> Sequence[T]:
    """Return at most ``most`` samples, evenly spread."""
    return samples[:: max(1, -(-len(samples) // most))]


def box_arrays(
    rows: Sequence[tuple[float, float, float, float, int, bool]],
) -> dict[str, Any]:
    """Return the box fields of a labelled sample from x1, y1, x2, y2, class id, crowd."""
    return {
        'has_boxes': True,
        'boxes': np.array([row[:4] for row in rows], np.float32).reshape(-1, 4),
        'class_ids': np.array([row[4] for row in rows], np.int32),
        'iscrowd': np.array([row[5] for row in rows], np.bool_),
    }


def read_pixels(path: Path, flags: int, width: int, height: int) -> NDArray[Any]:
    """Read a picture that must have a known size.

    Raises:
        DataError: It is missing, damaged or of another size.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f'{path} cannot be read ({error.strerror}); restore it'
        raise DataError(msg) from None
    pixels = cv2.imdecode(np.frombuffer(data or b'\0', np.uint8), flags)
    if pixels is None:
        msg = f'{path} is not a picture that can be read ({len(data)} bytes); restore it'
        raise DataError(msg)
    if pixels.shape[:2] != (height, width):
        msg = (
            f'{path} is {pixels.shape[1]}x{pixels.shape[0]}, its annotations or its picture say '
            f'{width}x{height}: both must agree'
        )
        raise DataError(msg)
    return pixels


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture from its header.

    Raises:
        DataError: It is not a picture.
    """
    # Here alone, because reading CamVid's layout, as the tools do, needs no Pillow.
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415

    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError) as error:
        msg = f'{path} is not a picture that can be read ({error}); restore it'
        raise DataError(msg) from None


def _only_bytes(path: Path, pixels: NDArray[Any]) -> None:
    if pixels.dtype != np.uint8:
        msg = f'{path} has {pixels.dtype} values; only 8 bits per channel are read'
        raise DataError(msg)
