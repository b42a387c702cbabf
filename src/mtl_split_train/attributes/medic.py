# SPDX-License-Identifier: Apache-2.0
"""MEDIC (Alam et al., arXiv 2108.12828): disaster pictures from social media, as released.

    ROOT/MEDIC_train.tsv, MEDIC_dev.tsv, MEDIC_test.tsv
    ROOT/data/...                 the pictures, named by column `image_path` relative to ROOT

Two of its four tasks, without the pictures of no or another disaster, as in the MTL-Split paper's
published code (data/medic.py): 3 and 5 classes, 23,075 pictures to train, 5,649 to test.
"""

import csv
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from mtl_split_core.errors import DataError
from mtl_split_train.attributes.data import (
    AttributeData,
    AttributeSample,
    check_split,
    read_picture,
    wrong_layout,
)

TASKS: Mapping[str, tuple[str, ...]] = {
    'damage_severity': ('little_or_none', 'mild', 'severe'),
    'disaster_types': ('earthquake', 'fire', 'flood', 'hurricane', 'landslide'),
}
_LEFT_OUT = {'not_disaster', 'other_disaster'}
_FILES = {'train': 'MEDIC_train.tsv', 'val': 'MEDIC_dev.tsv', 'test': 'MEDIC_test.tsv'}
_PICTURE = 'image_path'
_TREE = f'{", ".join(_FILES.values())} and the pictures that column `{_PICTURE}` names'


def read_medic(root: Path, split: str) -> AttributeData:
    """Return a split.

    Args:
        root: Folder with the files of the release.
        split: `train`, `val` (the release's `dev`) or `test`.

    Raises:
        DataError: Another split, or a file that is not of the release.
    """
    check_split('medic', split, tuple(_FILES))
    path = root / _FILES[split]
    try:
        with path.open(encoding='utf-8', newline='') as file:
            reader = csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE)
            missing = {_PICTURE, *TASKS} - set(reader.fieldnames or ())
            if missing:
                msg = (
                    f'{path} has no column {min(missing)!r} (it has: '
                    f'{", ".join(reader.fieldnames or ()) or "none"}); take the published file'
                )
                raise DataError(msg)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise wrong_layout(f'{path} cannot be read ({error})', root, _TREE) from None
    kept = [(line, row) for line, row in rows if row['disaster_types'] not in _LEFT_OUT]
    if not kept:
        msg = f'{path} has no picture of a disaster; take the published file'
        raise DataError(msg)
    samples = [_sample(path, root, line, row) for line, row in kept]
    return AttributeData(path, dict(TASKS), samples)


def _sample(path: Path, root: Path, line: int, row: Mapping[str, str | None]) -> AttributeSample:
    values: dict[str, int | None] = {}
    for name, classes in TASKS.items():
        value = row[name] or ''
        if value and value not in classes:
            msg = f'{path}:{line}: {name} is {value!r}; known: {", ".join(classes)}, or empty'
            raise DataError(msg)
        values[name] = classes.index(value) if value else None
    name = row[_PICTURE] or ''
    picture = root / name
    if not picture.resolve().is_relative_to(root.resolve()) or not picture.is_file():
        deviation = (
            f'{path}:{line}: {_PICTURE} is {name!r}, which is no file in {root}: unpack it there'
        )
        raise wrong_layout(deviation, root, _TREE)
    return AttributeSample(values, partial(read_picture, picture))
