# SPDX-License-Identifier: Apache-2.0
"""FACES (Ebner, Riediger, Lindenberger, 2010): portraits with the labels in their file names.

    ROOT/train/004_o_m_a_a.jpg    person, age, gender, expression, and which of two pictures
    ROOT/val/...

The folders are those of the MTL-Split paper's published code (data/faces.py); FACES itself comes as
one folder without a split. 2,052 pictures of 171 persons: 1,642 to train, 410 to test.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from mtl_split_train.attributes.data import (
    AttributeData,
    AttributeSample,
    check_split,
    read_picture,
    wrong_layout,
)

_LETTERS: Mapping[str, Mapping[str, str]] = {
    'age': {'y': 'young', 'm': 'middle', 'o': 'old'},
    'gender': {'f': 'female', 'm': 'male'},
    'expression': {
        'a': 'anger', 'd': 'disgust', 'f': 'fear', 'h': 'happiness', 'n': 'neutral', 's': 'sadness',
    },
}  # fmt: skip
TASKS = {name: tuple(letters.values()) for name, letters in _LETTERS.items()}
_NAME = re.compile(r'(\d{3})_([ymo])_([fm])_([adfhns])_([ab])\.jpe?g', re.IGNORECASE)
_SPLITS = ('train', 'val', 'test')
_TREE = (
    'train/004_o_m_a_a.jpg, val/... and test/... (person, age y m o, gender f m, expression '
    'a d f h n s, picture a b)'
)


def read_faces(root: Path, split: str) -> AttributeData:
    """Return a split.

    Args:
        root: Folder with a folder for each split.
        split: `train`, `val` or `test`.

    Raises:
        DataError: Another split, no pictures, or a picture whose name has no labels.
    """
    check_split('faces', split, _SPLITS)
    folder = root / split
    paths = sorted(path for path in folder.glob('*') if not path.name.startswith('.'))
    if not paths:
        raise wrong_layout(f'{folder} has no pictures', root, _TREE)
    return AttributeData(folder, dict(TASKS), [_sample(path, root) for path in paths])


def _sample(path: Path, root: Path) -> AttributeSample:
    match = _NAME.fullmatch(path.name)
    if not match:
        raise wrong_layout(
            f'{path} is not named as FACES names its pictures: name or remove it', root, _TREE
        )
    values: dict[str, int | None] = {
        name: list(letters).index(letter)
        for (name, letters), letter in zip(
            _LETTERS.items(), match.group(0).lower().split('_')[1:4], strict=True
        )
    }
    return AttributeSample(values, partial(read_picture, path))
