# SPDX-License-Identifier: Apache-2.0
"""Labelled pictures to measure on: a data folder, or the clip that ships."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import DataError
from mtl_split_train.dataset import Dataset, read_dataset


def labelled_frames(
    data: Path | None, bundle: Bundle
) -> tuple[Dataset, Iterator[NDArray[np.uint8]]]:
    """Return the truth and the pictures, read one at a time.

    Args:
        data: Folder with images/, labels/ and annotations.json; the shipped clip if None.
        bundle: Must have the classes of the labels.

    Raises:
        DataError: The labels are missing or do not fit.
    """
    if data is not None:
        dataset = read_dataset(data)
        return dataset, (sample.image() for sample in dataset.images)
    # The clip is a recording, and reading it needs ROS; a data folder does not.
    from mtl_split_tools.demo.clip import read_clip, shipped_clip  # noqa: PLC0415

    clip = read_clip(shipped_clip(), None, None, bundle)
    if clip.labels is None:
        msg = f'{clip.path} has no labels beside it; give --data DIR'
        raise DataError(msg)
    return clip.labels, (picture for _, picture in clip.pictures())
