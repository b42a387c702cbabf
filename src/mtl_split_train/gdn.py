# SPDX-License-Identifier: Apache-2.0
"""Generalised divisive normalisation from plain operators, so that ONNX knows all of them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_FLOOR = 1e-6


class GDN(nn.Module):
    """y_i = x_i / (beta_i + sum_j gamma_ij |x_j|), or its inverse, which multiplies.

    The form that Balle simplified (arXiv 1802.00847) from Balle et al., arXiv 1511.06281. Squares
    keep beta and gamma from falling below zero.

    Args:
        channels: Channels of the input.
        inverse: Whether to multiply instead of dividing.
    """

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta_root = nn.Parameter(torch.ones(channels))
        # Not zero off the diagonal: a square there has no gradient.
        self.gamma_root = nn.Parameter((0.1 * torch.eye(channels) + _FLOOR).sqrt())

    def forward(self, x: Tensor) -> Tensor:
        """Normalise features [N, C, H, W]."""
        gamma = self.gamma_root.square()[:, :, None, None]
        norm = functional.conv2d(x.abs(), gamma, self.beta_root.square() + _FLOOR)
        return x * norm if self.inverse else x / norm
