# SPDX-License-Identifier: Apache-2.0
"""Ladon's three heads on the features of one body (arXiv 2501.01420), from torchvision's parts.

layer 1 to 4 --+--> FPN --> Faster R-CNN   boxes
               +--> DeepLabv3              label map
               +--> mean --> fc            class of the picture
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl_split_train import vision  # noqa: F401  (declares operators before the next import)
from mtl_split_train.heads import mean_cross_entropy
from mtl_split_train.ladon.config import NetworkConfig
from mtl_split_train.ladon.regions import STRIDES, Proposals, RegionPool
from mtl_split_train.samples import VOID, Classes

from torchvision.models.detection.anchor_utils import AnchorGenerator  # isort: skip
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead  # isort: skip
from torchvision.models.detection.image_list import ImageList  # isort: skip
from torchvision.models.detection.roi_heads import RoIHeads  # isort: skip
from torchvision.models.detection.rpn import RPNHead  # isort: skip
from torchvision.models.segmentation.deeplabv3 import DeepLabHead  # isort: skip
from torchvision.models.segmentation.fcn import FCNHead  # isort: skip
from torchvision.ops import FeaturePyramidNetwork  # isort: skip
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool  # isort: skip

#: Names of the pyramid's levels, as torchvision has them; the last one is for proposals alone.
LEVELS = ('0', '1', '2', '3')
#: Weight of the auxiliary classifier on layer 3, as in Ladon's configuration of DeepLabv3.
_AUXILIARY = 0.5


class DetectionHead(nn.Module):
    """Faster R-CNN on a pyramid (arXiv 1506.01497, 1612.03144), settings of torchvision.

    Args:
        widths: Channels after layers 1 to 4.
        classes: Number of classes, without the background.
        config: Sizes.
    """

    def __init__(self, widths: Sequence[int], classes: int, config: NetworkConfig) -> None:
        super().__init__()
        self.classes = classes
        self.fpn = FeaturePyramidNetwork(list(widths), config.width, LastLevelMaxPool())
        anchors = AnchorGenerator(
            tuple((config.anchor * stride,) for stride in STRIDES),
            ((0.5, 1.0, 2.0),) * len(STRIDES),
        )
        count = {'training': config.proposals, 'testing': config.proposals}
        self.rpn = Proposals(
            anchors,
            RPNHead(config.width, anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n=count,
            post_nms_top_n=count,
            nms_thresh=0.7,
        )
        self.regions = RoIHeads(
            RegionPool(LEVELS),
            TwoMLPHead(config.width * 7**2, config.representation),
            FastRCNNPredictor(config.representation, classes + 1),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=512,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            # Scores, suppression and the limit are for the nodes: `decode` gives all boxes.
            score_thresh=0.0,
            nms_thresh=1.0,
            detections_per_img=config.proposals,
        )

    def loss(self, features: Sequence[Tensor], targets: list[dict[str, Tensor]]) -> Tensor:
        """Return the sum of the four losses of Faster R-CNN.

        Args:
            features: After layers 1 to 4, [N, C, h, w] each.
            targets: Per picture ``boxes`` [M, 4] xyxy in pixels and ``labels`` [M] from 0.
                Regions to ignore count as background, as in torchvision's references.
        """
        # Class 0 is the background there.
        wanted = [{'boxes': t['boxes'], 'labels': t['labels'] + 1} for t in targets]
        pyramid, images = self._pyramid(features)
        # Boxes in 16 bits would be whole pixels.
        with torch.autocast(images.tensors.device.type, enabled=False):
            proposals, losses = self.rpn(images, pyramid, wanted)
            _, more = self.regions(pyramid, proposals, images.image_sizes, wanted)
        return torch.stack([*losses.values(), *more.values()]).sum()

    def decode(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the boxes of one picture before the last suppression.

        Args:
            features: After layers 1 to 4, [1, C, h, w] each.

        Returns:
            Boxes [P * K, 4] xyxy in input pixels, and their scores [P * K, K]: each region has a
            box of its own for each class, whose other scores are 0.
        """
        pyramid, images = self._pyramid(features)
        with torch.autocast(images.tensors.device.type, enabled=False):
            proposals, _ = self.rpn(images, pyramid)
            pooled = self.regions.box_roi_pool(pyramid, proposals, images.image_sizes)
            logits, offsets = self.regions.box_predictor(self.regions.box_head(pooled))
        boxes = self.regions.box_coder.decode(offsets, proposals)
        scores = logits.softmax(dim=1)[:, 1:, None] * torch.eye(self.classes, device=logits.device)
        return boxes[:, 1:].reshape(-1, 4), scores.reshape(-1, self.classes)

    def _pyramid(self, features: Sequence[Tensor]) -> tuple[dict[str, Tensor], ImageList]:
        found = self.fpn(dict(zip(LEVELS, features, strict=True)))
        pyramid = {name: level.float() for name, level in found.items()}
        size = _picture_size(features)
        # Only its shape is looked at.
        pictures = pyramid[LEVELS[0]].new_empty((len(features[0]), 1, *size))
        return pyramid, ImageList(pictures, [size] * len(pictures))


class SegmentationHead(nn.Module):
    """DeepLabv3 on layer 4 (arXiv 1706.05587); while training a second classifier on layer 3.

    The body keeps its stride of 32: one pass serves all three tasks (arXiv 2501.01420).

    Args:
        widths: Channels after layers 1 to 4.
        classes: Number of classes.
    """

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.classifier = DeepLabHead(widths[3], classes)
        self.auxiliary = FCNHead(widths[2], classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map features after layers 1 to 4 to logits [N, K, H, W]."""
        return _resize(self.classifier(features[3]), _picture_size(features))

    def loss(self, features: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the cross-entropy for labels [N, H, W] int64, 0 where all are void."""
        loss = mean_cross_entropy(self(features).float(), labels, VOID)
        second = _resize(self.auxiliary(features[2]), _picture_size(features)).float()
        return loss + _AUXILIARY * mean_cross_entropy(second, labels, VOID)


class Classifier(nn.Sequential):
    """The last layer of a ResNet on the mean of its layer 4 (arXiv 1512.03385)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class TaskHeads(nn.Module):
    """The heads of the tasks that the data has.

    Args:
        widths: Channels after layers 1 to 4.
        classes: Of the data; a task without classes has no head.
        config: Sizes.
    """

    def __init__(self, widths: Sequence[int], classes: Classes, config: NetworkConfig) -> None:
        super().__init__()
        sizes = classes.sizes()
        self.attribute = classes.attribute
        self.detection = (
            DetectionHead(widths, sizes['detection'], config) if sizes['detection'] else None
        )
        self.segmentation = (
            SegmentationHead(widths, sizes['segmentation']) if sizes['segmentation'] else None
        )
        self.classification = (
            Classifier(widths[3], sizes['classification']) if sizes['classification'] else None
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs of ``answers``, in their order."""
        return (
            *(('boxes', 'scores') if self.detection else ()),
            *(('mask',) if self.segmentation else ()),
            *((self.attribute,) if self.classification else ()),
        )

    def answers(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Answer one picture as tail.onnx does: boxes, scores, mask uint8 [H, W], shares [K]."""
        found: list[Any] = []
        if self.detection is not None:
            found += self.detection.decode(features)
        if self.segmentation is not None:
            found.append(self.segmentation(features)[0].argmax(dim=0).to(torch.uint8))
        if self.classification is not None:
            found.append(self.classification(features[3])[0].softmax(dim=0))
        return tuple(found)


def _picture_size(features: Sequence[Tensor]) -> tuple[int, int]:
    """Return height and width of the pictures, pixel: layer 1 has the stride 4."""
    height, width = features[0].shape[-2:]
    return STRIDES[0] * int(height), STRIDES[0] * int(width)


def _resize(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(logits, size=size, mode='bilinear', align_corners=False)
