# SPDX-License-Identifier: Apache-2.0
"""Every cut of a torchvision backbone as an encoder of its own, for measuring where to split."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mtl_split_train.backbone import stages
from mtl_split_train.data import normalise
from mtl_split_train.export import write_graph


@dataclass(frozen=True, slots=True)
class Cut:
    """The network up to a stage.

    Args:
        stage: How many stages of the backbone it has.
        layer: Kind of its last stage, as torch calls it.
        parameters: Weights that it holds.
        output: Name of its features in the graphs.
        path: ONNX graph from `image` to these features.
    """

    stage: int
    layer: str
    parameters: int
    output: str
    path: Path


@dataclass(frozen=True, slots=True)
class Cuts:
    """All cuts of a backbone.

    Args:
        whole: ONNX graph from `image` to the features of every cut.
        cuts: The cuts, the shortest first.
    """

    whole: Path
    cuts: tuple[Cut, ...]


class Taps(nn.Module):
    """A backbone that gives the features after each stage.

    Args:
        layers: Its stages.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features after each stage."""
        found: list[Tensor] = []
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found


def tapped(name: str, weights: str | None, seed: int) -> Taps:
    """Return a backbone that gives the features after each stage.

    Args:
        name: Name of the backbone.
        weights: torchvision's published weights, or None for random ones.
        seed: Of the random ones.

    Raises:
        DataError: Unknown backbone, or weights that cannot be had.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        taps = Taps(stages(name, weights))
    for module in taps.modules():
        if getattr(module, 'inplace', False):
            # the features before it must keep their own values
            module.inplace = False  # type: ignore[assignment]
    return taps.eval()


def export_cuts(
    name: str, weights: str | None, seed: int, size: tuple[int, int], out: Path
) -> Cuts:
    """Write one graph for each stage of a backbone, and one of all.

    Args:
        name: Name of the backbone.
        weights: torchvision's published weights, or None for random ones.
        seed: Of the random ones.
        size: Height and width of the picture.
        out: Folder of the graphs.

    Returns:
        The cuts.

    Raises:
        DataError: Unknown backbone, or weights that cannot be had.
    """
    taps = tapped(name, weights, seed)
    names = [f'z_{stage}' for stage in range(1, len(taps.layers) + 1)]
    whole = out / f'{name}.onnx'
    write_graph(taps, torch.zeros(1, 3, *size), whole, ['image'], names)
    found, parameters = [], 0
    for stage, (layer, output) in enumerate(zip(taps.layers, names, strict=True), start=1):
        parameters += sum(weight.numel() for weight in layer.parameters())
        path = out / f'{name}-{stage}.onnx'
        onnx.utils.extract_model(str(whole), str(path), ['image'], [output])
        found.append(Cut(stage, type(layer).__name__, parameters, output, path))
    return Cuts(whole, tuple(found))


def network_input(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the graphs take: float32 [1, 3, H, W].

    Args:
        picture: RGB, uint8 [H, W, 3].
    """
    x: NDArray[np.float32] = normalise(picture)[None].numpy()
    return x
