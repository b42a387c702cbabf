# SPDX-License-Identifier: Apache-2.0
"""BDD100K: det_20 boxes and time of day, with label maps of sem_seg or of the drivable area."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_split_core.errors import DataError
from mtl_split_train.cityscapes import TRAIN_CLASSES, TRAIN_IDS
from mtl_split_train.samples import (
    Classes,
    Dataset,
    IdMap,
    Sample,
    box_arrays,
    check_labels,
    picture_size,
)

DETECTION = (
    'pedestrian', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle',
    'traffic light', 'traffic sign',
)  # fmt: skip
TIME_OF_DAY = ('daytime', 'dawn/dusk', 'night')
DRIVABLE = ('direct', 'alternative', 'background')
#: Categories of det_20 that are not evaluated: the nearest class as a crowd, so that they are
#: neither object nor background.
_NEAREST = {'other person': 'pedestrian', 'other vehicle': 'car', 'trailer': 'truck'}
_DRIVABLE_IDS = {0: 0, 1: 1, 2: 2}


def read_sem_seg(root: Path, split: str) -> Dataset:
    """Read boxes, time of day and the 19 classes of `labels/sem_seg/masks/SPLIT/NAME.png`.

    Its 10,000 pictures (`images/10k/SPLIT`) are other ones in part than the 100,000 with boxes
    (`images/100k/SPLIT`, `labels/det_20/det_SPLIT.json`): most frames have labels of one kind.
    """
    return _read(root, split, 'sem_seg', TRAIN_CLASSES, TRAIN_IDS)


def read_drivable(root: Path, split: str) -> Dataset:
    """Read boxes, time of day and the area of `labels/drivable/masks/SPLIT/NAME.png`."""
    return _read(root, split, 'drivable', DRIVABLE, _DRIVABLE_IDS)


def _read(
    root: Path, split: str, kind: str, segmentation: tuple[str, ...], ids: Mapping[int, int]
) -> Dataset:
    masks = {p.stem: p for p in sorted((root / 'labels' / kind / 'masks' / split).glob('*.png'))}
    annotations = root / 'labels' / 'det_20' / f'det_{split}.json'
    frames = _frames(annotations) if annotations.exists() else {}
    if not frames and not masks:
        msg = (
            f'{annotations} is missing and {root}/labels/{kind}/masks/{split} holds no PNG files; '
            'unpack the labels of BDD100K there'
        )
        raise DataError(msg)
    samples = []
    for name in sorted(frames.keys() | masks.keys()):
        source = annotations if name in frames else masks[name]
        path = _picture(root, split, name, source)
        width, height = picture_size(path)
        found: dict[str, Any] = {}
        if name in frames:
            frame = frames[name]
            rows = _rows(annotations, name, frame.get('labels') or (), width, height)
            time_of_day = (frame.get('attributes') or {}).get('timeofday')
            # 'undefined' is what their annotators could not tell.
            attribute = time_of_day if time_of_day in TIME_OF_DAY else None
            found = {**box_arrays(rows), 'attribute': attribute}
        label = IdMap(masks[name], ids) if name in masks else None
        samples.append(Sample(name, path, width, height, label, **found))
    classes = Classes(
        DETECTION if frames else (),
        segmentation if masks else (),
        'time_of_day' if frames else '',
        TIME_OF_DAY if frames else (),
    )
    return check_labels(Dataset(root / 'images' / '100k' / split, samples, classes))


def _frames(path: Path) -> dict[str, Mapping[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        frames = {Path(frame['name']).stem: frame for frame in content}
    except (OSError, ValueError) as error:
        msg = f'{path} cannot be read as JSON ({error}); unpack it again'
        raise DataError(msg) from None
    except (KeyError, TypeError):
        msg = f'{path} must be a list of frames with `name` and `labels`, as det_20 has it'
        raise DataError(msg) from None
    if not any(frame.get('labels') for frame in frames.values()):
        msg = f'{path} has no labels in any frame; nothing to find or to measure'
        raise DataError(msg)
    return frames


def _rows(
    path: Path, name: str, labels: Sequence[Mapping[str, Any]], width: int, height: int
) -> list[tuple[float, float, float, float, int, bool]]:
    rows = []
    for number, label in enumerate(labels):
        try:
            category = str(label['category'])
            box = label['box2d']
            x1, y1, x2, y2 = (float(box[key]) for key in ('x1', 'y1', 'x2', 'y2'))
        except (KeyError, TypeError, ValueError):
            msg = f'{path}: labels[{number}] of {name} needs category and box2d with x1, y1, x2, y2'
            raise DataError(msg) from None
        known = _NEAREST.get(category, category)
        if known not in DETECTION:
            msg = f'{path}: labels[{number}] of {name} is {category!r}; known: {DETECTION}'
            raise DataError(msg)
        x1, y1, x2, y2 = max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2)
        if x2 > x1 and y2 > y1:
            crowd = bool((label.get('attributes') or {}).get('crowd')) or category in _NEAREST
            rows.append((x1, y1, x2, y2, DETECTION.index(known), crowd))
    return rows


def _picture(root: Path, split: str, name: str, source: Path) -> Path:
    for folder in ('100k', '10k'):
        path = root / 'images' / folder / split / f'{name}.jpg'
        if path.is_file():
            return path
    msg = (
        f'{root}/images/100k/{split}/{name}.jpg is missing (and not in images/10k either); '
        f'{source} labels it: unpack the pictures of BDD100K there'
    )
    raise DataError(msg)
