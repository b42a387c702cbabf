# SPDX-License-Identifier: Apache-2.0
"""The parameters that say what of the answers is published; server and edge share them."""

from typing import TYPE_CHECKING

from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.choice import (
    LARGEST_SMOOTHING,
    check_smoothing,
    class_thresholds,
    parse_thresholds,
)
from mtl_split_core.errors import MtlSplitError
from mtl_split_ros.parameters import Parameters, ParameterSpec, Value

if TYPE_CHECKING:
    # launch files import this module, and may have no entropy coder
    from mtl_split_core.tail import TailStage

Settings = tuple[float, tuple[str, ...], tuple[str, ...], int]


def answer_parameters(begin: str = '') -> tuple[ParameterSpec, ...]:
    """Declare the parameters of the answers.

    Args:
        begin: Goes before each text, as in 'For local answers: '.
    """

    def text(words: str) -> str:
        return begin + (words if begin else words[0].upper() + words[1:])

    return (
        ParameterSpec(
            'score_threshold',
            -1.0,
            text('detections below this score are left out; negative takes the threshold of the ')
            + 'bundle.',
            limits=(-1.0, 1.0),
            live=True,
        ),
        ParameterSpec(
            'score_thresholds',
            ('',),
            text('score thresholds of single classes, before `score_threshold`; a list with one ')
            + 'empty string is empty.',
            form='list of CLASS:SCORE, 0 to 1',
            live=True,
        ),
        ParameterSpec(
            'classes',
            ('',),
            text('classes of the detections that are published; a list with one empty string is ')
            + 'empty and means all.',
            form='list of box classes of the bundle',
            live=True,
        ),
        ParameterSpec(
            'mask_smoothing',
            0,
            text('each pixel of the mask gets the most frequent class of a window of so many ')
            + "pixels of the network's input; 0 leaves the mask as it is.",
            limits=(0, LARGEST_SMOOTHING),
            form=f'0, or odd from 3 to {LARGEST_SMOOTHING}',
            live=True,
        ),
        ParameterSpec(
            'class_id',
            'name',
            text('what `class_id` of detections and classification holds.'),
            choices=('name', 'index'),
            live=True,
        ),
    )


class AnswerFilter:
    """Takes the parameters over into a tail stage.

    Args:
        settings: Of the node.
        bundle: In use.

    Raises:
        MtlSplitError: A parameter does not fit the bundle.
    """

    def __init__(self, settings: Parameters, bundle: Bundle) -> None:
        self._settings = settings
        self._bundle = bundle
        self._task = bundle.task(TaskType.DETECTION)
        self._applied: tuple[TailStage, Settings] | None = None
        self.check('score_thresholds', settings.texts('score_thresholds'))
        self.check('classes', settings.texts('classes'))
        self.check('mask_smoothing', settings.integer('mask_smoothing'))

    def check(self, name: str, value: Value) -> None:
        """Refuse a value that does not fit the bundle.

        Args:
            name: Of any parameter of the node.
            value: What it is to become.

        Raises:
            MtlSplitError: Names the parameter, the value and what there is.
        """
        try:
            if name == 'mask_smoothing' and isinstance(value, int):
                check_smoothing(value)
            if name in ('score_thresholds', 'classes') and isinstance(value, tuple):
                entries = tuple(text for text in value if text)
                by_class = parse_thresholds(entries) if name == 'score_thresholds' else {}
                self._check_classes(by_class, () if by_class else entries)
        except MtlSplitError as error:
            msg = f'parameter {name}: {error}'
            raise MtlSplitError(msg) from error

    def follow(self, tail: 'TailStage') -> float | None:
        """Bring a tail stage up to date; called before each frame by the thread that runs it.

        Args:
            tail: Of the bundle.

        Returns:
            The smallest score of a box, for the label info, if something has changed; else None.
        """
        settings = self._settings
        score, entries = settings.number('score_threshold'), settings.texts('score_thresholds')
        classes, smoothing = settings.texts('classes'), settings.integer('mask_smoothing')
        now = (tail, (score, entries, classes, smoothing))
        if now == self._applied:
            return None
        self._applied = now
        tail.mask_smoothing = smoothing
        if self._task is None:
            tail.score_threshold = None
            return 0.0
        thresholds = class_thresholds(self._task, score, parse_thresholds(entries), classes)
        tail.score_threshold = thresholds
        return float(thresholds.min())

    def _check_classes(self, by_class: dict[str, float], classes: tuple[str, ...]) -> None:
        if self._task:
            class_thresholds(self._task, -1.0, by_class, classes)
        elif by_class or classes:
            msg = f'bundle {self._bundle.name} has no detection task, so leave it empty'
            raise MtlSplitError(msg)
