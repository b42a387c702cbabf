# SPDX-License-Identifier: Apache-2.0
"""Encoder, pyramid and heads together."""

import pytest
import torch

from mtl_split_core.errors import DataError
from mtl_split_train.heads import ClassificationHead, DetectionHead, SegmentationHead, make_anchors
from mtl_split_train.network import Encoder, NetworkConfig, SplitNetwork
from mtl_split_train.pyramid import Pyramid

CLASSES = {'detection': 4, 'segmentation': 11, 'classification': 2}
SMALL = {'backbone': 'mobilenet_v3_small', 'channels': 8, 'width': 32, 'depth': 1, 'head_width': 32}


@pytest.mark.parametrize(('stage', 'stride'), [(4, 8), (4, 16), (9, 16), (2, 8)])
def test_shapes_for_every_place_of_the_cut(stage: int, stride: int) -> None:
    network = SplitNetwork(
        NetworkConfig(stage=stage, stride=stride, **SMALL), CLASSES, bits=[0.3, 1.0]
    ).eval()
    with torch.no_grad():
        output = network(torch.zeros(2, 3, 64, 96), torch.tensor([0, 1]))
    locations = 8 * 12 + 4 * 6 + 2 * 3
    assert output.detection['cls_logits'].shape == (2, locations, 4)
    assert output.detection['anchors'].shape == (locations, 4)
    assert output.segmentation.shape == (2, 11, 32, 48)
    assert output.classification.shape == (2, 2)
    assert output.bits is not None
    assert output.bits.shape == (2,)


def test_a_stride_that_does_not_fit_the_cut_is_refused() -> None:
    with pytest.raises(
        DataError, match='stride 8 of Z_b does not fit mobilenet_v3_small cut after stage 9'
    ):
        Encoder(NetworkConfig(stage=9, stride=8, **SMALL), bits=[0.5])


def test_without_a_rate_nothing_is_quantised() -> None:
    network = SplitNetwork(NetworkConfig(stage=9, **SMALL), CLASSES, bits=[0.3, 1.0]).eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        whole = network(x)
        split = network.tail(network.encoder(x))
    assert whole.bits is None
    assert torch.equal(whole.segmentation, split.segmentation)


@pytest.mark.parametrize('stride', [8, 16])
def test_odd_sizes_pass_the_pyramid(stride: int) -> None:
    levels = Pyramid(8, stride, width=16, depth=1)(torch.zeros(1, 8, 368 // stride, 480 // stride))
    assert {s: tuple(x.shape[-2:]) for s, x in levels.items()} == {
        4: (92, 120),
        8: (46, 60),
        16: (23, 30),
        32: (12, 15),
    }


def perfect_outputs(
    anchors: torch.Tensor, box: torch.Tensor, label: int, classes: int
) -> dict[str, torch.Tensor]:
    """Head outputs that say ``box`` at the locations near its centre and nothing elsewhere."""
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2
    size = anchors[:, 2:3] - anchors[:, :1]
    reach = torch.cat((centre - box[:2], box[2:] - centre), dim=1) / size
    middle = (box[:2] + box[2:]) / 2
    near = ((centre - middle).abs() < 1.5 * size).all(dim=1) & (reach.min(dim=1).values > 0)
    near &= size[:, 0] == 8  # a box of this size belongs to the finest level
    logits = torch.full((1, len(anchors), classes), -12.0)
    logits[0, near, label] = 12.0
    return {
        'cls_logits': logits,
        'bbox_regression': reach.clamp_min(0)[None],
        'bbox_ctrness': torch.full((1, len(anchors), 1), 4.0),
        'anchors': anchors,
    }


def test_decoding_gives_the_box_that_the_loss_wants() -> None:
    head = DetectionHead({8: 8, 16: 8, 32: 8}, num_classes=3, width=32)
    anchors = make_anchors([(8, 12), (4, 6), (2, 3)])
    box = torch.tensor([18.0, 10.0, 52.0, 44.0])
    outputs = perfect_outputs(anchors, box, 1, 3)
    boxes, scores = head.decode(outputs)
    best = scores[0, :, 1].argmax()
    assert torch.allclose(boxes[0, best], box, atol=1e-4)
    target = {'boxes': box[None], 'labels': torch.tensor([1]), 'ignored': torch.zeros(0, 4)}
    right = head.loss(outputs, [target])
    wrong = head.loss(outputs, [{**target, 'labels': torch.tensor([2])}])
    assert right < 2.5  # what is left is the centre-ness of off-centre locations
    assert wrong > right + 5


def test_ignored_regions_cost_nothing() -> None:
    head = DetectionHead({8: 8, 16: 8, 32: 8}, num_classes=3, width=32)
    anchors = make_anchors([(8, 12), (4, 6), (2, 3)])
    box = torch.tensor([18.0, 10.0, 52.0, 44.0])
    outputs = perfect_outputs(anchors, box, 1, 3)
    none = {'boxes': torch.zeros(0, 4), 'labels': torch.zeros(0, dtype=torch.int64)}
    crowd = head.loss(outputs, [{**none, 'ignored': box[None]}])
    background = head.loss(outputs, [{**none, 'ignored': torch.zeros(0, 4)}])
    assert crowd < 0.01
    assert background > 1


def test_void_pixels_cost_nothing() -> None:
    logits = torch.zeros(1, 3, 4, 4)
    logits[:, 0] = 5.0
    labels = torch.full((1, 8, 8), 11)
    labels[0, 0, 0] = 0
    loss = SegmentationHead.loss(logits, labels, torch.ones(3), ignore=11)
    labels[0, 4:] = 1
    assert loss < 0.05
    assert SegmentationHead.loss(logits, labels, torch.ones(3), ignore=11) > 1


def test_each_head_learns_one_picture() -> None:
    """A few steps on one picture: every task's loss falls, so every gradient flows."""
    torch.manual_seed(0)
    network = SplitNetwork(
        NetworkConfig(stage=4, stride=8, **SMALL), CLASSES, bits=[0.3, 1.0]
    ).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    x = torch.randn(2, 3, 64, 96)
    labels = torch.zeros(2, 64, 96, dtype=torch.int64)
    labels[:, 20:50, 30:70] = 8
    target = {
        'boxes': torch.tensor([[30.0, 20.0, 70.0, 50.0]]),
        'labels': torch.tensor([0]),
        'ignored': torch.zeros(0, 4),
    }
    history = []
    for _ in range(25):
        output = network(x, torch.tensor([0, 1]))
        losses = torch.stack(
            [
                network.tail.detection.loss(output.detection, [target, target]),
                SegmentationHead.loss(output.segmentation, labels, torch.ones(11), 11),
                torch.nn.functional.cross_entropy(output.classification, torch.tensor([0, 1])),
            ]
        )
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        history.append(losses.detach())
    first, last = torch.stack(history[:3]).mean(dim=0), torch.stack(history[-3:]).mean(dim=0)
    assert (last < 0.7 * first).all(), (first, last)


def test_the_classifier_pools_over_the_picture() -> None:
    head = ClassificationHead(4, 2).eval()
    x = torch.randn(1, 4, 3, 5)
    assert torch.allclose(head({32: x}), head({32: x.flip(3)}), atol=1e-6)
