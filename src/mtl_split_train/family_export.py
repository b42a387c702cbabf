# SPDX-License-Identifier: Apache-2.0
"""A network of a published family becomes a bundle that the nodes run like any other.

What the papers leave to others, this project's codec does: integer tables counted on training
frames, several rates, every one verified through real bytes.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, write_bundle
from mtl_split_core.codecs import CodecId, make_codecs
from mtl_split_core.errors import DataError
from mtl_split_core.tables import CodecTables
from mtl_split_train.config import BundleConfig
from mtl_split_train.data import MEAN, STD, normalise
from mtl_split_train.export import compare, write_graph
from mtl_split_train.ladon.network import LadonNetwork
from mtl_split_train.mtl_split_family import MtlSplitNetwork
from mtl_split_train.samples import Classes
from mtl_split_train.tasks import describe_tasks

#: Quantisation steps per standard deviation of a channel, the coarsest rate first.
LEVELS = (0.5, 1.0, 2.0, 4.0)
_VERIFIED = 2


@dataclass(frozen=True, slots=True)
class Halves:
    """The two halves of a network, as their ONNX graphs have them.

    Args:
        family: Name of the family.
        encoder: Normalised picture [1, 3, H, W] to Z_b [1, C, h, w].
        tail: Z_b to a tuple of outputs in the order of ``outputs``.
        outputs: Names of the tail's outputs.
        tasks: The ``tasks`` list of bundle.yaml.
        size: Height and width of the network input, pixel.
        notes: Free notes of the training, for people.
        gain: Symbols per unit of Z_b of each rate, where the network learnt it; None where the
            spread of each channel decides.
    """

    family: str
    encoder: nn.Module
    tail: nn.Module
    outputs: tuple[str, ...]
    tasks: list[dict[str, Any]]
    size: tuple[int, int]
    notes: Mapping[str, Any]
    gain: tuple[float, ...] | None = None


class ClassificationGraph(nn.Module):
    """Heads as tail.onnx has them: Z_b [1, C, h, w] to probabilities [K] of each task."""

    def __init__(self, heads: nn.Module) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, z_b: Tensor) -> tuple[Tensor, ...]:
        """Return what tail.onnx gives for one frame."""
        return tuple(logits[0].softmax(dim=0) for logits in self.heads(z_b))


def mtl_split_halves(network: MtlSplitNetwork, notes: Mapping[str, Any]) -> Halves:
    """Return the halves of a network of arXiv 2407.05982."""
    tasks = [
        task
        for name, classes in network.tasks.items()
        for task in describe_tasks(Classes(values=classes, attribute=name))
    ]
    return Halves(
        'mtl_split',
        network.encoder,
        ClassificationGraph(network.tail),
        tuple(network.tasks),
        tasks,
        network.size,
        {'paper': 'arXiv 2407.05982', **notes},
    )


def ladon_halves(network: LadonNetwork, notes: Mapping[str, Any]) -> Halves:
    """Return the halves of a network of arXiv 2501.01420, one rate: z was trained for rounding."""
    return Halves(
        'ladon',
        network.encoder,
        ClassificationGraph(network.body),
        (network.attribute,),
        describe_tasks(Classes(values=network.classes, attribute=network.attribute)),
        network.size,
        {'paper': 'arXiv 2501.01420', **notes},
        gain=(1.0,),
    )


def export_halves(
    halves: Halves,
    bundle: BundleConfig,
    pictures: Sequence[NDArray[np.uint8]],
    out: Path,
    levels: Sequence[float] = LEVELS,
) -> Bundle:
    """Write the bundle of a trained network and check every rate.

    Args:
        halves: The network, on the CPU.
        bundle: What the bundle says of itself.
        pictures: Training frames that the tables are counted on, RGB uint8 [H, W, 3] of the size
            of the network input.
        out: Folder of the bundle; must not exist.
        levels: Quantisation steps per standard deviation of a channel, one for each rate; where
            the halves have a gain, that is used.

    Raises:
        DataError: ``out`` exists, there is no picture or one of another size, the levels do not
            rise, or the exported graphs do not agree with the network.
    """
    if out.exists():
        msg = f'{out} exists; remove it or choose another --out'
        raise DataError(msg)
    if not pictures or any(p.shape != (*halves.size, 3) for p in pictures):
        shapes = sorted({p.shape for p in pictures})
        msg = f'pictures have the shapes {shapes}; at least one, all {(*halves.size, 3)}'
        raise DataError(msg)
    if not levels or levels[0] <= 0 or sorted(set(levels)) != list(levels):
        msg = f'levels are {list(levels)}; list positive numbers, smallest first'
        raise DataError(msg)
    halves.encoder.eval()
    halves.tail.eval()
    with tempfile.TemporaryDirectory() as folder:
        encoder, tail = Path(folder) / 'encoder.onnx', Path(folder) / 'tail.onnx'
        image = torch.zeros(1, 3, *halves.size)
        with torch.no_grad():
            z = halves.encoder(image)
        write_graph(halves.encoder, image, encoder, ['image'], ['z_b'])
        write_graph(halves.tail, z, tail, ['z_b'], list(halves.outputs))
        loaded = load_network(encoder)
        features = np.stack(
            [loaded.run({'image': normalise(p)[None].numpy()})['z_b'][0] for p in pictures]
        )
        tables = count_symbols(features, halves.gain or levels, by_spread=not halves.gain)
        manifest = _describe(halves, bundle, features.shape[1:], len(pictures))
        staged = write_bundle(Path(folder) / 'bundle', manifest, encoder, tail, tables)
        _verify(staged, halves, pictures[:_VERIFIED])
        return write_bundle(out, manifest, encoder, tail, tables)


def count_symbols(
    features: NDArray[np.float32], levels: Sequence[float], *, by_spread: bool
) -> CodecTables:
    """Quantise features and count the symbols.

    Args:
        features: Z_b of the training frames, [F, C, h, w].
        levels: Symbols per unit, one for each rate.
        by_spread: Whether the unit is the standard deviation of the channel instead of 1.

    Returns:
        The tables; a channel that never changes costs nothing.
    """
    unit = np.ones(features.shape[1])
    if by_spread:
        spread = features.std(axis=(0, 2, 3), dtype=np.float64)
        # A channel without spread needs a step of any size; this one keeps its symbols few.
        unit = np.maximum(spread, max(1e-3 * float(spread.max()), 1e-6))
    gain = (np.array(levels)[:, None] / unit[None]).astype(np.float32)
    symbols = [np.rint(features * row[None, :, None, None]).astype(np.int32) for row in gain]
    return CodecTables.from_symbols(gain, (1 / gain).astype(np.float32), symbols)


def _describe(
    halves: Halves, bundle: BundleConfig, shape: tuple[int, ...], frames: int
) -> dict[str, Any]:
    return {
        'name': bundle.name,
        'version': bundle.version,
        'family': halves.family,
        'description': bundle.description,
        'licence': bundle.licence,
        'input': {
            'width': halves.size[1],
            'height': halves.size[0],
            'mean': list(MEAN),
            'std': list(STD),
        },
        'feature': dict(zip(('channels', 'height', 'width'), map(int, shape), strict=True)),
        'default_rate': 0,
        'tasks': halves.tasks,
        'training': {**halves.notes, 'frames': frames},
    }


def _verify(bundle: Bundle, halves: Halves, pictures: Sequence[NDArray[np.uint8]]) -> None:
    """Compare a bundle with the network in torch, every rate through real bytes."""
    encoder, tail = load_network(bundle.encoder_path), load_network(bundle.tail_path)
    codec = make_codecs(bundle)[CodecId.ENTROPY]
    for index, picture in enumerate(pictures):
        x = normalise(picture)[None]
        where = f'picture {index}'
        z = encoder.run({'image': x.numpy()})['z_b'][0]
        with torch.no_grad():
            expected = halves.encoder(x)[0].numpy()
        compare('z_b', z, expected, where, max(1.0, float(np.abs(expected).max())))
        for rate in range(len(bundle.rates)):
            received = codec.decode(codec.encode(z, rate), rate, bundle.feature_shape)
            with torch.no_grad():
                outputs = halves.tail(torch.from_numpy(received)[None])
            found = tail.run({'z_b': received[None]})
            for name, value in zip(halves.outputs, outputs, strict=True):
                scale = max(1.0, float(value.abs().max()))
                compare(name, found[name], value.numpy(), where, scale)
