# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import BundleError, PacketError, RefusalReason
from mtl_split_core.geometry import Letterbox
from mtl_split_core.postprocess import MAX_CANDIDATES, output_names, postprocess
from mtl_split_core.results import Detections

# 192x64 in 96x64: half size, 16 pixels of border above and below.
LETTERBOX = Letterbox.fit(192, 64, 96, 64)


def outputs_of(boxes: Any, scores: Any) -> dict[str, NDArray[Any]]:
    return {
        'boxes': np.array(boxes, np.float32).reshape(-1, 4),
        'scores': np.array(scores, np.float32).reshape(-1, 4),
        'mask': np.repeat(np.arange(64, dtype=np.uint8)[:, None], 96, axis=1) // 16,
        'time_of_day': np.array([0.25, 0.75], np.float32),
    }


def detect(bundle: Bundle, boxes: Any, scores: Any, threshold: float | None = None) -> Detections:
    detections = postprocess(outputs_of(boxes, scores), LETTERBOX, bundle, threshold).detections
    assert detections is not None
    return detections


def test_output_names(tiny_bundle: Bundle) -> None:
    assert output_names(tiny_bundle) == ('boxes', 'scores', 'mask', 'time_of_day')


def test_boxes_best_first_in_source_pixels(tiny_bundle: Bundle) -> None:
    boxes = [[10, 20, 30, 40], [50, 20, 60, 30], [0, 0, 96, 64]]
    scores = [[0.5, 0, 0, 0], [0, 0, 0.9, 0], [0.1, 0.2, 0, 0.29]]
    found = detect(tiny_bundle, boxes, scores)
    assert found.class_ids.tolist() == [2, 0]
    np.testing.assert_allclose(found.boxes, [[100, 8, 120, 28], [20, 8, 60, 48]], atol=1e-4)
    np.testing.assert_allclose(found.scores, [0.9, 0.5])


def test_overlap_is_dropped_within_a_class_only(tiny_bundle: Bundle) -> None:
    boxes = [[10, 20, 30, 40], [11, 20, 31, 40], [10, 21, 30, 41]]
    scores = [[0.8, 0, 0, 0], [0.9, 0, 0, 0], [0, 0.7, 0, 0]]
    found = detect(tiny_bundle, boxes, scores)
    np.testing.assert_allclose(found.scores, [0.9, 0.7])
    assert found.class_ids.tolist() == [0, 1]


def test_one_box_may_have_two_classes(tiny_bundle: Bundle) -> None:
    found = detect(tiny_bundle, [[10, 20, 30, 40]], [[0.8, 0, 0, 0.6]])
    assert found.class_ids.tolist() == [0, 3]


def test_threshold_and_override(tiny_bundle: Bundle) -> None:
    boxes, scores = [[10, 20, 30, 40]], [[0.2, 0, 0, 0]]
    assert len(detect(tiny_bundle, boxes, scores)) == 0
    assert len(detect(tiny_bundle, boxes, scores, 0.1)) == 1


def test_most_detections(tiny_bundle: Bundle) -> None:
    left = np.linspace(0, 90, 50)
    boxes = np.stack([left, np.full(50, 20), left + 1.5, np.full(50, 30)], -1)
    scores = np.zeros((50, 4))
    scores[:, 1] = np.linspace(0.4, 0.9, 50)
    found = detect(tiny_bundle, boxes, scores)
    assert len(found) == 20
    np.testing.assert_allclose(found.scores, scores[::-1, 1][:20], rtol=1e-6)


def test_wild_boxes_and_scores_drop_out(tiny_bundle: Bundle) -> None:
    boxes = [
        [np.nan, 20, 30, 40],
        [10, 20, np.inf, 40],
        [-np.inf, -np.inf, np.inf, np.inf],
        [30, 40, 10, 20],
        [10, 0, 30, 15],
        [200, 20, 300, 40],
        [10, 20, 30, 40],
        [10, 20, 30, 40],
        [-3e38, -3e38, 3e38, 3e38],
    ]
    scores = np.zeros((9, 4))
    scores[:, 0] = [0.9, 0.9, 0.9, 0.9, 0.9, 0.9, np.nan, 1.5, 0.4]
    found = detect(tiny_bundle, boxes, scores)
    np.testing.assert_array_equal(found.boxes, [[0, 0, 192, 64]])


def test_work_is_bounded(tiny_bundle: Bundle) -> None:
    count = 4 * MAX_CANDIDATES
    corners = np.random.default_rng(0).uniform([0, 16], [90, 40], (count, 2))
    found = detect(tiny_bundle, np.hstack([corners, corners + 0.5]), np.ones((count, 4)))
    assert len(found) == 20


def test_nothing_found(tiny_bundle: Bundle) -> None:
    assert len(detect(tiny_bundle, [], [])) == 0


def test_mask_and_classification(tiny_bundle: Bundle) -> None:
    results = postprocess(outputs_of([], []), LETTERBOX, tiny_bundle)
    assert results.segmentation
    assert results.segmentation.mask.shape == (64, 192)
    assert np.unique(results.segmentation.mask).tolist() == [1, 2]
    assert (results.segmentation.mask[:32] == 1).all()
    assert results.classifications[0].ranking() == [1, 0]


def test_probabilities_that_are_not_finite(tiny_bundle: Bundle) -> None:
    outputs = outputs_of([], [])
    outputs['time_of_day'][0] = np.nan
    with pytest.raises(PacketError, match='time_of_day') as info:
        postprocess(outputs, LETTERBOX, tiny_bundle)
    assert info.value.reason is RefusalReason.PAYLOAD


def test_what_should_be_probabilities(tiny_bundle: Bundle) -> None:
    outputs = {**outputs_of([], []), 'time_of_day': np.array([3, 4], np.float32)}
    with pytest.raises(BundleError, match=r'tail output time_of_day: .* sum 1: export'):
        postprocess(outputs, LETTERBOX, tiny_bundle)


@pytest.mark.parametrize(
    ('name', 'array'),
    [
        ('boxes', np.zeros((2, 4), np.float32)),
        ('boxes', np.zeros((1, 4), np.float64)),
        ('scores', np.zeros((1, 5), np.float32)),
        ('mask', np.zeros((64, 96), np.int64)),
        ('mask', np.zeros((1, 64, 96), np.uint8)),
        ('time_of_day', np.zeros((3,), np.float32)),
    ],
)
def test_outputs_that_do_not_fit(tiny_bundle: Bundle, name: str, array: NDArray[Any]) -> None:
    outputs = {**outputs_of([[1, 1, 2, 2]], [[0, 0, 0, 0]]), name: array}
    with pytest.raises(BundleError, match=f'tail output {name} is'):
        postprocess(outputs, LETTERBOX, tiny_bundle)
