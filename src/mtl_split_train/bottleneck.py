# SPDX-License-Identifier: Apache-2.0
"""The learned quantiser of Z_b and the density that its training rate is estimated with.

    z_b --(* gain[rate])--> round --> symbols --(* step[rate])--> z_b of the server
                                         |
                                         +--> density --> bits

One set of weights serves all rates: a rate is a gain and a reconstruction step per channel
(Slimmable encoders, arXiv 2306.12691). Rounding passes gradients straight through, for the tail and
for the density alike (Theis et al., arXiv 1703.00395). Uniform noise in place of rounding, the more
usual choice, overstates the cost of channels that are nearly always zero: in a run with small gains
it reported 3.3 kB a frame where 4 bytes were sent.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl_split_train.light import LIGHT_GAIN

#: Channels in which fine and coarse features meet.
_DETAIL_WIDTH = 24


class Density(nn.Module, ABC):
    """How likely the values of Z_b are, by channel."""

    @abstractmethod
    def bits(self, z: Tensor, half_width: Tensor) -> Tensor:
        """Return the bits of each value of ``z`` known to within ``half_width`` [N, C, 1, 1]."""


class LogisticMixture(Density):
    """Density of each channel of Z_b as a mixture of logistic distributions, shared by all rates.

    A fully factorised prior (Balle et al., arXiv 1802.01436, appendix 6.1) with a parametric
    cumulative function. It exists for training only: the bundle carries integer histograms of the
    trained encoder's symbols.
    """

    def __init__(self, channels: int, components: int = 3) -> None:
        super().__init__()
        spread = torch.linspace(-1.0, 1.0, components).repeat(channels, 1)
        self.weight = nn.Parameter(torch.zeros(channels, components))
        self.mean = nn.Parameter(spread)
        self.log_scale = nn.Parameter(torch.full((channels, components), -1.0))

    def cumulative(self, z: Tensor) -> Tensor:
        """Return P(Z <= z) for ``z`` [N, C, h, w]."""
        weight = self.weight.softmax(dim=1)
        total = torch.zeros_like(z)
        for k in range(self.weight.shape[1]):
            mean, scale, share = (
                p[None, :, None, None]
                for p in (self.mean[:, k], self.log_scale[:, k].exp(), weight[:, k])
            )
            total = total + share * torch.sigmoid((z - mean) / scale)
        return total

    def bits(self, z: Tensor, half_width: Tensor) -> Tensor:
        """Return the bits of each value of ``z`` known to within ``half_width`` [N, C, 1, 1]."""
        likelihood = self.cumulative(z + half_width) - self.cumulative(z - half_width)
        return -likelihood.clamp_min(1e-6).log2()


def gain_for(bits: float) -> float:
    """Return the gain at which a rounded standard normal value has ``bits``, 0.01 to 6."""
    low, high = 1e-2, 1e2
    for _ in range(40):
        gain = math.sqrt(low * high)
        edges = (torch.arange(-600, 601, dtype=torch.float64) - 0.5) / gain
        share = torch.special.ndtr(edges).diff()
        entropy = -torch.special.xlogy(share, share).sum().item() / math.log(2.0)
        low, high = (gain, high) if entropy < bits else (low, gain)
    return gain


class Detail(nn.Module):
    """Channels of Z_b that say where things end: what is thinner than the stride of Z_b.

    A few channels at a finer stride, folded into the grid of Z_b (space to depth). They come from
    the backbone's features at that stride and all coarser ones, so that the bits go to the edges
    that matter and not to texture.

    Args:
        widths: Channels of the backbone's features, finest first.
        channels: Channels of Z_b that this gives, a multiple of ``fold`` squared.
        fold: Stride of Z_b over that of the finest features.
        classes: Classes of the segmentation that ``guess`` knows; 0 for none.
    """

    def __init__(self, widths: list[int], channels: int, fold: int, classes: int = 0) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(w, _DETAIL_WIDTH, 1, bias=False) for w in widths)
        self.norm = nn.BatchNorm2d(_DETAIL_WIDTH)
        self.project = nn.Sequential(
            nn.Conv2d(_DETAIL_WIDTH, channels // fold**2, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels // fold**2, affine=False),
            nn.PixelUnshuffle(fold),
        )
        self.guess = nn.Conv2d(_DETAIL_WIDTH, 4 * classes, 3, padding=1) if classes else None

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Map features, finest first, to channels of Z_b and a guess at the segmentation.

        Returns:
            [N, ``channels``, h, w], and while training class logits at twice the resolution of
            the finest features, which have not gone through the quantiser: with them the loss
            reaches the camera side directly (deep supervision, arXiv 1409.5185).
        """
        size = levels[0].shape[-2:]
        total = self.laterals[0](levels[0])
        for lateral, level in zip(self.laterals[1:], levels[1:], strict=True):
            total = total + functional.interpolate(lateral(level), size=size, mode='nearest')
        y = functional.relu(self.norm(total))
        z: Tensor = self.project(y)
        if self.guess is None or not self.training:
            return z, None
        return z, functional.pixel_shuffle(self.guess(y), 2)


class Quantiser(nn.Module):
    """Rounds Z_b at one of several rates, each with its own gain and step per channel.

    Args:
        gains: Symbols per unit that each rate starts with, smallest first.
        channels: Channels of Z_b.
        density: Of its channels; a mixture of logistic distributions if None.
        light: Channels of Z_b that follow them, with ``LIGHT_GAIN`` symbols per unit at every
            rate. The estimate of the bits leaves them out: they say something in one position.
    """

    def __init__(
        self, gains: list[float], channels: int, density: Density | None = None, light: int = 0
    ) -> None:
        super().__init__()
        self.light = light
        start = torch.tensor([math.log(gain) for gain in gains])[:, None].repeat(1, channels)
        self.log_gain = nn.Parameter(start)
        self.log_step = nn.Parameter(-start.clone())
        self.density = density or LogisticMixture(channels)

    @property
    def rates(self) -> int:
        """Number of rates; rate 0 is the smallest."""
        return self.log_gain.shape[0]

    @property
    def gains(self) -> Tensor:
        """Symbols per unit of Z_b, [rates, channels of Z_b]."""
        return functional.pad(self.log_gain.exp(), (0, self.light), value=LIGHT_GAIN)

    @property
    def steps(self) -> Tensor:
        """Units of Z_b per symbol, [rates, channels of Z_b]."""
        return functional.pad(self.log_step.exp(), (0, self.light), value=1.0 / LIGHT_GAIN)

    def quantise(self, z: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
        """Quantise Z_b at one rate per sample.

        Args:
            z: Z_b, [N, C, h, w].
            rate: Rate index of each sample, [N], 0 to ``rates`` - 1.

        Returns:
            Z_b as the server sees it, [N, C, h, w], and the estimated bits per spatial position
            of each sample, [N].
        """
        gain, step = (value[rate][:, :, None, None] for value in (self.gains, self.steps))
        y = z * gain
        rounded = y + (y.round() - y).detach()
        learnt = slice(self.log_gain.shape[1])
        values, half_width = (rounded / gain)[:, learnt], 0.5 / gain[:, learnt]
        bits = self.density.bits(values, half_width).sum(dim=1).mean(dim=(1, 2))
        return rounded * step, bits


class Bottleneck(Quantiser):
    """Projects backbone features to Z_b and quantises them at one of several rates.

    Args:
        in_channels: Channels of the backbone's features.
        channels: Channels of Z_b that are made from them.
        bits: Entropy of one value of Z_b that each rate starts with, smallest first.
        stride: Stride of the projection, 1 or 2.
        detail_channels: Channels that follow them in Z_b, made by ``Detail``.
        light: Channels at its end, made by ``Light``.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        bits: list[float],
        stride: int = 1,
        detail_channels: int = 0,
        light: int = 0,
    ) -> None:
        super().__init__([gain_for(b) for b in bits], channels + detail_channels, light=light)
        kernel = 1 if stride == 1 else 5
        self.project = nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False),
            # Without an affine part Z_b has unit spread: a gain means the same in every channel.
            nn.BatchNorm2d(channels, affine=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features [N, in, H, W] to Z_b [N, C, h, w], without detail and light."""
        z: Tensor = self.project(features)
        return z


class RateController(nn.Module):
    """Finds for each rate the weight of the bits in the loss that holds a frame at its target.

    Dual ascent on log(lambda): too many bytes raise it, too few lower it. A target in bytes is
    what an engineer can state; the multiplier that reaches it depends on data, network and
    schedule.
    """

    log_lambda: Tensor
    targets: Tensor

    def __init__(self, targets: list[float], speed: float = 0.005) -> None:
        super().__init__()
        self.register_buffer('targets', torch.tensor(targets))
        # Loss per kilobyte: about what one buys at that size, so that the start is near the end.
        self.register_buffer('log_lambda', torch.log(0.1 * (1000.0 / torch.tensor(targets))))
        self.speed = speed

    def forward(self, frame_bytes: Tensor, rate: Tensor) -> Tensor:
        """Return the rate term of the loss for samples of ``frame_bytes`` [N] at ``rate`` [N]."""
        weight = self.log_lambda[rate].exp()
        if self.training:
            ratio = frame_bytes.detach() / self.targets[rate]
            push = torch.zeros_like(self.log_lambda).index_add_(
                0, rate, ratio.log().clamp(-1.0, 1.0)
            )
            self.log_lambda += self.speed * push
        return functional.relu(frame_bytes / 1000.0 * weight).mean()
