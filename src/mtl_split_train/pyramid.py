# SPDX-License-Identifier: Apache-2.0
"""The server's trunk: from Z_b to features at strides 4, 8, 16 and 32 that all heads share."""

import torch
from torch import Tensor, nn

from mtl_split_train import vision  # noqa: F401

from torchvision.models.resnet import BasicBlock  # isort: skip
from torchvision.ops import Conv2dNormActivation  # isort: skip

#: Channels of the upsampled levels; the rest have the trunk's width.
FINE_WIDTHS = {4: 32, 8: 96}


class Upsample(nn.Module):
    """Doubles the resolution by sub-pixel convolution (arXiv 1609.05158), then refines."""

    def __init__(self, in_channels: int, out_channels: int, detail: int = 0) -> None:
        super().__init__()
        self.expand = Conv2dNormActivation(in_channels, 4 * out_channels, kernel_size=1)
        self.shuffle = nn.PixelShuffle(2)
        self.detail = nn.Conv2d(detail, out_channels, 3, padding=1) if detail else None
        self.block = BasicBlock(out_channels, out_channels)

    def forward(self, x: Tensor, detail: Tensor | None = None) -> Tensor:
        """Return [N, out, 2 H, 2 W]; ``detail`` [N, detail, 2 H, 2 W] takes part."""
        x = self.shuffle(self.expand(x))
        if self.detail is not None and detail is not None:
            x = torch.relu(x + self.detail(detail))
        y: Tensor = self.block(x)
        return y


class Pyramid(nn.Module):
    """Residual trunk at the stride of Z_b, one way down to stride 32, one way up to stride 4.

    A feature pyramid (Lin et al., arXiv 1612.03144) whose bottom-up half starts at Z_b: finer
    levels cannot come from the backbone, they are restored from what Z_b carries.

    Args:
        in_channels: Channels of Z_b without those of the detail.
        stride: Stride of Z_b in pixels, 8 or 16.
        width: Channels of the trunk.
        depth: Residual blocks at the stride of Z_b.
        finest: Stride of the finest level that a head wants: 4, 8, or 32 without the way up.
        detail_channels: Channels of Z_b, its last, that carry finer features folded into its grid.
        detail_stride: Stride of these features; the levels from it up to Z_b take them in.
    """

    def __init__(
        self,
        in_channels: int,
        stride: int,
        width: int = 160,
        depth: int = 3,
        finest: int = 4,
        *,
        detail_channels: int = 0,
        detail_stride: int = 4,
    ) -> None:
        super().__init__()
        if stride not in (8, 16):
            msg = f'Z_b at stride {stride} is not supported; use 8 or 16'
            raise ValueError(msg)
        self.stride = stride
        self.split = [in_channels, detail_channels]
        self.detail_stride = detail_stride
        self.stem = Conv2dNormActivation(in_channels, width, kernel_size=3)
        self.trunk = nn.ModuleDict(
            {str(stride): nn.Sequential(*(BasicBlock(width, width) for _ in range(depth)))}
        )
        self.widths = {s: FINE_WIDTHS.get(s, width) for s in (4, 8, 16, 32)}
        self.widths[stride] = width
        for level in (16, 32):
            if level > stride:
                shorten = Conv2dNormActivation(width, width, 1, stride=2, activation_layer=None)
                self.trunk[str(level)] = nn.Sequential(
                    BasicBlock(width, width, stride=2, downsample=shorten), BasicBlock(width, width)
                )
        self.context = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1))
        self.merge = nn.ModuleDict(
            {
                str(s): Conv2dNormActivation(width, width, kernel_size=3)
                for s in (16, 8)
                if s >= max(stride, finest)
            }
        )
        self.up = nn.ModuleDict(
            {
                str(s): Upsample(
                    self.widths[2 * s],
                    self.widths[s],
                    detail_channels * s**2 // stride**2 if s >= detail_stride else 0,
                )
                for s in (8, 4)
                if finest <= s < stride
            }
        )

    def forward(self, z: Tensor) -> dict[int, Tensor]:
        """Map Z_b [N, C, h, w] to features by stride.

        {4, 8, 16, 32}, from ``finest`` on -> [N, ``widths[stride]``, H / stride, W / stride].
        """
        levels: dict[int, Tensor] = {}
        z, detail = torch.split(z, self.split, dim=1)
        x = self.stem(z)
        for name, blocks in self.trunk.items():
            x = blocks(x)
            levels[int(name)] = x
        levels[32] = torch.relu(x + self.context(x))
        for name, merge in self.merge.items():
            stride = int(name)
            coarse = nn.functional.interpolate(
                levels[2 * stride], size=levels[stride].shape[-2:], mode='nearest'
            )
            levels[stride] = merge(levels[stride] + coarse)
        for name, up in self.up.items():
            levels[int(name)] = up(levels[2 * int(name)], self._unfold(detail, int(name)))
        return levels

    def _unfold(self, detail: Tensor, stride: int) -> Tensor | None:
        """Return the detail [N, C, h, w] at a finer stride, None where it has nothing to say."""
        if not detail.shape[1] or stride < self.detail_stride:
            return None
        # By way of its own stride: folding orders channels by the place within one position.
        whole = nn.functional.pixel_shuffle(detail, self.stride // self.detail_stride)
        return nn.functional.pixel_unshuffle(whole, stride // self.detail_stride)
