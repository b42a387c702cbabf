# SPDX-License-Identifier: Apache-2.0
"""Encoder, pyramid and heads together."""

import pytest
import torch

from mtl_split_core.errors import DataError
from mtl_split_train.heads import (
    ClassificationHead,
    DetectionHead,
    SegmentationHead,
    lovasz_softmax,
    make_anchors,
)
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


@pytest.mark.parametrize(('stage', 'stride', 'detail'), [(4, 8, 4), (9, 16, 4), (9, 16, 8)])
def test_detail_travels_in_z_b(stage: int, stride: int, detail: int) -> None:
    fold = stride // detail
    config = NetworkConfig(
        stage=stage, stride=stride, detail_channels=2 * fold**2, detail_stride=detail, **SMALL
    )
    network = SplitNetwork(config, CLASSES, bits=[0.3, 1.0])
    x = torch.randn(2, 3, 64, 96)
    output = network(x, torch.tensor([0, 1]), torch.tensor([False, True]))
    assert output.guess is not None
    assert output.guess.shape == (2, 11, 2 * 64 // detail, 2 * 96 // detail)
    assert config.z_channels == 8 + 2 * fold**2
    with torch.no_grad():
        z = network.eval().encoder(x)
        assert z.shape == (2, config.z_channels, 64 // stride, 96 // stride)
        assert network(x).guess is None
        dropped = torch.cat((z[:, :8], torch.zeros_like(z[:, 8:])), dim=1)
        whole, poorer = network.tail(z), network.tail(dropped)
    assert not torch.equal(whole.segmentation, poorer.segmentation)


def test_detail_comes_back_where_it_was() -> None:
    """What the encoder folds at stride 4 lies at its place on every level of the tail."""
    pyramid = Pyramid(8, 16, width=16, depth=1, detail_channels=32, detail_stride=4)
    fine = torch.randn(1, 2, 24, 32)
    folded = torch.nn.functional.pixel_unshuffle(fine, 4)
    assert torch.equal(pyramid._unfold(folded, 4), fine)
    half = pyramid._unfold(folded, 8)
    assert half.shape == (1, 8, 12, 16)
    assert torch.equal(half[0, :4, 5, 7].reshape(2, 2), fine[0, 0, 10:12, 14:16])


def test_some_samples_of_a_batch_pass_unquantised() -> None:
    network = SplitNetwork(NetworkConfig(stage=9, **SMALL), CLASSES, bits=[0.3, 1.0]).eval()
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        mixed = network(x, torch.tensor([0, 0]), torch.tensor([True, False])).segmentation
        whole, coded = network(x).segmentation, network(x, torch.tensor([0, 0])).segmentation
    assert torch.allclose(mixed[0], whole[0], atol=1e-5)
    assert torch.allclose(mixed[1], coded[1], atol=1e-5)


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


def test_lovasz_is_the_mean_of_lost_iou() -> None:
    """For certain answers the Lovasz extension is 1 - IoU itself, over the classes present."""
    labels = torch.tensor([[[0, 0, 1, 1, 11]]])
    answer = torch.tensor([0, 1, 1, 1, 0])
    logits = 100.0 * torch.nn.functional.one_hot(answer, 3).T.float()[None, :, None, :]
    loss = lovasz_softmax(logits, labels, ignore=11)
    assert loss.item() == pytest.approx(((1 - 1 / 2) + (1 - 2 / 3)) / 2, abs=1e-5)
    nothing = torch.full_like(labels, 11)
    assert lovasz_softmax(logits, nothing, ignore=11).item() == 0.0


def test_lovasz_adds_to_the_cross_entropy() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    labels = torch.randint(3, (2, 16, 16))
    plain = SegmentationHead.loss(logits, labels, torch.ones(3), 11)
    both = SegmentationHead.loss(logits, labels, torch.ones(3), 11, lovasz=1.0)
    assert 0.2 < (both - plain).item() < 1.0
    both.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


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
