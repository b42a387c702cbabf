# SPDX-License-Identifier: Apache-2.0
"""What coding Z_b at a cut does to the answers: one trained network, cut after each of its stages.

The network is MTL-Split's (arXiv 2407.05982), a backbone and one head for each task. Uncoded it is
the same network wherever it is cut. So one training serves all cuts, and what differs between them
is what Z_b takes there, and how well the rest of the network bears that it was coded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mtl_split_core.pictures import decode_picture, encode_picture
from mtl_split_train.data import normalise
from mtl_split_train.mtl_split_family import MtlSplitNetwork
from mtl_split_train.published.channel_coding import ChannelCoding
from mtl_split_train.published.data import AttributeSet
from mtl_split_train.published.score import Score

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Coded:
    """A way of sending, and what the answers are then worth.

    Args:
        coarseness: Bits of a value of Z_b; of a JPEG its quality.
        bytes: Of a frame, mean.
        accuracy: Share of right answers by task, 0 to 1.
        enough: Whether there were values enough to tell the bytes; too few give too little.
    """

    coarseness: int
    bytes: float
    accuracy: dict[str, float]
    enough: bool = True


@dataclass(frozen=True, slots=True)
class CutAnswers:
    """What a cut gave.

    Args:
        shape: C, h, w of Z_b.
        coded: By the number of bits.
    """

    shape: list[int]
    coded: list[Coded]


@dataclass(frozen=True, slots=True)
class Answers:
    """What all cuts of a network gave.

    Args:
        uncoded: Share of right answers by task, 0 to 1, of Z_b as float32: alike at every cut.
        cuts: One for each stage.
        jpeg: The picture itself sent as JPEG, to the whole network.
    """

    uncoded: dict[str, float]
    cuts: list[CutAnswers]
    jpeg: list[Coded]


@torch.no_grad()
def measure_answers(
    network: MtlSplitNetwork, data: AttributeSet, bits: Sequence[int], qualities: Sequence[int]
) -> Answers:
    """Cut a network after each of its stages, code there, and let the rest answer.

    Args:
        network: In evaluation mode.
        data: What is measured on; its tasks are those of the network.
        bits: Of a value of Z_b.
        qualities: Of the JPEG beside it.
    """
    layers = list(network.encoder.layers)
    for module in network.modules():
        if getattr(module, 'inplace', False):
            # the features before it must keep their own values
            module.inplace = False  # type: ignore[assignment]
    device = next(network.parameters()).device
    tasks = list(network.tasks)
    codings = [ChannelCoding(bits) for _ in layers]
    shapes: list[list[int]] = []
    uncoded = Score(tasks)
    for pictures, labels in DataLoader(data, _BATCH):
        found = list(_features(layers, pictures.to(device)))
        shapes = [list(z.shape[1:]) for z in found]
        for coding, z in zip(codings, found, strict=True):
            coding.range_over(z)
        uncoded.add(network.tail(found[-1]), labels)
    scores = [{count: Score(tasks) for count in bits} for _ in layers]
    for pictures, labels in DataLoader(data, _BATCH):
        for place, z in enumerate(_features(layers, pictures.to(device))):
            rest = nn.Sequential(*layers[place + 1 :], network.tail)
            for count, score in scores[place].items():
                score.add(rest(codings[place].code(z, count)), labels)
    cuts = [
        CutAnswers(
            shape,
            [
                Coded(count, coding.bytes_per_frame(count), score.shares(), coding.enough(count))
                for count, score in by_bits.items()
            ],
        )
        for shape, coding, by_bits in zip(shapes, codings, scores, strict=True)
    ]
    return Answers(uncoded.shares(), cuts, [_as_jpeg(network, data, q) for q in qualities])


def _features(layers: Sequence[nn.Module], x: Tensor) -> Iterator[Tensor]:
    for layer in layers:
        x = layer(x)
        yield x


def _as_jpeg(network: MtlSplitNetwork, data: AttributeSet, quality: int) -> Coded:
    height, width = data.size
    device = next(network.parameters()).device
    score, total = Score(list(network.tasks)), 0
    for start in range(0, len(data), _BATCH):
        places = range(start, min(start + _BATCH, len(data)))
        files = [encode_picture(data.picture(place), 'jpeg', quality) for place in places]
        total += sum(map(len, files))
        pictures = [normalise(decode_picture(file, 'jpeg', width, height)) for file in files]
        labels = torch.stack([data[place][1] for place in places])
        score.add(network(torch.stack(pictures).to(device)), labels)
    return Coded(quality, total / len(data), score.shares())
