# SPDX-License-Identifier: Apache-2.0
"""What every data set of classification tasks is read into."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.errors import DataError

#: Names of what a folder holds that a message shows.
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class AttributeSample:
    """One picture; its pixels are made or read on demand.

    Args:
        values: Id of its class by name of the task; None where it has no label.
        load: Returns the picture, uint8 [H, W, 3], RGB.
    """

    values: Mapping[str, int | None]
    load: Callable[[], NDArray[np.uint8]]

    def image(self) -> NDArray[np.uint8]:
        """Return the picture, uint8 [H, W, 3], RGB.

        Raises:
            DataError: Its file is missing or damaged.
        """
        return self.load()


@dataclass(frozen=True, slots=True)
class AttributeData:
    """One split of a data set.

    Args:
        path: Where it lies, for messages.
        tasks: Names of the classes, in the order of their ids, by name of the task.
        samples: In a fixed order.
    """

    path: Path
    tasks: dict[str, tuple[str, ...]]
    samples: Sequence[AttributeSample]


class MadeOnDemand(Sequence[AttributeSample]):
    """Samples of which there are too many to keep.

    Args:
        indices: Places in the whole data set, int64 [N].
        make: Returns the sample of a place.
    """

    def __init__(self, indices: NDArray[np.int64], make: Callable[[int], AttributeSample]) -> None:
        self._indices = indices
        self._make = make

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> AttributeSample: ...

    @overload
    def __getitem__(self, index: slice) -> 'MadeOnDemand': ...

    def __getitem__(self, index: int | slice) -> 'AttributeSample | MadeOnDemand':
        if isinstance(index, slice):
            return MadeOnDemand(self._indices[index], self._make)
        return self._make(int(self._indices[index]))


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return a picture of any size, uint8 [H, W, 3], RGB.

    Raises:
        DataError: It is missing or damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f'{path} cannot be read ({error.strerror}); restore it'
        raise DataError(msg) from None
    pixels = cv2.imdecode(np.frombuffer(data or b'\0', np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        msg = f'{path} is not a picture that can be read ({len(data)} bytes); restore it'
        raise DataError(msg)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def wrong_layout(deviation: str, root: Path, tree: str) -> DataError:
    """Return an error that says what is wrong first, what there should be, and what there is.

    Args:
        deviation: The first thing that does not fit.
        root: Folder of the data set.
        tree: What it must hold, in one line.
    """
    names = sorted(f'{path.name}/' if path.is_dir() else path.name for path in root.iterdir())
    shown = ', '.join(names[:_SHOWN]) + (f' and {len(names) - _SHOWN} more' * (len(names) > _SHOWN))
    return DataError(f'{deviation}; {root} must hold {tree}; it holds {shown or "nothing"}')


def check_split(name: str, split: str, known: Sequence[str]) -> None:
    """Raise DataError unless a data set has a split."""
    if split not in known:
        msg = f"{name} has no split '{split}'; it has {', '.join(known)}"
        raise DataError(msg)
