# SPDX-License-Identifier: Apache-2.0
"""The real 3D Shapes (Burgess and Kim, 2018): `3dshapes.h5`, as DeepMind publishes it."""

import os
from functools import cache, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.errors import DataError
from mtl_split_train.attributes.data import (
    AttributeData,
    AttributeSample,
    MadeOnDemand,
    check_split,
    wrong_layout,
)
from mtl_split_train.attributes.scene import SIDE
from mtl_split_train.attributes.shapes import (
    FACTORS,
    SCENES,
    SPLITS,
    Noise,
    add_noise,
    scene_values,
    split_scenes,
)

FILE = '3dshapes.h5'


def read_3dshapes(noise: Noise, root: Path, split: str) -> AttributeData:
    """Return a split; pictures are read from the file one at a time.

    Args:
        noise: What is added to each picture.
        root: Folder with the file.
        split: One of SPLITS.

    Raises:
        DataError: Another split, or not the file that is published.
    """
    check_split('3dshapes', split, SPLITS)
    path = root / FILE
    if not path.is_file():
        raise wrong_layout(f'{path} is missing', root, f'{FILE}, from gs://3d-shapes')
    _check(path)
    make = partial(_sample, path, noise)
    return AttributeData(path, dict(FACTORS), MadeOnDemand(split_scenes(split), make))


def _check(path: Path) -> None:
    expected = {'images': (SCENES, SIDE, SIDE, 3), 'labels': (SCENES, len(FACTORS))}
    with _open(path) as file:
        for name, shape in expected.items():
            found = getattr(file.get(name), 'shape', 'missing')
            if found != shape:
                msg = f'{path}: dataset `{name}` is {found}, not {shape}: take the published file'
                raise DataError(msg)
        labels = file['labels'][()]
    for column, (name, values) in zip(labels.T, FACTORS.items(), strict=True):
        _, places = np.unique(column, return_inverse=True)
        if (wrong := np.flatnonzero(places != _places(name))).size:
            msg = (
                f'{path}: label {name} of picture {wrong[0]} is {column[wrong[0]]:g}, which is not '
                f'the one of {len(values)} values that belongs there: take the published file'
            )
            raise DataError(msg)


def _places(name: str) -> NDArray[np.int64]:
    counts = [len(values) for values in FACTORS.values()]
    return np.asarray(np.unravel_index(np.arange(SCENES), counts)[list(FACTORS).index(name)])


def _sample(path: Path, noise: Noise, scene: int) -> AttributeSample:
    return AttributeSample(scene_values(scene), partial(_read, path, noise, scene))


def _read(path: Path, noise: Noise, scene: int) -> NDArray[np.uint8]:
    try:
        picture = _kept_open(path, os.getpid())['images'][scene]
    except OSError as error:
        msg = f'{path}: picture {scene} cannot be read ({error}); download the file again'
        raise DataError(msg) from None
    return add_noise(picture, noise, scene)


@cache
def _kept_open(path: Path, _process: int) -> Any:
    """Return the open file; each process needs its own, as HDF5 does not survive a fork."""
    return _open(path)


def _open(path: Path) -> Any:
    try:
        return h5py.File(path, 'r')
    except OSError as error:
        msg = f'{path} cannot be read as HDF5 ({error}); download it from gs://3d-shapes'
        raise DataError(msg) from None
