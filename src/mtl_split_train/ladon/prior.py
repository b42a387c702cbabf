# SPDX-License-Identifier: Apache-2.0
"""The density of z that Ladon's rate is estimated with while it is trained."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl_split_train.bottleneck import Density

#: Widths of the layers between a value and its logit, and how wide the density begins, as in the
#: paper's experiments and in CompressAI's ``EntropyBottleneck``.
_WIDTHS = (3, 3, 3, 3)
_START = 10.0


class FactorisedPrior(Density):
    """A learnt cumulative function for each channel (Balle et al., arXiv 1802.01436, app. 6.1).

    Args:
        channels: Channels of z.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (1, *_WIDTHS, 1)
        scale = _START ** (1 / (len(_WIDTHS) + 1))
        self.matrices, self.biases, self.factors = (nn.ParameterList() for _ in range(3))
        for before, after in pairwise(widths):
            start = math.log(math.expm1(1 / scale / after))
            self.matrices.append(nn.Parameter(torch.full((channels, after, before), start)))
            self.biases.append(nn.Parameter(torch.rand(channels, after, 1) - 0.5))
        for width in _WIDTHS:
            self.factors.append(nn.Parameter(torch.zeros(channels, width, 1)))

    def logits(self, z: Tensor) -> Tensor:
        """Return the logit of P(Z <= z) for ``z`` [N, C, h, w]."""
        x = z.transpose(0, 1).flatten(1)[:, None]
        for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            x = functional.softplus(matrix) @ x + bias
            if i < len(self.factors):
                x = x + self.factors[i].tanh() * x.tanh()
        return x[:, 0].reshape(z.shape[1], len(z), *z.shape[2:]).transpose(0, 1)

    def bits(self, z: Tensor, half_width: Tensor) -> Tensor:
        """Return the bits of each value of ``z`` known to within ``half_width`` [N, C, 1, 1]."""
        low, high = self.logits(z - half_width), self.logits(z + half_width)
        # On the side of the median where the sigmoids are far from 1, and so precise.
        sign = torch.where(low + high > 0, -1.0, 1.0)
        likelihood = ((sign * high).sigmoid() - (sign * low).sigmoid()).abs()
        return -likelihood.clamp_min(1e-9).log2()
