# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.errors import ImageError
from mtl_split_core.overlay import colorize, draw_overlay
from mtl_split_core.results import Classification, Detections, FrameResults, Segmentation

NOTHING = FrameResults(None, None, (), {})


def detections_of(*boxes: tuple[float, ...]) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, 0.5, np.float32),
        np.zeros(count, np.int32),
    )


def test_colorize(tiny_bundle: Bundle) -> None:
    task = tiny_bundle.task(TaskType.SEGMENTATION)
    assert task is not None
    colors = colorize(np.array([[0, 10], [11, 255]], np.uint8), task)
    assert colors[0].tolist() == [list(task.classes[0].color), list(task.classes[10].color)]
    assert not colors[1].any()


def test_nothing_to_draw_leaves_a_copy(tiny_bundle: Bundle) -> None:
    image = np.full((360, 480, 3), 90, np.uint8)
    result = draw_overlay(image, NOTHING, tiny_bundle)
    np.testing.assert_array_equal(result, image)
    assert not np.shares_memory(result, image)


def test_mask_is_blended_and_unlabelled_pixels_stay(tiny_bundle: Bundle) -> None:
    image = np.full((40, 60, 3), 90, np.uint8)
    mask = np.full((40, 60), 255, np.uint8)
    mask[:20] = 3
    result = draw_overlay(image, replace(NOTHING, segmentation=Segmentation(mask)), tiny_bundle)
    assert (result[20:] == 90).all()
    assert (result[:20] != 90).any(axis=2).all()


def test_legend_names_the_classes_of_the_mask(tiny_bundle: Bundle) -> None:
    """Each at its own place, in its colour, which nothing else of the picture has."""
    task = tiny_bundle.task(TaskType.SEGMENTATION)
    assert task is not None
    image = np.full((360, 480, 3), 90, np.uint8)
    places = {}
    for info in task.classes:
        mask = np.full((360, 480), info.id, np.uint8)
        results = replace(NOTHING, segmentation=Segmentation(mask))
        drawn = draw_overlay(image, results, tiny_bundle)
        rows, columns = (drawn == info.color).all(axis=2).nonzero()
        assert columns.max() < 480 / 2
        places[info.name] = rows.min(), rows.max()
    ends = sorted(places.values())
    assert all(above[1] < below[0] for above, below in pairwise(ends))
    assert list(places.values()) == ends
    nothing = replace(NOTHING, segmentation=Segmentation(np.full((360, 480), 255, np.uint8)))
    np.testing.assert_array_equal(draw_overlay(image, nothing, tiny_bundle), image)


def test_boxes_in_the_colour_of_their_class(tiny_bundle: Bundle) -> None:
    image = np.zeros((360, 480, 3), np.uint8)
    results = replace(NOTHING, detections=detections_of((100, 100, 200, 200)))
    result = draw_overlay(image, results, tiny_bundle)
    task = tiny_bundle.task(TaskType.DETECTION)
    assert task is not None
    assert tuple(result[200, 150]) == task.classes[0].color
    assert not result[150, 150].any()
    assert not image.any()


@pytest.mark.parametrize('size', [(360, 480), (1080, 1920), (20, 20), (1, 1)])
def test_boxes_at_the_rim_and_any_size(tiny_bundle: Bundle, size: tuple[int, int]) -> None:
    height, width = size
    everything = FrameResults(
        detections_of((0, 0, width, height), (0, 0, 0, 0), (width - 1, 0, width, 1)),
        Segmentation(np.zeros(size, np.uint8)),
        (Classification('time_of_day', np.array([0.9, 0.1], np.float32)),),
        {},
    )
    result = draw_overlay(np.zeros((height, width, 3), np.uint8), everything, tiny_bundle)
    assert result.shape == (height, width, 3)
    assert result.any()


def test_a_mask_of_another_size(tiny_bundle: Bundle) -> None:
    results = replace(NOTHING, segmentation=Segmentation(np.zeros((4, 5), np.uint8)))
    with pytest.raises(ImageError, match=r'mask of \(5, 4\)'):
        draw_overlay(np.zeros((5, 5, 3), np.uint8), results, tiny_bundle)
