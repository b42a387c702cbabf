# SPDX-License-Identifier: Apache-2.0
"""The data sets of classification tasks by name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from mtl_split_core.errors import DataError
from mtl_split_train.attributes.data import AttributeData, AttributeSample
from mtl_split_train.attributes.faces import read_faces
from mtl_split_train.attributes.medic import read_medic
from mtl_split_train.attributes.shapes import EVEN_NOISE, PUBLISHED_NOISE, Noise, read_shapes
from mtl_split_train.formats import read_split

MADE = ('shapes', 'shapes_published_noise')
"""What is made, and needs no folder."""


def read_attributes(format: str, root: Path, split: str) -> AttributeData:  # noqa: A002
    """Read one split of a data set of classification tasks.

    Args:
        format: One of READERS.
        root: Folder of the data set; what is made takes any.
        split: `train`, `val` or `test`, where it has them.

    Raises:
        DataError: Something is missing or does not fit; the text names the file and the remedy.
    """
    if format not in READERS:
        msg = f"format '{format}' is not known; known are: {', '.join(READERS)}"
        raise DataError(msg)
    if format not in MADE and not root.is_dir():
        msg = f'data folder {root} does not exist; give the folder of {format}'
        raise DataError(msg)
    return READERS[format](root, split)


def _read_3dshapes(noise: Noise, root: Path, split: str) -> AttributeData:
    # Here alone, because nothing else needs h5py.
    from mtl_split_train.attributes.shapes3d import read_3dshapes  # noqa: PLC0415

    return read_3dshapes(noise, root, split)


def _read_attribute(kind: str, root: Path, split: str) -> AttributeData:
    """Return the whole-picture attribute of a data set that has boxes and label maps, too."""
    dataset = read_split(kind, root, split)
    name, classes = dataset.classes.attribute, dataset.classes.values
    if not classes:
        msg = f'{dataset.path} has no attribute of whole pictures: nothing to classify by'
        raise DataError(msg)
    samples = [
        AttributeSample(
            {name: None if sample.attribute is None else classes.index(sample.attribute)},
            sample.image,
        )
        for sample in dataset.images
    ]
    return AttributeData(dataset.path, {name: classes}, samples)


READERS: dict[str, Callable[[Path, str], AttributeData]] = {
    'shapes': partial(read_shapes, EVEN_NOISE),
    'shapes_published_noise': partial(read_shapes, PUBLISHED_NOISE),
    '3dshapes': partial(_read_3dshapes, EVEN_NOISE),
    '3dshapes_published_noise': partial(_read_3dshapes, PUBLISHED_NOISE),
    'medic': read_medic,
    'faces': read_faces,
    'camvid': partial(_read_attribute, 'camvid'),
}
"""Readers of a root folder and the name of a split in it."""
