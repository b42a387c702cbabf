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
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.codecs import make_codecs
from mtl_split_core.context_fit import with_contexts
from mtl_split_core.errors import DataError
from mtl_split_core.tables import CodecTables
from mtl_split_train.backbone import MEAN, STD
from mtl_split_train.config import BundleConfig
from mtl_split_train.data import normalise
from mtl_split_train.export import compare, write_graph
from mtl_split_train.mtl_split_family import MtlSplitNetwork
from mtl_split_train.samples import Classes
from mtl_split_train.tasks import describe_tasks

#: Quantisation steps per standard deviation of a channel, the coarsest rate first.
LEVELS = (0.5, 1.0, 2.0, 4.0)
_VERIFIED = 2
#: Share of pixels or regions that ties may decide in another way, and how many regions are looked
#: at, and what counts as the same one, relative to the largest coordinate.
_TIES, _ROWS, _NEAR = 0.02, 256, 1e-3


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
        quantiser: Symbols per unit of Z_b and the step of a symbol, float32 [rates, C] each, where
            the network learnt them; None where the spread of each channel decides.
        default_rate: Index of the rate that nodes use unless told otherwise.
        batched: Whether the tail takes Z_b of several frames and answers along the first dimension
            of each output; else it takes one and its outputs have no such dimension.
    """

    family: str
    encoder: nn.Module
    tail: nn.Module
    outputs: tuple[str, ...]
    tasks: list[dict[str, Any]]
    size: tuple[int, int]
    notes: Mapping[str, Any]
    quantiser: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    default_rate: int = 0
    batched: bool = False


class ClassificationGraph(nn.Module):
    """Heads as tail.onnx has them: Z_b [N, C, h, w] to probabilities [N, K] of each task."""

    def __init__(self, heads: nn.Module) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, z_b: Tensor) -> tuple[Tensor, ...]:
        """Return what tail.onnx gives."""
        return tuple(logits.softmax(dim=1) for logits in self.heads(z_b))


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
        batched=True,
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
            the halves have a quantiser, that is used.

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
        names = list(halves.outputs)
        write_graph(halves.tail, z, tail, ['z_b'], names, open_batch=halves.batched)
        loaded = load_network(encoder)
        features = np.stack(
            [loaded.run({'image': normalise(p)[None].numpy()})['z_b'][0] for p in pictures]
        )
        tables = count_symbols(features, *(halves.quantiser or spread_quantiser(features, levels)))
        manifest = _describe(halves, bundle, features.shape[1:], len(pictures))
        staged = write_bundle(Path(folder) / 'bundle', manifest, encoder, tail, tables)
        _verify(staged, halves, pictures[:_VERIFIED])
        return write_bundle(out, manifest, encoder, tail, tables)


def spread_quantiser(
    features: NDArray[np.float32], levels: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return gains and steps that follow the standard deviation of each channel.

    Args:
        features: Z_b of the training frames, [F, C, h, w].
        levels: Symbols per standard deviation, one for each rate.

    Returns:
        Gain and step, [rates, C] each; a channel that never changes costs nothing.
    """
    spread = features.std(axis=(0, 2, 3), dtype=np.float64)
    # A channel without spread needs a step of any size; this one keeps its symbols few.
    unit = np.maximum(spread, max(1e-3 * float(spread.max()), 1e-6))
    gain = (np.array(levels)[:, None] / unit[None]).astype(np.float32)
    return gain, (1 / gain).astype(np.float32)


def count_symbols(
    features: NDArray[np.float32], gain: NDArray[np.float32], step: NDArray[np.float32]
) -> CodecTables:
    """Quantise features [F, C, h, w] with gains and steps [rates, C] and count the symbols."""
    symbols = [np.rint(features * row[None, :, None, None]).astype(np.int32) for row in gain]
    return with_contexts(CodecTables.from_symbols(gain, step, symbols), symbols)


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
        'default_rate': halves.default_rate,
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
            answers = {n: v.numpy() for n, v in zip(halves.outputs, outputs, strict=True)}
            _compare_answers(found, answers, f'{where} at rate {rate}')


def _compare_answers(
    found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]], where: str
) -> None:
    """Refuse answers of ONNX Runtime that the order of float32 additions does not explain.

    That order decides ties: a few pixels at the seams of a label map, and among the regions of a
    detector a few that are chosen or suppressed and where they stand in the list.
    """
    for name, value in expected.items():
        if name == 'mask':
            _limit(name, where, float((found[name] != value).mean()))
        elif name == 'boxes':
            rows, wanted = (
                np.hstack([a['boxes'] / max(1.0, float(np.abs(value).max())), a['scores']])
                for a in (found, expected)
            )
            sample = wanted[:: max(1, len(wanted) // _ROWS)]
            nearest = np.abs(rows[None] - sample[:, None]).max(axis=2).min(axis=1)
            _limit(name, where, float((nearest > _NEAR).mean()))
        elif name != 'scores':
            compare(name, found[name], value, where, max(1.0, float(np.abs(value).max())))


def _limit(name: str, where: str, share: float) -> None:
    if share > _TIES:
        msg = f'{name} of {where}: {share:.2%} differ between ONNX and torch, over {_TIES:.0%}'
        raise DataError(msg)
