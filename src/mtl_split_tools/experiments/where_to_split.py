# SPDX-License-Identifier: Apache-2.0
"""Where to cut a backbone: what each cut costs the edge, and what it leaves to send."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import load_bundle
from mtl_split_core.errors import DataError
from mtl_split_core.geometry import Letterbox
from mtl_split_core.pictures import encode_picture
from mtl_split_tools.console import figure, kilobytes
from mtl_split_tools.experiments.claims import MTL_SPLIT, Claim, judge
from mtl_split_tools.experiments.frame import Cell, Result, Size, Table
from mtl_split_tools.experiments.where_to_split_coding import ENOUGH, ChannelEntropy
from mtl_split_tools.experiments.where_to_split_plot import draw_backbones, first_below
from mtl_split_tools.frames import labelled_frames
from mtl_split_train.cuts import Cut, Cuts, export_cuts, network_input
from mtl_split_train.dataset import read_dataset

NOTES = (
    'Random weights: coded bytes depend on them; shapes, raw bytes and work do not.',
    'No accuracy: each cut would need a training of its own, and none was made here.',
    'Coded bytes: entropy of Z_b in 8 bits, each channel between its least and largest value, '
    'under its own histogram over all frames; without the tables themselves. Few values give too '
    f'little entropy: marked > where a channel has fewer than {ENOUGH} over all frames.',
    'Edge ms: processor time of the network up to the cut alone, ONNX Runtime, one thread, median.',
)
JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured.

    Args:
        backbones: Names.
        frames: At most so many, spread over the data.
        timed: Runs by which the time of a cut is taken.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
    """

    backbones: tuple[str, ...]
    frames: int
    timed: int
    width: int = 480
    height: int = 368


_ALL = ('mobilenet_v3_small', 'mobilenet_v3_large', 'resnet18', 'efficientnet_b0', 'vgg16')
EXTENTS = {
    Size.SMOKE: Extent(('mobilenet_v3_small', 'resnet18'), 2, 1, 96, 64),
    Size.SMALL: Extent(_ALL, 16, 5),
    Size.FULL: Extent(_ALL, 1000, 15),
}


class Experiment:
    """One cell for each backbone.

    Args:
        size: How much to measure.
        seed: Of the random weights.
        data: Folder of the frames; the shipped clip if None.
    """

    partial = True

    def __init__(self, size: Size, seed: int, data: str | None) -> None:
        self.extent = EXTENTS[size]
        self._seed = seed
        self._data = data
        self._frames: list[NDArray[np.uint8]] | None = None
        where = data or 'the shipped clip'
        extent = self.extent
        frames = f'at most {extent.frames} frames of {where} at {extent.width}x{extent.height}.'
        self.notes: Sequence[str] = (*NOTES, f'Size {size}: {frames}')

    def cells(self) -> Sequence[Cell]:
        """Return one cell for each backbone."""
        extent = asdict(self.extent)
        del extent['backbones']
        settings = {**extent, 'seed': self._seed, 'data': self._data, 'weights': None}
        return [Cell(name, {'backbone': name, **settings}) for name in self.extent.backbones]

    def measure(self, cell: Cell, folder: Path) -> Result:  # noqa: ARG002
        """Measure all cuts of a backbone."""
        if self._frames is None:
            self._frames = read_frames(self._data, self.extent)
        size = self.extent.height, self.extent.width
        jpeg = [len(encode_picture(frame, 'jpeg', JPEG_QUALITY)) for frame in self._frames]
        with tempfile.TemporaryDirectory() as scratch:
            name = str(cell.settings['backbone'])
            found = export_cuts(name, None, self._seed, size, Path(scratch))
            inputs = [network_input(frame) for frame in self._frames]
            return {
                'frames': len(inputs),
                'picture_bytes': int(self._frames[0].nbytes),
                'jpeg_bytes': float(np.mean(jpeg)),
                'cuts': measure_cuts(found, inputs, self.extent.timed),
            }

    def table(self, results: Mapping[str, Result]) -> Table:
        """Return a row for each cut."""
        columns = (
            *('backbone', 'stage', 'ends with', 'Z_b', 'raw float32', 'coded', 'bits a value'),
            *('edge ms', 'weights'),
        )
        rows = [
            (
                backbone,
                str(cut['stage']),
                cut['layer'],
                'x'.join(map(str, cut['shape'])),
                kilobytes(cut['raw_bytes']),
                ('' if cut['enough_values'] else '> ') + kilobytes(cut['coded_bytes']),
                figure(8 * cut['coded_bytes'] * 4 / cut['raw_bytes'], 2),
                figure(cut['edge_ms'], 1),
                f'{cut["parameters"] * 4 / 1e6:.2f} MB',
            )
            for backbone, result in results.items()
            for cut in result['cuts']
        ]
        return Table(columns, rows)

    def findings(self, results: Mapping[str, Result]) -> Sequence[str]:
        """Return what the last cut of each backbone, where MTL-Split cuts, sends beside others."""
        return [_end_beside_least(name, result) for name, result in results.items()]

    def claims(self, results: Mapping[str, Result]) -> Sequence[Claim]:
        """Return what the figures say to the place where MTL-Split cuts."""
        return _judge_place(results)

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:
        """Return the picture."""
        return {'where-to-split': draw_backbones(results, JPEG_QUALITY)}


def _judge_place(results: Mapping[str, Result]) -> list[Claim]:
    times = {}
    for name, result in results.items():
        sizes = [float(cut['coded_bytes']) for cut in result['cuts'] if cut['enough_values']]
        if sizes:
            times[name] = sizes[-1] / min(sizes)
    if not times:
        return []
    ours = 'Z_b there is ' + ', '.join(f'{t:.1f} ({name})' for name, t in times.items())
    return [
        Claim(
            MTL_SPLIT,
            'the place to cut is behind the last feature',
            'no other place is tried',
            f'{ours} times what the smallest cut of the backbone sends; coded in 8 bits, random '
            'weights, accuracy not measured',
            judge(sum(t == 1 for t in times.values()), len(times)),
            'some last stages widen Z_b for a classifier, which the server could do as well',
        )
    ]


def _end_beside_least(name: str, result: Result) -> str:
    cuts = [cut for cut in result['cuts'] if cut['enough_values']]
    if not cuts:
        return f'{name}: too few values for any figure.'
    end, least = cuts[-1], min(cuts, key=lambda cut: float(cut['coded_bytes']))
    text = f'{name}: after its last stage, where MTL-Split cuts, {_coded(end)}'
    if least is not end:
        text += f'; least after stage {least["stage"]}, {_coded(least)}'
    below = first_below(result)
    first = f'first below it: stage {below["stage"]}, {_coded(below)}' if below else 'none below it'
    return f'{text}; JPEG {JPEG_QUALITY}: {kilobytes(result["jpeg_bytes"])}, {first}.'


def _coded(cut: Result) -> str:
    return f'{kilobytes(cut["coded_bytes"])} at {figure(cut["edge_ms"], 1)} ms'


def read_frames(data: str | None, extent: Extent) -> list[NDArray[np.uint8]]:
    """Return frames at the size of the network's input, spread over the data.

    Args:
        data: Data folder; the shipped clip if None.
        extent: Size and number.

    Raises:
        DataError: There are none.
    """
    if data is not None:
        pictures = [sample.image for sample in read_dataset(Path(data)).images]
        step = max(1, len(pictures) // extent.frames)
        found = [load() for load in pictures[::step][: extent.frames]]
    else:
        dataset, stream = labelled_frames(None, load_bundle('camvid'))
        step = max(1, len(dataset.images) // extent.frames)
        found = list(islice(stream, 0, step * extent.frames, step))
    if not found:
        msg = f'{data or "the shipped clip"} holds no frames'
        raise DataError(msg)
    size = extent.width, extent.height
    return [Letterbox.fit(frame.shape[1], frame.shape[0], *size).apply(frame) for frame in found]


def measure_cuts(
    found: Cuts, inputs: Sequence[NDArray[np.float32]], timed: int
) -> list[dict[str, Any]]:
    """Return the figures of each cut.

    Args:
        found: The cuts.
        inputs: Frames, float32 [1, 3, H, W].
        timed: Runs by which the time is taken.
    """
    whole = load_network(found.whole)
    first = whole.run({'image': inputs[0]})
    entropy = {name: ChannelEntropy(z.shape[1]) for name, z in first.items()}
    for count in (False, True):  # the ranges have to be known before anything is counted
        for frame in inputs:
            for name, z in whole.run({'image': frame}).items():
                (entropy[name].count if count else entropy[name].range_over)(z[0])
    figures = []
    for cut in found.cuts:
        shape = [int(size) for size in first[cut.output].shape[1:]]
        figures.append(
            {
                'stage': cut.stage,
                'layer': cut.layer,
                'parameters': cut.parameters,
                'shape': shape,
                'raw_bytes': int(np.prod(shape)) * 4,
                'coded_bytes': entropy[cut.output].bytes_per_frame(),
                'enough_values': shape[1] * shape[2] * len(inputs) >= ENOUGH,
                'edge_ms': edge_ms(cut, inputs, timed),
            }
        )
    return figures


def edge_ms(cut: Cut, inputs: Sequence[NDArray[np.float32]], timed: int) -> float:
    """Return the median processor time of a cut on one thread, ms.

    Args:
        cut: The cut.
        inputs: Frames, float32 [1, 3, H, W].
        timed: How often to run it.
    """
    network = load_network(cut.path, options=BackendOptions(threads=1))
    network.run({'image': inputs[0]})  # the first run is no measure
    times = []
    for frame in islice(cycle(inputs), timed):
        # With one thread the network runs on the caller's, and what else runs here hardly counts.
        start = time.thread_time()
        network.run({'image': frame})
        times.append((time.thread_time() - start) * 1e3)
    return float(np.median(times))
