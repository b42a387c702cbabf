# SPDX-License-Identifier: Apache-2.0
"""The three heads on the shared pyramid, from torchvision's parts, each with its loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl_split_train import vision  # noqa: F401

from torchvision.models.detection.fcos import FCOS, FCOSHead  # isort: skip
from torchvision.ops import Conv2dNormActivation  # isort: skip

#: Strides at which boxes are predicted (sides up to 64, 128 and more pixels, FCOS's own ranges).
DETECTION_STRIDES = (8, 16, 32)
#: A logit whose focal loss and gradient are zero: locations inside ignored regions.
_IGNORED_LOGIT = -30.0


def make_anchors(shapes: list[tuple[int, int]]) -> Tensor:
    """Return a square per location, [L, 4] xyxy, side = stride, by ``DETECTION_STRIDES``."""
    anchors = []
    for stride, (height, width) in zip(DETECTION_STRIDES, shapes, strict=True):
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
        corner = torch.stack((x, y), dim=-1).reshape(-1, 2) * float(stride)
        anchors.append(torch.cat((corner, corner + stride), dim=1))
    return torch.cat(anchors)


def start_alive(head: FCOSHead) -> None:
    """Let the four distances of a box start at one stride.

    torchvision starts them around zero and sends them through a ReLU, where one that the first
    steps push below zero for all places stays for good: every box then ends at its location on
    that side, and nothing but the figures shows it.
    """
    nn.init.ones_(head.regression_head.bbox_reg.bias)


class DetectionHead(nn.Module):
    """FCOS (Tian et al., arXiv 1904.01355): torchvision's head, matcher and losses."""

    def __init__(
        self, widths: dict[int, int], num_classes: int, width: int = 64, depth: int = 2
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleDict(
            {
                str(s): Conv2dNormActivation(widths[s], width, kernel_size=1)
                for s in DETECTION_STRIDES
            }
        )
        self.head = FCOSHead(width, 1, num_classes, num_convs=depth)
        start_alive(self.head)

    def forward(self, levels: dict[int, Tensor]) -> dict[str, Tensor]:
        """Return what FCOS's head gives, and its anchors.

        ``cls_logits`` [N, L, K], ``bbox_regression`` [N, L, 4], ``bbox_ctrness`` [N, L, 1],
        ``anchors`` [L, 4].
        """
        features = [self.lateral[str(s)](levels[s]) for s in DETECTION_STRIDES]
        outputs: dict[str, Tensor] = self.head(features)
        outputs['anchors'] = make_anchors([tuple(f.shape[-2:]) for f in features]).to(
            features[0].device
        )
        return outputs

    def loss(self, outputs: dict[str, Tensor], targets: list[dict[str, Tensor]]) -> Tensor:
        """Return the sum of FCOS's three losses.

        Args:
            outputs: What ``forward`` returned.
            targets: Per picture ``boxes`` [M, 4] xyxy in pixels, ``labels`` [M] and ``ignored``
                [J, 4], regions (crowds) whose locations are neither object nor background.
        """
        anchors = outputs['anchors']
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2
        ignored = torch.stack([_inside_any(centres, t['ignored']) for t in targets])
        inside = torch.stack([_inside_any(centres, t['boxes']) for t in targets])
        logits = outputs['cls_logits'].float()
        logits = logits.masked_fill((ignored & ~inside)[:, :, None], _IGNORED_LOGIT)
        predicted = {
            'cls_logits': logits,
            'bbox_regression': outputs['bbox_regression'].float(),
            'bbox_ctrness': outputs['bbox_ctrness'].float(),
        }
        per_level = [int((anchors[:, 2] - anchors[:, 0] == s).sum()) for s in DETECTION_STRIDES]
        losses: dict[str, Tensor] = FCOS.compute_loss(
            self._matcher, targets, predicted, [anchors] * len(targets), per_level
        )
        return torch.stack(list(losses.values())).sum()

    @property
    def _matcher(self) -> '_Matcher':
        return _Matcher(self.head)

    def decode(self, outputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return boxes [N, L, 4] xyxy in input pixels and scores [N, L, K], 0 to 1."""
        anchors = outputs['anchors']
        size = anchors[:, 2:3] - anchors[:, 0:1]
        centre = (anchors[:, :2] + anchors[:, 2:]) / 2
        reach = outputs['bbox_regression'] * size
        boxes = torch.cat((centre - reach[..., :2], centre + reach[..., 2:]), dim=-1)
        scores = torch.sqrt(outputs['cls_logits'].sigmoid() * outputs['bbox_ctrness'].sigmoid())
        return boxes, scores


class _Matcher:
    """What ``FCOS.compute_loss`` reads of a detector: matching without building a whole one."""

    center_sampling_radius = 1.5

    def __init__(self, head: FCOSHead) -> None:
        self.head = head


def _inside_any(points: Tensor, boxes: Tensor) -> Tensor:
    """Tell for each point [L, 2] whether it lies in any of the boxes [M, 4]; [L] bool."""
    low = (points[:, None] >= boxes[None, :, :2]).all(dim=2)
    high = (points[:, None] <= boxes[None, :, 2:]).all(dim=2)
    return (low & high).any(dim=1)


def mean_cross_entropy(
    logits: Tensor, labels: Tensor, ignore: int, weight: Tensor | None = None
) -> Tensor:
    """Return the mean over the labels that are not ``ignore``, weighted by class; 0 without any."""
    total = functional.cross_entropy(
        logits, labels, weight=weight, ignore_index=ignore, reduction='sum'
    )
    known = (labels != ignore).to(logits.dtype)
    if weight is not None:
        known = known * weight[labels.clamp(0, len(weight) - 1)]
    # Without a label the sum is zero and still part of the graph, as DDP wants every parameter.
    return total / known.sum().clamp_min(1e-6)


def lovasz_softmax(logits: Tensor, labels: Tensor, ignore: int) -> Tensor:
    """Return the mean Lovasz extension of 1 - IoU over the classes that are there.

    Berman et al., arXiv 1705.08790, algorithm 1 and equation 10, over all pixels of the batch.

    Args:
        logits: Of each class, [N, K, H, W].
        labels: Class ids, [N, H, W] int64.
        ignore: Id of labels that do not count.
    """
    known = labels != ignore
    shares = logits.softmax(dim=1).permute(0, 2, 3, 1)[known]
    members = functional.one_hot(labels[known], logits.shape[1]).to(shares.dtype)
    present = members.any(dim=0)
    if not present.any():
        return logits.sum() * 0.0
    shares, members = shares[:, present], members[:, present]
    errors, order = (members - shares).abs().sort(dim=0, descending=True)
    members = members.gather(0, order)
    total = members.sum(dim=0)
    jaccard = 1.0 - (total - members.cumsum(0)) / (total + (1.0 - members).cumsum(0))
    gain = torch.cat((jaccard[:1], jaccard[1:] - jaccard[:-1]))
    return (errors * gain).sum(dim=0).mean()


class SegmentationHead(nn.Module):
    """Class logits from the stride-4 level, restored to stride 2 by sub-pixel convolution."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.refine = Conv2dNormActivation(width, width, kernel_size=3)
        self.dropout = nn.Dropout2d(0.1)
        self.classify = nn.Conv2d(width, 4 * num_classes, 1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, levels: dict[int, Tensor]) -> Tensor:
        """Return logits [N, K, H / 2, W / 2]."""
        logits: Tensor = self.shuffle(self.classify(self.dropout(self.refine(levels[4]))))
        return logits

    @staticmethod
    def loss(
        logits: Tensor, labels: Tensor, weight: Tensor, ignore: int, lovasz: float = 0.0
    ) -> Tensor:
        """Return the class-weighted cross-entropy at label size, labels [N, H, W] int64.

        Zero where every pixel has the label ``ignore``. With ``lovasz``, that much of the
        Lovasz-softmax is added.
        """
        full = functional.interpolate(
            logits.float(), size=labels.shape[-2:], mode='bilinear', align_corners=False
        )
        loss = mean_cross_entropy(full, labels, ignore, weight)
        if lovasz:
            # It sorts pixels by class: every second row and column will do, each time others.
            row, column = (int(torch.randint(2, ())) for _ in range(2))
            loss = loss + lovasz * lovasz_softmax(
                full[..., row::2, column::2], labels[..., row::2, column::2], ignore
            )
        return loss


class ClassificationHead(nn.Module):
    """A linear classifier on the globally pooled coarsest level.

    Args:
        width: Channels of that level.
        num_classes: Values of the attribute.
        light: Figures of the picture's light that it takes in beside them.
    """

    def __init__(self, width: int, num_classes: int, light: int = 0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(width + light, num_classes),
        )

    def forward(self, levels: dict[int, Tensor], light: Tensor | None = None) -> Tensor:
        """Return logits [N, K] from levels by stride and the picture's light, [N, ``light``]."""
        pooled: Tensor = self.layers[:2](levels[32])
        if light is not None:
            pooled = torch.cat((pooled, light.to(pooled.dtype)), dim=1)
        logits: Tensor = self.layers[2:](pooled)
        return logits

    @staticmethod
    def loss(logits: Tensor, labels: Tensor, ignore: int, weight: Tensor | None = None) -> Tensor:
        """Return the cross-entropy, labels [N] int64; zero where all are ``ignore``."""
        return mean_cross_entropy(logits.float(), labels, ignore, weight)
