# SPDX-License-Identifier: Apache-2.0
"""The ``mtl_split`` family: backbone and bottleneck on the camera side, the rest on the server."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtl_split_core.errors import DataError
from mtl_split_train.backbone import Backbone
from mtl_split_train.bottleneck import Bottleneck
from mtl_split_train.heads import ClassificationHead, DetectionHead, SegmentationHead
from mtl_split_train.pyramid import Pyramid

#: The network's input is a multiple of this, so that every level's size is known.
INPUT_MULTIPLE = 16


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """What builds a network; everything else about it is in its weights.

    Args:
        backbone: One of ``mtl_split_train.backbone.BACKBONES``.
        stage: Feature stages on the camera side.
        weights: torchvision's published weights for the backbone, or None.
        channels: Channels of Z_b.
        stride: Stride of Z_b in pixels, 8 or 16.
        width: Channels of the server's trunk.
        depth: Residual blocks of the trunk at the stride of Z_b.
        head_width: Channels of the detection towers.
    """

    backbone: str = 'mobilenet_v3_large'
    stage: int = 11
    weights: str | None = None
    channels: int = 64
    stride: int = 16
    width: int = 256
    depth: int = 3
    head_width: int = 96


@dataclass(slots=True)
class NetworkOutput:
    """Head outputs by task, and the estimated bits per position of each sample.

    ``bits`` [N] is None where nothing was quantised.
    """

    detection: dict[str, Tensor]
    segmentation: Tensor
    classification: Tensor
    bits: Tensor | None


class Encoder(nn.Module):
    """What runs on the camera side: normalised picture [N, 3, H, W] to Z_b [N, C, h, w]."""

    def __init__(self, config: NetworkConfig, bits: list[float]) -> None:
        super().__init__()
        self.backbone = Backbone(config.backbone, config.stage, config.weights)
        extra, remainder = divmod(config.stride, self.backbone.stride)
        if remainder or extra not in (1, 2):
            msg = (
                f'stride {config.stride} of Z_b does not fit {config.backbone} cut after stage '
                f'{config.stage}, which has stride {self.backbone.stride}; use '
                f'{self.backbone.stride} or {2 * self.backbone.stride}'
            )
            raise DataError(msg)
        self.bottleneck = Bottleneck(self.backbone.channels, config.channels, bits, stride=extra)

    def forward(self, x: Tensor) -> Tensor:
        """Return Z_b of a batch."""
        z: Tensor = self.bottleneck(self.backbone(x))
        return z


class Tail(nn.Module):
    """What runs on the server: Z_b [N, C, h, w] to the raw outputs of all heads in one pass."""

    def __init__(self, config: NetworkConfig, classes: dict[str, int]) -> None:
        super().__init__()
        self.pyramid = Pyramid(config.channels, config.stride, config.width, config.depth)
        widths = self.pyramid.widths
        self.detection = DetectionHead(widths, classes['detection'], config.head_width)
        self.segmentation = SegmentationHead(widths[4], classes['segmentation'])
        self.classification = ClassificationHead(widths[32], classes['classification'])

    def forward(self, z: Tensor) -> NetworkOutput:
        """Return the raw outputs of all heads."""
        levels = self.pyramid(z)
        return NetworkOutput(
            self.detection(levels),
            self.segmentation(levels),
            self.classification(levels),
            bits=None,
        )


class SplitNetwork(nn.Module):
    """Encoder, quantiser and tail in one module: what is trained.

    Args:
        config: Shapes of the network.
        classes: Number of classes of ``detection``, ``segmentation`` and ``classification``.
        bits: Entropy of one value of Z_b that each rate starts with, smallest first.
    """

    def __init__(self, config: NetworkConfig, classes: dict[str, int], bits: list[float]) -> None:
        super().__init__()
        self.encoder = Encoder(config, bits)
        self.tail = Tail(config, classes)

    def forward(self, x: Tensor, rate: Tensor | None = None) -> NetworkOutput:
        """Run the whole network.

        Args:
            x: Normalised pictures, [N, 3, H, W], H and W multiples of ``INPUT_MULTIPLE``.
            rate: Rate index of each sample, [N]; None leaves Z_b unquantised.
        """
        z = self.encoder(x)
        if rate is None:
            output: NetworkOutput = self.tail(z)
            return output
        with torch.autocast(z.device.type, enabled=False):
            quantised, bits = self.encoder.bottleneck.quantise(z.float(), rate)
        output = self.tail(quantised)
        output.bits = bits
        return output


class TailGraph(nn.Module):
    """The tail as tail.onnx has it: decoded boxes, a label map at input size, probabilities.

    Maps Z_b [1, C, h, w] to boxes [L, 4] xyxy in input pixels, scores [L, K], mask uint8 [H, W]
    and probabilities [K].

    Args:
        tail: The trained tail.
        size: Height and width of the network input, pixel.
    """

    def __init__(self, tail: Tail, size: tuple[int, int]) -> None:
        super().__init__()
        self.tail = tail
        self.size = size

    def forward(self, z_b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what tail.onnx gives for one frame."""
        return self.answers(self.tail(z_b))

    def answers(self, output: NetworkOutput) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Turn the raw outputs of one frame into what tail.onnx gives."""
        boxes, scores = self.tail.detection.decode(output.detection)
        logits = nn.functional.interpolate(
            output.segmentation, size=self.size, mode='bilinear', align_corners=False
        )
        mask = logits[0].argmax(dim=0).to(torch.uint8)
        return boxes[0], scores[0], mask, output.classification[0].softmax(dim=0)
