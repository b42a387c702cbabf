# SPDX-License-Identifier: Apache-2.0
"""The steps of Faster R-CNN without compiled operators, against OpenCV and the definition."""

import cv2
import numpy as np
import pytest
import torch

from mtl_split_core.errors import DataError
from mtl_split_train.ladon.config import NetworkConfig
from mtl_split_train.ladon.heads import DetectionHead
from mtl_split_train.ladon.regions import STRIDES, RegionPool, overlaps, unsuppressed

WIDTHS = (8, 8, 8, 8)
SIDE = 64


def boxes_of(count: int, seed: int = 0, side: float = SIDE) -> torch.Tensor:
    """Random boxes within a picture, xyxy."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * side * 0.6
    size = (0.1 + 0.3 * torch.rand(count, 2, generator=generator)) * side
    return torch.cat((corner, corner + size), dim=1)


def test_suppression_keeps_what_opencv_keeps() -> None:
    for seed in range(5):
        boxes = boxes_of(60, seed)
        scores = np.linspace(1, 0.5, len(boxes)).tolist()
        corner_size = torch.cat((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), dim=1)
        wanted = np.array(cv2.dnn.NMSBoxes(corner_size.tolist(), scores, 0.0, 0.5)).ravel()
        found = unsuppressed(boxes[None], 0.5)[0].nonzero().ravel()
        assert found.tolist() == sorted(wanted.tolist())


def test_a_box_that_is_gone_suppresses_nothing() -> None:
    # Each overlaps the next alone: the second goes, so the third stays, and so on.
    x = 6.0 * torch.arange(12)
    boxes = torch.stack((x, torch.zeros(12), x + 10, torch.full((12,), 10.0)), dim=1)
    assert unsuppressed(boxes[None], 0.2)[0].tolist() == [i % 2 == 0 for i in range(12)]
    assert overlaps(boxes[None])[0, 0, 1].item() == 0.25


def reference_pool(level: np.ndarray, box: list[float], stride: int) -> np.ndarray:
    """RoI align by its definition (arXiv 1703.06870): means of 2 x 2 bilinear samples a bin."""
    x1, y1, x2, y2 = (v / stride for v in box)
    bin_x, bin_y = max(x2 - x1, 1.0) / 7, max(y2 - y1, 1.0) / 7
    found = np.zeros((level.shape[0], 7, 7))
    for row in range(7):
        for column in range(7):
            for sy in (0.25, 0.75):
                for sx in (0.25, 0.75):
                    y = min(max(y1 + (row + sy) * bin_y, 0.0), level.shape[1] - 1)
                    x = min(max(x1 + (column + sx) * bin_x, 0.0), level.shape[2] - 1)
                    top, left = int(y), int(x)
                    bottom = min(top + 1, level.shape[1] - 1)
                    right = min(left + 1, level.shape[2] - 1)
                    above = (1 - x + left) * level[:, top, left] + (x - left) * level[:, top, right]
                    below = (1 - x + left) * level[:, bottom, left] + (x - left) * (
                        level[:, bottom, right]
                    )
                    found[:, row, column] += ((1 - y + top) * above + (y - top) * below) / 4
    return found


def test_pooled_regions_are_roi_align_at_their_level() -> None:
    side = 512
    names = ('0', '1', '2', '3')
    torch.manual_seed(0)
    features = {
        name: torch.randn(2, 3, side // stride, side // stride)
        for name, stride in zip(names, STRIDES[:4], strict=True)
    }
    # Sides of 40, 120, 260 and 500 pixels belong to the strides 4, 8, 16 and 32 (224: stride 16).
    boxes = [
        torch.tensor([[3.0, 5.0, 43.0, 45.0], [10.0, 20.0, 130.0, 140.0]]),
        torch.tensor([[100.0, 7.0, 360.0, 267.0], [6.0, 9.0, 506.0, 509.0]]),
    ]
    found = RegionPool(names).eval()(features, boxes, [(side, side)] * 2)
    assert found.shape == (4, 3, 7, 7)
    for index, (name, stride) in enumerate(zip(names, STRIDES[:4], strict=True)):
        frame, box = divmod(index, 2)
        level = features[name][frame].numpy()
        wanted = reference_pool(level, boxes[frame][box].tolist(), stride)
        np.testing.assert_allclose(found[index].numpy(), wanted, atol=1e-4)


def test_training_pools_the_same_with_the_same_gradients() -> None:
    names = ('0', '1', '2', '3')
    features = dict(zip(names, make_features(2), strict=True))
    boxes = [boxes_of(20, 3), boxes_of(9, 4)]
    wanted = torch.randn(29, 8, 7, 7, generator=torch.Generator().manual_seed(5))
    gradients, found = [], []
    for training in (True, False):
        levels = {name: level.clone().requires_grad_() for name, level in features.items()}
        pooled = RegionPool(names).train(training)(levels, boxes, [(SIDE, SIDE)] * 2)
        (pooled * wanted).sum().backward()
        found.append(pooled.detach())
        gradients.append([level.grad for level in levels.values()])
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_anchors_are_of_the_configured_size() -> None:
    head = DetectionHead(WIDTHS, 2, NetworkConfig(width=16, representation=32, anchor=3))
    assert head.rpn.anchor_generator.sizes == ((12,), (24,), (48,), (96,), (192,))
    with pytest.raises(DataError, match=r'network\.anchor is 0; it must be above 0'):
        NetworkConfig(anchor=0)


def make_head(proposals: int = 30) -> DetectionHead:
    torch.manual_seed(0)
    return DetectionHead(WIDTHS, 2, NetworkConfig(width=16, representation=32, proposals=proposals))


def make_features(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(count, 8, SIDE // s, SIDE // s, generator=generator) for s in STRIDES[:4]]


def test_every_picture_has_as_many_boxes() -> None:
    head = make_head().eval()
    with torch.no_grad():
        boxes, scores = head.decode(make_features(1))
    assert boxes.shape == (30 * 2, 4)
    assert scores.shape == (30 * 2, 2)
    # A row is for one class; its score for the other is 0.
    assert ((scores > 0).sum(dim=1) == 1).all()
    assert scores.max() <= 1
    assert boxes.isfinite().all()


def test_proposals_lie_within_the_picture_and_the_kept_come_first() -> None:
    rpn = make_head(8).rpn
    # Two levels: the second box of the first is a copy of the better first one.
    boxes = torch.tensor(
        [[-9.0, 4, 20, 30], [-9, 4, 20, 30], [30, 30, 99, 60], [5, 5, 50, 50], [70, 0, 90, 9]]
    )
    logits = torch.tensor([3.0, 2.0, -1.0, -2.0, 5.0])
    (found,), (marks,) = rpn.filter_proposals(boxes[None], logits, [(SIDE, SIDE)], [3, 2])
    wanted = [[0.0, 4, 20, 30], [30, 30, 64, 60], [5, 5, 50, 50], [0, 4, 20, 30], [64, 0, 64, 9]]
    assert found.tolist() == wanted
    assert [int(mark) for mark in marks] == [2, 2, 2, 1, 0]  # kept, suppressed, without area


def test_the_detector_learns_a_box() -> None:
    head = make_head(60).train()
    features = make_features(2)
    targets = [
        {'boxes': torch.tensor([[8.0, 8.0, 40.0, 40.0]]), 'labels': torch.tensor([1])},
        {'boxes': torch.zeros(0, 4), 'labels': torch.zeros(0, dtype=torch.long)},
    ]
    optimiser = torch.optim.Adam(head.parameters(), 3e-3)
    for _ in range(25):
        loss = head.loss(features, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    head.eval()
    with torch.no_grad():
        boxes, scores = head.decode([f[:1] for f in features])
        _, nothing = head.decode([f[1:] for f in features])
    best = int(scores[:, 1].argmax())
    assert scores[best, 1] > 0.5
    assert overlaps(torch.stack((boxes[best], targets[0]['boxes'][0]))[None])[0, 0, 1] > 0.6
    assert nothing.max() < 0.5
