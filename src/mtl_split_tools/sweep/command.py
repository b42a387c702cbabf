# SPDX-License-Identifier: Apache-2.0
"""What `mtl-split eval --sweep` does, and `mtl-split bench-codec` with it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.codecs import dequantise, quantise
from mtl_split_core.errors import DataError
from mtl_split_core.pictures import encode_picture
from mtl_split_tools.console import kilobytes, progress_bar
from mtl_split_tools.evaluation import Stages, evaluate
from mtl_split_tools.files import write_bytes, write_json
from mtl_split_tools.sweep.overlays import nearest_rates, side_by_side
from mtl_split_tools.sweep.plot import draw_accuracy, draw_features
from mtl_split_tools.sweep.result import Sweep, sweep_ways
from mtl_split_tools.sweep.symbols import sent_bits
from mtl_split_train.dataset import Dataset

CHANNELS = 8
"""Channels in the picture of Z_b."""

_QUALITY = 75


def sweep(
    bundle: Bundle,
    stages: Stages,
    dataset: Dataset,
    pictures: Iterable[NDArray[np.uint8]],
    codecs: Sequence[CodecId] = (),
) -> Sweep:
    """Send all pictures all ways in one pass, with a progress bar.

    Args:
        bundle: The bundle.
        stages: Its halves.
        dataset: The truth of the pictures.
        pictures: RGB, uint8 [H, W, 3], in the order of the dataset.
        codecs: Codecs of Z_b to run besides.

    Returns:
        The figures.

    Raises:
        DataError: There is no picture, or the data does not fit the bundle.
    """
    if not dataset.images:
        msg = f'{dataset.path} has no pictures to measure on'
        raise DataError(msg)
    ways = sweep_ways(bundle, stages, codecs)
    with progress_bar() as progress:
        task = progress.add_task(f'{len(ways)} ways', total=len(ways) * len(dataset.images))
        done = evaluate(dataset, bundle, ways, pictures, lambda: progress.advance(task))
    return Sweep(bundle, dataset.path.name, len(dataset.images), done)


def write_figures(directory: Path, found: Sweep) -> None:
    """Write sweep.json, sweep.csv and accuracy.png."""
    write_json(directory / 'sweep.json', found.document())
    write_bytes(directory / 'sweep.csv', found.csv().encode())
    write_bytes(directory / 'accuracy.png', draw_accuracy(found))


def write_pictures(
    directory: Path,
    found: Sweep,
    stages: Stages,
    dataset: Dataset,
    image: NDArray[np.uint8],
    number: int,
) -> None:
    """Write overlays.jpg and z_b.png of one picture.

    Args:
        directory: Where to.
        found: Says how many bytes each rate takes.
        stages: The halves of the bundle.
        dataset: The truth of all pictures.
        image: The picture, RGB uint8 [H, W, 3].
        number: Which of the dataset it is.
    """
    bundle = found.bundle
    sizes = [float(found.done[f'split:{k}'].sizes.mean()) for k in range(len(bundle.rates))]
    rates = nearest_rates(bundle, sizes)
    sample = dataset.images[number]
    drawn = side_by_side(bundle, stages, dataset, sample, image, rates)
    write_bytes(directory / 'overlays.jpg', encode_picture(drawn, 'jpeg', _QUALITY))
    z, _ = stages.encode.features(image)
    after = []
    for rate in sorted({rates[0], bundle.default_rate}, reverse=True):
        symbols = quantise(z, bundle.tables, rate)
        size = kilobytes(float(sent_bits(symbols[None], bundle.tables, rate).sum()) / 8)
        after.append((f'after coding,\n{size}', dequantise(symbols, bundle.tables, rate)))
    symbols = quantise(z, bundle.tables, bundle.default_rate)
    cost = sent_bits(symbols[None], bundle.tables, bundle.default_rate).sum(0)
    channels = np.argsort(-cost)[:CHANNELS].tolist()
    write_bytes(directory / 'z_b.png', draw_features(image, z, after, channels))
