# SPDX-License-Identifier: Apache-2.0
"""The two steps of Faster R-CNN that torchvision leaves to compiled operators, in plain ones.

A CPU build of torch has neither ``torchvision::nms`` nor ``torchvision::roi_align``
(``mtl_split_train.vision``), and an ONNX graph wants shapes that do not depend on the picture. So
proposals are suppressed by matrices and regions are pooled by lookups; both give what torchvision's
operators give.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl_split_train import vision  # noqa: F401  (declares operators before the next import)

from torchvision.models.detection.rpn import RegionProposalNetwork  # isort: skip

#: Strides of the pyramid's levels in pixels, finest first; the last one is for proposals alone.
STRIDES = (4, 8, 16, 32, 64)
#: Rounds of suppression: exact unless more than so many boxes suppress one another in a chain.
_ROUNDS = 16
#: Side of a region, pixel, and the level that it belongs to (Lin et al., arXiv 1612.03144, eq. 1).
_CANONICAL_SIDE, _CANONICAL_LEVEL, _FINEST_LEVEL = 224.0, 4.0, 2
#: Bins of a pooled region along a side, and samples of a bin along a side.
_BINS, _SAMPLES = 7, 2


def overlaps(boxes: Tensor) -> Tensor:
    """Return the intersection over union of each pair of boxes [N, k, 4] xyxy, [N, k, k]."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    common = (high - low).clamp_min(0).prod(dim=-1)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
    return common / (area[:, :, None] + area[:, None, :] - common).clamp_min(1e-9)


def unsuppressed(boxes: Tensor, threshold: float) -> Tensor:
    """Tell which boxes greedy non-maximum suppression keeps.

    A box stays where no better box that stays overlaps it. Each round settles all boxes whose
    chain of better ones is as long as the rounds so far.

    Args:
        boxes: Best first, [N, k, 4] xyxy.
        threshold: Overlap above which the weaker box goes, 0 to 1.

    Returns:
        bool [N, k].
    """
    better = (overlaps(boxes) > threshold).to(boxes.dtype).triu(diagonal=1)
    kept = torch.ones_like(boxes[:, None, :, 0])
    for _ in range(_ROUNDS):
        kept = (kept @ better < 0.5).to(boxes.dtype)
    return kept[:, 0] > 0.5


class Proposals(RegionProposalNetwork):
    """torchvision's network of proposals; every picture gets the same number of them.

    Where fewer are left after suppression, suppressed ones fill the places: they overlap better
    ones, so suppression at the end drops what they find.
    """

    def filter_proposals(
        self,
        proposals: Tensor,
        objectness: Tensor,
        image_shapes: list[tuple[int, int]],
        num_anchors_per_level: list[int],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the best proposals of each picture, [P, 4] xyxy, and their scores, [P].

        Args:
            proposals: [N, A, 4] xyxy of all anchors.
            objectness: Logits of all anchors, any shape with N first.
            image_shapes: Height and width of each picture, all alike.
            num_anchors_per_level: Of the A anchors, finest level first.
        """
        height, width = image_shapes[0]
        logits = objectness.detach().reshape(len(proposals), -1)
        most = min(self.pre_nms_top_n(), max(num_anchors_per_level))
        best, boxes = [], []
        start = 0
        for count in num_anchors_per_level:
            level = slice(start, start + count)
            start += count
            values, order = logits[:, level].topk(min(most, count), dim=1)
            chosen = proposals[:, level].gather(1, order[..., None].expand(-1, -1, 4))
            # Levels of one length are one batch of matrices; what fills them up has no area.
            missing = most - order.shape[1]
            best.append(functional.pad(values, (0, missing)))
            boxes.append(functional.pad(chosen, (0, 0, 0, missing)))
        scores, found = torch.stack(best, dim=1).sigmoid(), torch.stack(boxes, dim=1)
        limit = found.new_tensor([width, height])
        low, high = (side.clamp_min(0).minimum(limit) for side in (found[..., :2], found[..., 2:]))
        found = torch.cat((low, high), dim=-1)
        kept = unsuppressed(found.flatten(0, 1), self.nms_thresh).reshape(scores.shape)
        # Kept ones first, then suppressed ones, then those without area.
        area = (high - low >= self.min_size).all(dim=-1)
        marks = (scores + area.to(scores.dtype) * (1 + kept.to(scores.dtype))).flatten(1)
        real = sum(min(most, count) for count in num_anchors_per_level)
        marks, order = marks.topk(min(self.post_nms_top_n(), real), dim=1)
        found = found.flatten(1, 2).gather(1, order[..., None].expand(-1, -1, 4))
        return list(found), list(marks)


class RegionPool(nn.Module):
    """RoI align over a pyramid (He et al., arXiv 1703.06870), each region from the level it fits.

    What ``torchvision.ops.MultiScaleRoIAlign`` gives with 7 x 7 bins of 2 x 2 samples, for boxes
    within the picture.

    Args:
        levels: Names of the levels, finest first, at strides 4, 8, ...
    """

    def __init__(self, levels: tuple[str, ...]) -> None:
        super().__init__()
        self.levels = levels

    def forward(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        image_shapes: list[tuple[int, int]],  # noqa: ARG002  (torchvision's signature)
    ) -> Tensor:
        """Return pooled regions [R, C, 7, 7] of ``boxes`` [P, 4] of each picture."""
        maps = [features[name] for name in self.levels]
        regions = torch.cat(boxes)
        frame = torch.cat(
            [torch.full_like(b[:, 0], i, dtype=torch.long) for i, b in enumerate(boxes)]
        )
        level = self._level(regions)
        # All features in one table, a row per place: the samples of a region are looked up there.
        table = torch.cat([m.permute(0, 2, 3, 1).flatten(0, 2) for m in maps])
        sizes = [len(m) * m.shape[2] * m.shape[3] for m in maps]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        start, height, width, stride = (
            torch.tensor(values, device=level.device)[level]
            for values in (starts, [m.shape[2] for m in maps], [m.shape[3] for m in maps], STRIDES)
        )
        row = start + frame * height * width
        (x0, x1, wx), (y0, y1, wy) = (
            _samples(regions[:, axis] / stride, regions[:, axis + 2] / stride, limit)
            for axis, limit in ((0, width), (1, height))
        )
        corners = [
            (row[:, None, None] + y[:, :, None] * width[:, None, None] + x[:, None, :],
             weight_y[:, :, None] * weight_x[:, None, :])
            for y, weight_y in ((y0, 1 - wy), (y1, wy))
            for x, weight_x in ((x0, 1 - wx), (x1, wx))
        ]  # fmt: skip
        if self.training:
            return _weighted_sums(table, corners)
        pooled = torch.zeros((), device=table.device)
        for index, weight in corners:
            value = table.index_select(0, index.flatten()).reshape(*index.shape, -1)
            pooled = pooled + value * weight[..., None]
        shape = (_BINS, _SAMPLES, _BINS, _SAMPLES)
        return pooled.reshape(-1, *shape, table.shape[1]).mean(dim=(2, 4)).permute(0, 3, 1, 2)

    def _level(self, regions: Tensor) -> Tensor:
        """Return the index of the level of each region."""
        side = (regions[:, 2:] - regions[:, :2]).prod(dim=1).clamp_min(1e-6).sqrt()
        level = _CANONICAL_LEVEL + (side / _CANONICAL_SIDE).log() / math.log(2.0) + 1e-6
        last = _FINEST_LEVEL + len(self.levels) - 1
        return level.floor().clamp(_FINEST_LEVEL, last).long() - _FINEST_LEVEL


def _weighted_sums(table: Tensor, corners: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the pooled regions [R, C, 7, 7] in one operator that keeps no sample.

    Half the time of the lookups with their gradients, but no graph of ONNX has it.

    Args:
        table: Features, a row per place, [places, C].
        corners: Rows of the four places around each sample and their shares, [R, 14, 14] each.
    """
    shape = (-1, _BINS, _SAMPLES, _BINS, _SAMPLES)
    index, weight = (
        # The 16 places of a bin side by side.
        torch.stack(values, dim=-1).reshape(*shape, len(corners)).transpose(2, 3).flatten(3)
        for values in zip(*corners, strict=True)
    )
    sums = functional.embedding_bag(
        index.flatten(0, 2),
        table,
        per_sample_weights=weight.flatten(0, 2) / _SAMPLES**2,
        mode='sum',
    )
    return sums.reshape(-1, _BINS, _BINS, table.shape[1]).permute(0, 3, 1, 2)


def _samples(low: Tensor, high: Tensor, limit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the places left and right of each sample along an axis, and the share of the right.

    Args:
        low: Where each region begins, in places of its level, [R].
        high: Where it ends.
        limit: Places of its level along the axis.
    """
    count = _BINS * _SAMPLES
    step = (high - low).clamp_min(1.0) / count
    middle = torch.arange(count, device=low.device) + 0.5
    position = low[:, None] + middle * step[:, None]
    position = position.clamp_min(0).minimum((limit - 1).to(low.dtype)[:, None])
    left = position.floor()
    right = (left + 1).minimum((limit - 1).to(low.dtype)[:, None])
    return left.long(), right.long(), position - left
