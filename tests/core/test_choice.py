# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.core.test_postprocess import LETTERBOX, outputs_of

from mtl_split_core.bundle import Bundle, TaskInfo, TaskType
from mtl_split_core.choice import (
    check_smoothing,
    class_thresholds,
    parse_thresholds,
    smooth_mask,
)
from mtl_split_core.errors import MtlSplitError
from mtl_split_core.postprocess import postprocess


@pytest.fixture(scope='module')
def task(tiny_bundle: Bundle) -> TaskInfo:
    task = tiny_bundle.task(TaskType.DETECTION)
    assert task
    return task


def test_thresholds_as_typed() -> None:
    assert parse_thresholds(['car:0.5', ' a sign : 1 ', 'x:y:0']) == {
        'car': 0.5,
        'a sign': 1.0,
        'x:y': 0.0,
    }


@pytest.mark.parametrize('entry', ['car', ':0.5', 'car:', 'car:high', 'car:nan', 'car:1.1', 'c:-1'])
def test_what_is_no_threshold(entry: str) -> None:
    with pytest.raises(MtlSplitError, match='write NAME:VALUE'):
        parse_thresholds([entry])


def test_two_thresholds_of_one_class() -> None:
    with pytest.raises(MtlSplitError, match="class 'car' has two"):
        parse_thresholds(['car:0.5', 'car:0.6'])


def test_thresholds_of_a_task(task: TaskInfo) -> None:
    found = class_thresholds(task, -1.0, {'sign': 0.9}, ['car', 'sign'])
    np.testing.assert_allclose(found, [0.3, 2, 2, 0.9])
    np.testing.assert_allclose(class_thresholds(task, 0.6, {'car': 0.0}, []), [0, 0.6, 0.6, 0.6])


@pytest.mark.parametrize(('by_class', 'classes'), [({'bus': 0.5}, []), ({}, ['car', 'bus'])])
def test_unknown_classes(task: TaskInfo, by_class: dict[str, float], classes: list[str]) -> None:
    known = 'car, pedestrian, bicyclist, sign'
    with pytest.raises(MtlSplitError, match=f"no class 'bus'; it has: {known}"):
        class_thresholds(task, -1.0, by_class, classes)


def test_boxes_by_class(tiny_bundle: Bundle, task: TaskInfo) -> None:
    boxes = [[10, 20, 30, 40], [50, 20, 60, 30], [0, 20, 9, 30]]
    scores = [[0.5, 0, 0, 0.6], [0, 0.9, 0, 0], [0.1, 0, 0, 0]]
    thresholds = class_thresholds(task, -1.0, {'car': 0.05, 'sign': 0.7}, ['car', 'sign'])
    outputs = outputs_of(boxes, scores)
    found = postprocess(outputs, LETTERBOX, tiny_bundle, thresholds).detections
    assert found is not None
    assert found.class_ids.tolist() == [0, 0]
    np.testing.assert_allclose(found.scores, [0.5, 0.1])


@pytest.mark.parametrize(
    ('wanted', 'needed'),
    [
        ((), set()),
        (('detection',), {'boxes', 'scores'}),
        (('segmentation',), {'mask'}),
        (('time_of_day',), {'time_of_day'}),
    ],
)
def test_a_head_that_nobody_reads_is_not_touched(
    tiny_bundle: Bundle, wanted: tuple[str, ...], needed: set[str]
) -> None:
    outputs = outputs_of([[10, 20, 30, 40]], [[0.5, 0, 0, 0]])
    given = {name: array for name, array in outputs.items() if name in needed}
    names = {task.type: task.name for task in tiny_bundle.tasks}
    translated = {'detection': TaskType.DETECTION, 'segmentation': TaskType.SEGMENTATION}
    asked = [names[translated[name]] if name in translated else name for name in wanted]
    results = postprocess(given, LETTERBOX, tiny_bundle, wanted=asked)
    assert (results.detections is not None) == ('boxes' in needed)
    assert (results.segmentation is not None) == ('mask' in needed)
    assert len(results.classifications) == ('time_of_day' in needed)
    if needed:
        with pytest.raises(KeyError):
            postprocess({}, LETTERBOX, tiny_bundle, wanted=asked)


def slow_mode(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The definition, pixel by pixel."""
    half = size // 2
    padded = np.pad(mask, half, mode='edge')
    smooth = mask.copy()
    for (row, column), own in np.ndenumerate(mask):
        counts = np.bincount(padded[row : row + size, column : column + size].ravel())
        if counts[own] < counts.max():
            smooth[row, column] = counts.argmax()
    return smooth


@pytest.mark.parametrize('size', [3, 5, 31])
@pytest.mark.parametrize('ids', [(0, 1), (0, 4, 7, 255)])
def test_smoothing_is_the_most_frequent_class(size: int, ids: tuple[int, ...]) -> None:
    mask = np.random.default_rng(size).choice(np.array(ids, np.uint8), (24, 37))
    np.testing.assert_array_equal(smooth_mask(mask, size), slow_mode(mask, size))


def test_smoothing_invents_no_class_and_drops_specks() -> None:
    mask = np.full((20, 30), 2, np.uint8)
    mask[:, 15:] = 8
    speckled = mask.copy()
    speckled[4, 5] = speckled[10, 25] = 5
    np.testing.assert_array_equal(smooth_mask(speckled, 3), mask)


def test_border_has_no_vote(tiny_bundle: Bundle) -> None:
    outputs: dict[str, NDArray[Any]] = outputs_of([], [])
    mask = np.full((64, 96), 9, np.uint8)
    mask[16:48] = 3
    mask[30, 40] = 1
    before = mask.copy()
    results = postprocess({**outputs, 'mask': mask}, LETTERBOX, tiny_bundle, mask_smoothing=7)
    assert results.segmentation
    assert np.unique(results.segmentation.mask).tolist() == [3]
    np.testing.assert_array_equal(mask, before)
    rough = postprocess({**outputs, 'mask': mask}, LETTERBOX, tiny_bundle)
    assert rough.segmentation
    assert np.unique(rough.segmentation.mask).tolist() == [1, 3]


@pytest.mark.parametrize('size', [1, 2, 4, 33, -3])
def test_sizes_that_do_not_work(size: int) -> None:
    with pytest.raises(MtlSplitError, match=f'window of {size} pixels .* odd size of 3 to 31'):
        check_smoothing(size)


def test_sizes_that_work() -> None:
    for size in (0, 3, 31):
        check_smoothing(size)
