# SPDX-License-Identifier: Apache-2.0
"""Ladon's codec and the rest of its backbone (Matsubara et al., arXiv 2501.01420).

image --> encoder --> z --round--> decoder --> layers 2, 3, 4 of a ResNet --> heads
          edge                     server
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl_split_core.errors import DataError
from mtl_split_train.bottleneck import Quantiser
from mtl_split_train.gdn import GDN
from mtl_split_train.ladon.config import NetworkConfig
from mtl_split_train.ladon.heads import TaskHeads
from mtl_split_train.ladon.prior import FactorisedPrior
from mtl_split_train.ladon.teacher import Teacher, make_resnet, resnet_widths
from mtl_split_train.samples import Classes

#: Channels of z.
LATENT = 24


def make_encoder() -> nn.Sequential:
    """Return the encoder, 3 -> 96 -> 48 -> 24 channels (arXiv 2501.01420).

    Layers as in its predecessor's code (Entropic Student, arXiv 2108.11898). 138,672 parameters.
    Maps [N, 3, H, W] to [N, 24, H / 4 - 1, W / 4 - 1], H and W multiples of 4.
    """
    return nn.Sequential(
        nn.Conv2d(3, 4 * LATENT, 5, 2, 2, bias=False),
        GDN(4 * LATENT),
        nn.Conv2d(4 * LATENT, 2 * LATENT, 5, 2, 2, bias=False),
        GDN(2 * LATENT),
        nn.Conv2d(2 * LATENT, LATENT, 2, bias=False),
    )


def make_decoder(width: int = 256) -> nn.Sequential:
    """Return what restores the features after layer 1 (arXiv 2108.11898).

    Maps [N, 24, h, w] to [N, ``width``, h + 1, w + 1]; ResNet-50 has 256 channels there.
    """
    return nn.Sequential(
        nn.Conv2d(LATENT, 2 * width, 2, padding=1, bias=False),
        GDN(2 * width, inverse=True),
        nn.Conv2d(2 * width, width, 2, bias=False),
        GDN(width, inverse=True),
        nn.Conv2d(width, width, 2, padding=1, bias=False),
    )


class Body(nn.Module):
    """Decoder, layers 2 to 4 of a ResNet and the heads: what the server runs.

    Args:
        config: Sizes.
        classes: Of the data.
    """

    def __init__(self, config: NetworkConfig, classes: Classes) -> None:
        super().__init__()
        resnet = make_resnet(config.backbone)
        widths = resnet_widths(resnet)
        self.decoder = make_decoder(widths[0])
        self.layers = nn.ModuleList([resnet.layer2, resnet.layer3, resnet.layer4])
        self.heads = TaskHeads(widths, classes, config)

    def features(self, z: Tensor) -> list[Tensor]:
        """Return the restored features after layer 1, then those after layers 2, 3 and 4."""
        found: list[Tensor] = [self.decoder(z)]
        for layer in self.layers:
            found.append(layer(found[-1]))
        return found

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        """Answer one frame as tail.onnx does, see ``TaskHeads.answers``."""
        return self.heads.answers(self.features(z))


class LadonNetwork(nn.Module):
    """Encoder, quantiser with the prior of z, and the server's side.

    The prior is for training alone: the bundle has integer tables. As published a network has one
    rate, and its symbols are z, rounded. Extended, each rate has gains and steps of its own that
    are learnt (Slimmable encoders, arXiv 2306.12691).

    Args:
        config: Sizes and form.
        classes: Of the data.
        betas: Weight of a bit at each rate, largest first.

    Raises:
        DataError: Several betas for a network as published.
    """

    def __init__(self, config: NetworkConfig, classes: Classes, betas: Sequence[float]) -> None:
        super().__init__()
        self.learnt_rates = config.form == 'extended'
        if len(betas) > 1 and not self.learnt_rates:
            msg = f'betas are {list(betas)}; as published there is one network for each'
            raise DataError(msg)
        self.betas = tuple(betas)
        # Where distortion goes with 1 / gain^2 and bits with log(gain), gain goes with beta^-1/2.
        middle = math.sqrt(betas[0] * betas[-1])
        self.encoder = make_encoder()
        gains = [math.sqrt(middle / beta) for beta in betas]
        self.bottleneck = Quantiser(gains, LATENT, FactorisedPrior(LATENT))
        self.body = Body(config, classes)

    def follow(self, teacher: Teacher) -> None:
        """Take over the later layers and the heads of a teacher."""
        self.body.layers.load_state_dict(nn.ModuleList(teacher.layers[1:]).state_dict())
        self.body.heads.load_state_dict(teacher.heads.state_dict())

    def transmit(self, z: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
        """Return z as the server sees it and the estimated bits of each frame, [N].

        While the one rate of the published form is learnt, uniform noise stands for rounding
        (Balle et al., arXiv 1611.01704). Several rates have small gains among them, for which
        noise overstates the bits, see ``mtl_split_train.bottleneck``.

        Args:
            z: Of the encoder, [N, 24, h, w].
            rate: Of each frame, [N].
        """
        # 16 bits would not hold all symbols.
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            if self.bottleneck.training and not self.learnt_rates:
                noisy = z + torch.rand_like(z) - 0.5
                half = torch.full((len(z), LATENT, 1, 1), 0.5, device=z.device)
                return noisy, self.bottleneck.density.bits(noisy, half).sum(dim=(1, 2, 3))
            received, bits = self.bottleneck.quantise(z, rate)
            return received, bits * (z.shape[2] * z.shape[3])
