# SPDX-License-Identifier: Apache-2.0
"""The metrics against cases that can be worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from tests.tiny_dataset import make_dataset

from mtl_split_core.errors import DataError
from mtl_split_core.results import Detections
from mtl_split_train.dataset import read_dataset
from mtl_split_train.metrics import ConfusionMatrix, accuracy, evaluate_detections


def found(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """Detections from rows of x1, y1, x2, y2, score, class id."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int32))


def test_iou_ignores_void_and_counts_pixels_without_answer() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([[0, 0, 1, 255]]), np.array([[0, 1, 1, 1]]))
    matrix.update(np.array([[2, 2]]), np.array([[11, 11]]))
    np.testing.assert_allclose(matrix.iou(), [1 / 2, 1 / 3, np.nan])
    assert matrix.miou() == pytest.approx(5 / 12)
    assert matrix.counts.sum() == 4
    assert np.isnan(ConfusionMatrix(3).miou())


def test_one_matrix_over_all_frames_is_not_the_mean_of_frames() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.zeros((1, 9), int), np.zeros((1, 9), int))
    matrix.update(np.zeros((1, 1), int), np.ones((1, 1), int))
    np.testing.assert_allclose(matrix.iou(), [0.9, 0.0])


def test_boxes_right_missed_and_false(tmp_path: Path) -> None:
    dataset = read_dataset(make_dataset(tmp_path / 'data'))
    car = (2.0, 4.0, 10.0, 12.0)
    perfect = evaluate_detections(dataset, [found((*car, 0.9, 0))] * 2 + [found()])
    assert perfect['map'] == perfect['map50'] == pytest.approx(1)
    assert perfect['map50_per_class']['car'] == pytest.approx(1)
    assert np.isnan(perfect['map50_per_class']['sign'])
    half = evaluate_detections(dataset, [found((*car, 0.9, 0)), found(), found()])
    assert half['map50'] == pytest.approx(0.5, abs=0.01)
    assert evaluate_detections(dataset, [found()] * 3)['map50'] == 0


def test_iscrowd_is_neither_missed_nor_false(tmp_path: Path) -> None:
    dataset = read_dataset(make_dataset(tmp_path / 'data'))
    car = (2.0, 4.0, 10.0, 12.0)
    on_crowd = [found((*car, 0.5, 0)), found((*car, 0.5, 0)), found((*car, 0.99, 0))]
    assert evaluate_detections(dataset, on_crowd)['map50'] == pytest.approx(1)
    elsewhere = [*on_crowd[:2], found((12, 0, 20, 8, 0.99, 0))]
    assert evaluate_detections(dataset, elsewhere)['map50'] < 0.7


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    dataset = read_dataset(make_dataset(tmp_path / 'data'))
    boxes = [found((2, 4, 10, 12, 0.9, 1))] * 2 + [found()]
    assert evaluate_detections(dataset, boxes, ('sign', 'car'))['map50'] == pytest.approx(1)
    with pytest.raises(DataError, match=r'bus, car.*has car, sign'):
        evaluate_detections(dataset, boxes, ('bus', 'car'))
    with pytest.raises(DataError, match='1 results for the 3 images'):
        evaluate_detections(dataset, boxes[:1])


def test_accuracy() -> None:
    assert accuracy(['day', 'dusk', 'day', 'day'], ['day', 'dusk', 'dusk', 'day']) == 0.75
    assert np.isnan(accuracy([], []))
