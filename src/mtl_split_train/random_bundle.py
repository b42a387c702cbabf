# SPDX-License-Identifier: Apache-2.0
"""Bundles of published backbones with random weights: enough to measure memory, bytes and work."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_train.config import BundleConfig
from mtl_split_train.family_export import export_halves, mtl_split_halves
from mtl_split_train.mtl_split_family import MtlSplitNetwork


def random_bundle(
    backbone: str,
    heads: Sequence[int],
    pictures: Sequence[NDArray[np.uint8]],
    seed: int,
    directory: Path,
) -> Bundle:
    """Write the bundle of an untrained network of arXiv 2407.05982, with one rate.

    Args:
        backbone: One of ``mtl_split_family.PUBLISHED_BACKBONES``.
        heads: Number of classes of each task.
        pictures: RGB uint8 [H, W, 3] of the size of the network input; its tables are theirs.
        seed: Of the weights.
        directory: Where to write it; must not exist.

    Raises:
        DataError: Something of these does not fit.
    """
    torch.manual_seed(seed)
    tasks = {f'task_{n}': tuple(map(str, range(count))) for n, count in enumerate(heads)}
    height, width = pictures[0].shape[:2]
    network = MtlSplitNetwork(backbone, tasks, (height, width))
    about = BundleConfig(backbone.replace('_', '-'), '0.0.0', 'Random weights.', 'Apache-2.0')
    halves = mtl_split_halves(network, {'weights': 'random'})
    return export_halves(halves, about, pictures, directory, levels=(1.0,))
