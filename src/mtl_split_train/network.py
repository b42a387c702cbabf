# SPDX-License-Identifier: Apache-2.0
"""The ``mtl_split`` family: backbone and bottleneck on the camera side, the rest on the server."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtl_split_core.errors import DataError
from mtl_split_train.backbone import Backbone
from mtl_split_train.bottleneck import Bottleneck, Detail
from mtl_split_train.heads import ClassificationHead, DetectionHead, SegmentationHead
from mtl_split_train.light import LIGHT_CHANNELS, Light, read_light
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
        channels: Channels of Z_b from the last stage's features.
        stride: Stride of Z_b in pixels, 8 or 16.
        detail_channels: Channels of Z_b beside them that carry finer features folded into the
            grid of Z_b, a multiple of (stride / detail_stride) squared; 0 for none.
        detail_stride: Stride of these features in pixels, 4 or 8, below ``stride``.
        light: Whether Z_b ends with the picture's light, for the classification.
        width: Channels of the server's trunk.
        depth: Residual blocks of the trunk at the stride of Z_b.
        head_width: Channels of the detection towers.
    """

    backbone: str = 'mobilenet_v3_large'
    stage: int = 11
    weights: str | None = None
    channels: int = 64
    stride: int = 16
    detail_channels: int = 0
    detail_stride: int = 4
    light: bool = False
    width: int = 160
    depth: int = 3
    head_width: int = 64

    def __post_init__(self) -> None:
        fold, remainder = divmod(self.stride, self.detail_stride) if self.detail_stride else (0, 0)
        if self.detail_channels and (fold < 2 or remainder or self.detail_stride not in (4, 8)):
            msg = (
                f'network.detail_stride is {self.detail_stride}; it must be 4 or 8 and below '
                f'network.stride, {self.stride}'
            )
            raise DataError(msg)
        if self.detail_channels % max(1, fold**2):
            msg = (
                f'network.detail_channels is {self.detail_channels}; it must be a multiple of '
                f'{fold**2}, (stride / detail_stride) squared'
            )
            raise DataError(msg)

    @property
    def z_channels(self) -> int:
        """All channels of Z_b."""
        return self.channels + self.detail_channels + self.light_channels

    @property
    def light_channels(self) -> int:
        """Those of them that say how bright the picture is and of what colour."""
        return LIGHT_CHANNELS if self.light else 0


@dataclass(slots=True)
class NetworkOutput:
    """Head outputs by task, and the estimated bits per position of each sample.

    ``bits`` [N] is None where nothing was quantised, an output where the network has no such task.
    ``guess``: class logits of the camera side, while training one that has detail.
    """

    detection: dict[str, Tensor] | None
    segmentation: Tensor | None
    classification: Tensor | None
    bits: Tensor | None
    guess: Tensor | None = None


class Encoder(nn.Module):
    """What runs on the camera side: normalised picture [N, 3, H, W] to Z_b [N, C, h, w]."""

    def __init__(self, config: NetworkConfig, bits: list[float], classes: int = 0) -> None:
        super().__init__()
        finest = config.detail_stride if config.detail_channels else 0
        self.backbone = Backbone(config.backbone, config.stage, config.weights, finest)
        extra, remainder = divmod(config.stride, self.backbone.stride)
        if remainder or extra not in (1, 2):
            msg = (
                f'stride {config.stride} of Z_b does not fit {config.backbone} cut after stage '
                f'{config.stage}, which has stride {self.backbone.stride}; use '
                f'{self.backbone.stride} or {2 * self.backbone.stride}'
            )
            raise DataError(msg)
        self.bottleneck = Bottleneck(
            self.backbone.channels,
            config.channels,
            bits,
            extra,
            config.detail_channels,
            config.light_channels,
        )
        self.light = Light() if config.light else None
        self.detail = None
        if finest:
            widths = [tap.channels for tap in self.backbone.taps]
            fold = config.stride // finest
            self.detail = Detail(widths, config.detail_channels, fold, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return Z_b of a batch."""
        return self.explain(x)[0]

    def explain(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return Z_b of a batch, and while training what ``Detail`` guesses from it."""
        guess = None
        if self.detail is None:
            parts = [self.bottleneck(self.backbone(x))]
        else:
            levels = self.backbone.levels(x)
            detail, guess = self.detail(levels)
            parts = [self.bottleneck(levels[-1]), detail]
        if self.light is not None:
            parts.append(self.light(x, parts[0].shape[-2:]))
        return torch.cat(parts, dim=1), guess


class Tail(nn.Module):
    """What runs on the server: Z_b [N, C, h, w] to the raw outputs of all heads in one pass.

    A task without classes has no head, and the pyramid none of the levels that only it would use.
    """

    def __init__(self, config: NetworkConfig, classes: dict[str, int]) -> None:
        super().__init__()
        self.light = config.light_channels
        if not any(classes.values()):
            msg = 'the data has labels for no task; it needs boxes, label maps or an attribute'
            raise DataError(msg)
        finest = 4 if classes['segmentation'] else 8 if classes['detection'] else 32
        self.pyramid = Pyramid(
            config.channels,
            config.stride,
            config.width,
            config.depth,
            finest,
            detail_channels=config.detail_channels,
            detail_stride=config.detail_stride,
        )
        widths = self.pyramid.widths
        self.detection = (
            DetectionHead(widths, classes['detection'], config.head_width)
            if classes['detection']
            else None
        )
        self.segmentation = (
            SegmentationHead(widths[4], classes['segmentation'])
            if classes['segmentation']
            else None
        )
        self.classification = (
            ClassificationHead(widths[32], classes['classification'], config.light_channels)
            if classes['classification']
            else None
        )

    def forward(self, z: Tensor) -> NetworkOutput:
        """Return the raw outputs of all heads."""
        light = None
        if self.light:
            z, light = z[:, : -self.light], read_light(z[:, -self.light :])
        levels = self.pyramid(z)
        return NetworkOutput(
            self.detection(levels) if self.detection else None,
            self.segmentation(levels) if self.segmentation else None,
            self.classification(levels, light) if self.classification else None,
            bits=None,
        )


class SplitNetwork(nn.Module):
    """Encoder, quantiser and tail in one module: what is trained.

    Args:
        config: Shapes of the network.
        classes: Number of classes of ``detection``, ``segmentation`` and ``classification``, 0
            for an absent task.
        bits: Entropy of one value of Z_b that each rate starts with, smallest first.
    """

    def __init__(self, config: NetworkConfig, classes: dict[str, int], bits: list[float]) -> None:
        super().__init__()
        self.encoder = Encoder(config, bits, classes['segmentation'])
        self.tail = Tail(config, classes)

    def forward(
        self, x: Tensor, rate: Tensor | None = None, whole: Tensor | None = None
    ) -> NetworkOutput:
        """Run the whole network.

        Args:
            x: Normalised pictures, [N, 3, H, W], H and W multiples of ``INPUT_MULTIPLE``.
            rate: Rate index of each sample, [N]; None leaves Z_b unquantised.
            whole: Samples that pass unquantised although they have a rate, [N] bool.
        """
        z, guess = self.encoder.explain(x)
        if rate is None:
            output: NetworkOutput = self.tail(z)
            return output
        with torch.autocast(z.device.type, enabled=False):
            quantised, bits = self.encoder.bottleneck.quantise(z.float(), rate)
            if whole is not None:
                quantised = torch.where(whole[:, None, None, None], z.float(), quantised)
        output = self.tail(quantised)
        output.bits, output.guess = bits, guess
        return output


class TailGraph(nn.Module):
    """The tail as tail.onnx has it: decoded boxes, a label map at input size, probabilities.

    Maps Z_b [N, C, h, w] of N frames to boxes [N, L, 4] xyxy in input pixels, scores [N, L, K],
    masks uint8 [N, H, W] and probabilities [N, K], those of absent tasks left out. No frame has a
    part in the answer to another.

    Args:
        tail: The trained tail.
        size: Height and width of the network input, pixel.
        attribute: Name of the classification task, and so of its output.
    """

    def __init__(self, tail: Tail, size: tuple[int, int], attribute: str) -> None:
        super().__init__()
        self.tail = tail
        self.size = size
        self.attribute = attribute

    @property
    def names(self) -> list[str]:
        """Names of the outputs, in their order."""
        return [
            *(['boxes', 'scores'] if self.tail.detection else []),
            *(['mask'] if self.tail.segmentation else []),
            *([self.attribute] if self.tail.classification else []),
        ]

    def forward(self, z_b: Tensor) -> tuple[Tensor, ...]:
        """Return what tail.onnx gives."""
        return tuple(self.answers(self.tail(z_b)).values())

    def answers(self, output: NetworkOutput) -> dict[str, Tensor]:
        """Turn the raw outputs into what tail.onnx gives, by ``names``."""
        answers: list[Tensor] = []
        if self.tail.detection is not None and output.detection is not None:
            boxes, scores = self.tail.detection.decode(output.detection)
            answers += [boxes, scores]
        if output.segmentation is not None:
            logits = nn.functional.interpolate(
                output.segmentation, size=self.size, mode='bilinear', align_corners=False
            )
            answers.append(logits.argmax(dim=1).to(torch.uint8))
        if output.classification is not None:
            answers.append(output.classification.softmax(dim=1))
        return dict(zip(self.names, answers, strict=True))
