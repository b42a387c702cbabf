# SPDX-License-Identifier: Apache-2.0
"""Accuracy of what was answered over a link, without sending masks over it.

Results depend on the picture and on the way alone, so the stages of the nodes make them again here,
once for each picture and way, and the files of an earlier run are used again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.codec_ids import PICTURE_FORMATS, CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import DataError
from mtl_split_core.pictures import PICTURE_QUALITY
from mtl_split_core.results import Classification, Detections, FrameResults, Segmentation
from mtl_split_core.tail import TailStage
from mtl_split_tools.evaluation import SCORE_THRESHOLD
from mtl_split_tools.frames import labelled_frames
from mtl_split_tools.link_bench.frames import Frame
from mtl_split_tools.link_bench.plan import LOCAL
from mtl_split_train.metrics import ConfusionMatrix, accuracy, evaluate_detections

_WHOLE = (LOCAL, 'raw', 'float32')
"""Ways that lose nothing."""

Given = tuple[int, str]
"""An answer: picture of the clip, and way."""


class Results:
    """What each way answers to each picture of the clip.

    Args:
        bundle: The bundle.
        pictures: The clip, RGB uint8 [H, W, 3].
        folder: Keeps them from run to run.
        threads: Of the networks.
    """

    def __init__(
        self, bundle: Bundle, pictures: Sequence[NDArray[np.uint8]], folder: Path, threads: int = 2
    ) -> None:
        self._bundle = bundle
        self._pictures = pictures
        self._folder = folder
        options = BackendOptions(threads)
        encoder = load_network(bundle.encoder_path, options=options)
        tail = load_network(bundle.tail_path, options=options)
        self._encode = EncodeStage(bundle, encoder)
        self._tail = TailStage(bundle, tail, encoder=encoder, score_threshold=SCORE_THRESHOLD)
        self._made: dict[str, list[FrameResults]] = {}
        self._learnt: dict[Given, FrameResults] = {}

    def learn(self, answer: Given, results: FrameResults) -> None:
        """Take an answer that depends on more than its picture and way, as that of a video."""
        self._learnt[answer] = results

    def forget(self) -> None:
        """Let go what was learnt: masks of each image of a video are many."""
        self._learnt.clear()

    def see(self, picture: NDArray[np.uint8]) -> FrameResults:
        """Return what the whole network makes of a picture, RGB uint8 [H, W, 3]."""
        return self._tail.run_features(*self._encode.features(picture))

    def answer(self, index: int, way: str) -> FrameResults:
        """Return the answer to one picture."""
        learnt = self._learnt.get((index, way))
        return self.of(way)[index] if learnt is None else learnt

    def of(self, way: str) -> list[FrameResults]:
        """Return the answers of a way to all pictures."""
        if way not in self._made:
            name = f'{self._bundle.fingerprint:016x}-{way.replace(":", "-")}.npz'
            path = self._folder / name
            found = _load(path, len(self._pictures)) if path.exists() else None
            if found is None:
                found = [self._answer(way, picture) for picture in self._pictures]
                _save(path, found)
            self._made[way] = found
        return self._made[way]

    def _answer(self, way: str, picture: NDArray[np.uint8]) -> FrameResults:
        if way in _WHOLE:
            return self.see(picture)
        codec, rate = _codec(way)
        return self._tail.run(self._encode.encode(picture, rate, codec, 0))


class Judge:
    """Compares answers with the labels of the clip.

    Args:
        bundle: The bundle.
        folder: Keeps the answers from run to run.

    Raises:
        DataError: The clip has no labels.
    """

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self._dataset, pictures = labelled_frames(None, bundle)
        self.clip = list(pictures)
        self.bundle = bundle
        self._results = Results(bundle, self.clip, folder)
        self._labels = [sample.label() for sample in self._dataset.images]
        self._counts: dict[tuple[Given | None, int], NDArray[np.int64]] = {}
        detection = bundle.task(TaskType.DETECTION)
        self._box_classes = [info.name for info in detection.classes] if detection else []
        self._attribute = next(
            (t for t in bundle.classifications if t.name == self._dataset.classes.attribute), None
        )

    @property
    def pictures(self) -> int:
        """Number of pictures of the clip."""
        return len(self._labels)

    @property
    def results(self) -> Results:
        """What each way answers."""
        return self._results

    def prepare(self, ways: Iterable[str], on_way: Callable[[], object]) -> None:
        """Make the answers of ways, or read them."""
        for way in ways:
            self._results.of(way)
            on_way()

    def metrics(self, given: Sequence[Given]) -> dict[str, float | None]:
        """Return `miou`, `map50` and `accuracy` of answers, 0 to 1; None without any."""
        if not given:
            return dict.fromkeys(('miou', 'map50', 'accuracy'))
        samples = [self._dataset.images[index] for index, _ in given]
        results = [self._results.answer(index, way) for index, way in given]
        found: dict[str, float | None] = {'map50': None, 'accuracy': None}
        if self._box_classes:
            seen = replace(self._dataset, images=samples)
            boxes = [result.detections for result in results if result.detections is not None]
            found['map50'] = evaluate_detections(seen, boxes, self._box_classes)['map50']
        if self._attribute:
            names = [info.name for info in self._attribute.classes]
            said = [
                names[answer.ranking()[0]]
                for result in results
                for answer in result.classifications
                if answer.task == self._attribute.name
            ]
            found['accuracy'] = accuracy(said, [sample.attribute for sample in samples])
        return {'miou': self._miou((answer, answer[0]) for answer in given), **found}

    def streaming_miou(
        self, frames: Sequence[Frame], deadline_s: float, before: Sequence[Frame] = ()
    ) -> float | None:
        """Return the mIoU of what the consumer has when the time of each image is over.

        That is the image's own answer or, where it is missing, the latest one to an earlier image.

        Args:
            frames: Images to count, in their order.
            deadline_s: Time of an image, seconds.
            before: Images before them.
        """
        return self._miou(kept_answers(frames, deadline_s, before))

    def _miou(self, pairs: Iterable[tuple[Given | None, int]]) -> float | None:
        matrix = ConfusionMatrix(len(self._dataset.classes.segmentation))
        for pair in pairs:
            if pair not in self._counts:
                self._counts[pair] = self._compare(*pair)
            matrix.counts += self._counts[pair]
        value = matrix.miou()
        return value if np.isfinite(value) else None

    def _compare(self, answer: Given | None, index: int) -> NDArray[np.int64]:
        label = self._labels[index]
        mask = np.full_like(label, 255)
        if answer is not None:
            segmentation = self._results.answer(*answer).segmentation
            mask = mask if segmentation is None else segmentation.mask
        matrix = ConfusionMatrix(len(self._dataset.classes.segmentation))
        matrix.update(mask, label)
        return matrix.counts


def kept_answers(
    frames: Sequence[Frame], deadline_s: float, before: Sequence[Frame] = ()
) -> Iterable[tuple[Given | None, int]]:
    """Yield the answer that the consumer has when the time of each image is over, and its picture.

    Args:
        frames: Images in their order.
        deadline_s: Time of an image, seconds.
        before: Images before them.
    """
    behind = [*before, *frames]
    for place, frame in enumerate(frames, len(before)):
        end = frame.at + deadline_s
        # answers come in order, so the first one found backwards is the latest
        kept = (
            (f.index, f.way)
            for f in behind[place::-1]
            if f.delay_s is not None and f.way and f.at + f.delay_s <= end
        )
        yield next(kept, None), frame.index


def _codec(way: str) -> tuple[CodecId, int]:
    kind, _, value = way.partition(':')
    if kind == 'split':
        return CodecId.ENTROPY, int(value)
    if way == 'float16':
        return CodecId.FLOAT16, 0
    for codec, name in PICTURE_FORMATS.items():
        if kind == name and int(value) in PICTURE_QUALITY:
            return codec, PICTURE_QUALITY.index(int(value))
    msg = f'no accuracy for way {way}'
    raise DataError(msg)


def _save(path: Path, results: Sequence[FrameResults]) -> None:
    boxes = [r.detections or _NO_BOXES for r in results]
    masks = [r.segmentation.mask for r in results if r.segmentation is not None]
    tasks = [answer.task for answer in results[0].classifications]
    content = {
        'counts': np.array([len(b) for b in boxes]),
        'boxes': np.concatenate([b.boxes for b in boxes]),
        'scores': np.concatenate([b.scores for b in boxes]),
        'class_ids': np.concatenate([b.class_ids for b in boxes]),
        'masks': np.array(masks, np.uint8),
        'tasks': np.array(tasks, np.str_),
        **{
            f'task{number}': np.array([r.classifications[number].scores for r in results])
            for number in range(len(tasks))
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix('.part.npz')
    np.savez_compressed(scratch, allow_pickle=False, **content)
    scratch.replace(path)


def _load(path: Path, count: int) -> list[FrameResults] | None:
    with np.load(path, allow_pickle=False) as content:
        if len(content['counts']) != count:
            return None
        ends = np.cumsum(content['counts'])[:-1]
        parts = [np.split(content[key], ends) for key in ('boxes', 'scores', 'class_ids')]
        masks = list(content['masks'])
        answers = [
            [Classification(str(task), scores) for scores in content[f'task{number}']]
            for number, task in enumerate(content['tasks'])
        ]
    return [
        FrameResults(
            Detections(*(part[number] for part in parts)),
            Segmentation(masks[number]) if masks else None,
            tuple(answer[number] for answer in answers),
            {},
        )
        for number in range(count)
    ]


_NO_BOXES = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))
