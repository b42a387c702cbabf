# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest

from mtl_split_core.results import Classification, Detections, Segmentation

BOXES = np.array([[0, 0, 5, 5], [1, 1, 2, 2]], np.float32)
SCORES = np.array([0.9, 0.4], np.float32)
IDS = np.array([0, 3], np.int32)


def test_detections() -> None:
    assert len(Detections(BOXES, SCORES, IDS)) == 2
    assert len(Detections(BOXES[:0], SCORES[:0], IDS[:0])) == 0


@pytest.mark.parametrize(
    ('arrays', 'text'),
    [
        ((BOXES[:1], SCORES, IDS), 'boxes is'),
        ((BOXES.astype(np.float64), SCORES, IDS), 'boxes is float64'),
        ((BOXES[:, [2, 3, 0, 1]], SCORES, IDS), 'x1 <= x2'),
        ((BOXES * np.float32(np.nan), SCORES, IDS), 'finite'),
        ((BOXES, SCORES[::-1], IDS), 'best first'),
        ((BOXES, SCORES * np.float32(2), IDS), '0 to 1'),
        ((BOXES, SCORES * np.float32(np.nan), IDS), '0 to 1'),
        ((BOXES, SCORES, IDS.astype(np.int64)), 'class_ids is int64'),
        ((BOXES, SCORES, IDS - np.int32(1)), 'at least 0'),
    ],
)
def test_detections_are_checked(arrays: tuple[Any, Any, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Detections(*arrays)


@pytest.mark.parametrize('mask', [np.zeros((2, 2, 1), np.uint8), np.zeros((2, 2), np.int32)])
def test_segmentation_is_checked(mask: Any) -> None:
    with pytest.raises(ValueError, match='mask'):
        Segmentation(mask)


def test_ranking_is_best_first_and_stable() -> None:
    scores = np.array([0.2, 0.3, 0.3, 0.2], np.float32)
    assert Classification('time', scores).ranking() == [1, 2, 0, 3]


@pytest.mark.parametrize('scores', [[0.5, 0.4], [1.5, -0.5], [np.nan, 1], [[1.0]], []])
def test_classification_is_checked(scores: list[float]) -> None:
    with pytest.raises(ValueError, match='scores'):
        Classification('time', np.array(scores, np.float32))
