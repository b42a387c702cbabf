# SPDX-License-Identifier: Apache-2.0
"""Where to cut a backbone: what each cut costs the edge, what it sends, what the answers lose."""

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
from mtl_split_tools.experiments.claims import Claim
from mtl_split_tools.experiments.extents import config_path
from mtl_split_tools.experiments.frame import Cell, Result, Size, Table
from mtl_split_tools.experiments.where_to_split_plot import draw_backbones, draw_curves
from mtl_split_tools.experiments.where_to_split_report import describe, judge_place, notes, report
from mtl_split_tools.frames import labelled_frames
from mtl_split_train.config import build_config, read_config
from mtl_split_train.cuts import Cut, Cuts, export_cuts, network_input
from mtl_split_train.dataset import read_dataset
from mtl_split_train.published.cut_answers import Answers, measure_answers
from mtl_split_train.published.cut_training import Budget, Budgets, Training, trained_network

CONFIG = 'where-to-split.yaml'


@dataclass(frozen=True, slots=True)
class Extent:
    """How the time on the edge is taken.

    Args:
        timed: Runs of each cut, each on a frame of its own where there are so many.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
    """

    timed: int
    width: int = 480
    height: int = 368


EXTENTS = {Size.SMOKE: Extent(1, 96, 64), Size.SMALL: Extent(5), Size.FULL: Extent(15)}


class Experiment:
    """One cell for each backbone.

    Args:
        size: How much to train and to measure.
        seed: Of the training and of all that is random.
        data: Folder of the frames that the time is taken on; the shipped clip if None.
    """

    partial = True

    def __init__(self, size: Size, seed: int, data: str | None) -> None:
        self.extent = EXTENTS[size]
        self._seed = seed
        self._data = data
        self._frames: list[NDArray[np.uint8]] | None = None
        path = config_path(CONFIG)
        budgets = build_config(Budgets, read_config(path), str(path))
        self.budget: Budget = getattr(budgets, size)
        self.notes: Sequence[str] = notes(size, self.budget, data or 'the shipped clip')

    def cells(self) -> Sequence[Cell]:
        """Return one cell for each backbone."""
        return [Cell(training.backbone, self._settings(training)) for training in self._trainings]

    def measure(self, cell: Cell, folder: Path) -> Result:
        """Train a backbone, then cut it everywhere."""
        (training,) = [t for t in self._trainings if t.backbone == cell.key]
        budget = self.budget
        network = trained_network(training, budget, self._seed, folder / f'{cell.key}.pt')
        test = budget.read(training, 'test')
        answers = measure_answers(network, test, budget.bits, budget.jpeg)
        if self._frames is None:
            width, height = self.extent.width, self.extent.height
            self._frames = read_frames(self._data, self.extent.timed, (width, height))
        size = self.extent.height, self.extent.width
        with tempfile.TemporaryDirectory() as scratch:
            found = export_cuts(cell.key, None, self._seed, size, Path(scratch))
            inputs = [network_input(frame) for frame in self._frames]
            times = measure_cuts(found, inputs, self.extent.timed)
        return _result(answers, times, training, test.tasks)

    def table(self, results: Mapping[str, Result]) -> Table:
        """Return a row for each cut, and for each JPEG of the picture."""
        return report(results, self.budget.bits, self.budget.tasks)

    def findings(self, results: Mapping[str, Result]) -> Sequence[str]:
        """Return where to cut each backbone, and what its last cut, MTL-Split's, sends."""
        return [describe(name, result) for name, result in results.items()]

    def claims(self, results: Mapping[str, Result]) -> Sequence[Claim]:
        """Return what the figures say to the place where MTL-Split cuts."""
        return judge_place(results)

    def plots(self, results: Mapping[str, Result]) -> Mapping[str, bytes]:
        """Return where to cut, and accuracy over bytes of each cut."""
        return {
            'where-to-split': draw_backbones(results),
            'where-to-split-curves': draw_curves(results),
        }

    @property
    def _trainings(self) -> list[Training]:
        return self.budget.networks

    def _settings(self, training: Training) -> dict[str, Any]:
        budget = self.budget
        measured = {'test': training.test, 'bits': budget.bits, 'jpeg': budget.jpeg}
        timed = {**asdict(self.extent), 'data': self._data}
        return {**budget.settings(training), **measured, **timed, 'seed': self._seed}


def _result(
    answers: Answers, times: list[Result], training: Training, tasks: Mapping[str, Sequence[str]]
) -> Result:
    found = asdict(answers)
    for cut, coded in zip(times, found.pop('cuts'), strict=True):
        cut |= {'answered_shape': coded['shape'], 'coded': coded['coded']}
    return {
        'side': training.side,
        'picture_bytes': training.side**2 * 3,
        'chance': {name: 1 / len(classes) for name, classes in tasks.items()},
        **found,
        'cuts': times,
    }


def read_frames(data: str | None, count: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Return frames spread over the data, as large as the input of a network.

    Args:
        data: Data folder; the shipped clip if None.
        count: At most so many.
        size: Width and height, pixels.

    Raises:
        DataError: There are none.
    """
    if data is not None:
        pictures = [sample.image for sample in read_dataset(Path(data)).images]
        step = max(1, len(pictures) // count)
        found = [load() for load in pictures[::step][:count]]
    else:
        dataset, stream = labelled_frames(None, load_bundle('camvid'))
        step = max(1, len(dataset.images) // count)
        found = list(islice(stream, 0, step * count, step))
    if not found:
        msg = f'{data or "the shipped clip"} holds no frames'
        raise DataError(msg)
    return [Letterbox.fit(frame.shape[1], frame.shape[0], *size).apply(frame) for frame in found]


def measure_cuts(found: Cuts, inputs: Sequence[NDArray[np.float32]], timed: int) -> list[Result]:
    """Return the shape of each cut and its work on the edge.

    Args:
        found: The cuts.
        inputs: Frames, float32 [1, 3, H, W].
        timed: Runs by which the time is taken.
    """
    features = load_network(found.whole).run({'image': inputs[0]})
    figures = []
    for cut in found.cuts:
        shape = [int(size) for size in features[cut.output].shape[1:]]
        figures.append(
            {
                'stage': cut.stage,
                'layer': cut.layer,
                'parameters': cut.parameters,
                'shape': shape,
                'raw_bytes': int(np.prod(shape)) * 4,
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
