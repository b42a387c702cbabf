# SPDX-License-Identifier: Apache-2.0
"""The light of a picture: how bright it is and of what colour, sent beside the features.

A backbone that was trained with changed exposures and colours, so that it finds a car in any of
them, has hardly anything left that says which one it was. The time of day depends on it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl_split_core.geometry import PAD_VALUE
from mtl_split_train.backbone import MEAN, STD

#: Channels of Z_b that it takes: red, green, blue.
LIGHT_CHANNELS = 3
#: Symbols per unit at every rate: a symbol is a sixteenth of a stop.
LIGHT_GAIN = 2.0
#: Units per stop: beside 160 features one more would hardly be learnt if it were small.
_PER_STOP = 8.0
#: Every n-th row and column is looked at: some 2800 pixels of a picture 480 wide, in no time.
_EVERY = 8
_PAD = PAD_VALUE / 255.0
_STEP = 1.0 / 255.0


class Light(nn.Module):
    """Mean colour of a picture, in eighths of a stop above the grey of the letterbox's padding.

    It stands in the first position of the grid, with zeros everywhere else: in all positions it
    would cost 690 symbols a channel where one says it all.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (('mean', MEAN), ('std', STD)):
            value = torch.tensor(values)[None, :, None, None]
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the channels of Z_b.

        Args:
            x: Normalised pictures, [N, 3, H, W]. Pixels of exactly the padding's grey do not count.
            grid: Positions of Z_b, (h, w).

        Returns:
            [N, ``LIGHT_CHANNELS``, h, w], eighths of a stop in the first position.
        """
        half = _EVERY // 2
        pixels = x[..., half::_EVERY, half::_EVERY] * self.std + self.mean
        seen = ((pixels - _PAD).abs().amax(dim=1, keepdim=True) > 0.5 * _STEP).to(pixels.dtype)
        total = (pixels * seen).sum(dim=(2, 3), keepdim=True)
        mean = total / seen.sum(dim=(2, 3), keepdim=True).clamp_min(1.0)
        light = _PER_STOP * torch.log2(mean.clamp_min(_STEP) / _PAD)
        return functional.pad(light, (0, grid[1] - 1, 0, grid[0] - 1))


def read_light(z: Tensor) -> Tensor:
    """Return the mean colour [N, 3] from its channels of Z_b [N, ``LIGHT_CHANNELS``, h, w]."""
    return z.sum(dim=(2, 3))
