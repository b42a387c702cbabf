# SPDX-License-Identifier: Apache-2.0
"""Ladon's codec and the rest of its backbone (Matsubara et al., arXiv 2501.01420).

image --> encoder --> z --round--> decoder --> layer 2, 3, 4 of a ResNet --> head
          edge                     server
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mtl_split_core.errors import DataError
from mtl_split_train import vision  # noqa: F401  (declares operators before the next import)
from mtl_split_train.bottleneck import LogisticMixture
from mtl_split_train.gdn import GDN

from torchvision.models import ResNet, get_model  # isort: skip

#: Channels of z.
LATENT = 24
#: Channels after layer 1 of a ResNet-50, which the decoder restores.
STAGE_1 = 256
_STRIDE = 4


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


def make_decoder() -> nn.Sequential:
    """Return what restores the features after layer 1 (arXiv 2108.11898).

    Maps [N, 24, h, w] to [N, 256, h + 1, w + 1].
    """
    return nn.Sequential(
        nn.Conv2d(LATENT, 2 * STAGE_1, 2, padding=1, bias=False),
        GDN(2 * STAGE_1, inverse=True),
        nn.Conv2d(2 * STAGE_1, STAGE_1, 2, bias=False),
        GDN(STAGE_1, inverse=True),
        nn.Conv2d(STAGE_1, STAGE_1, 2, padding=1, bias=False),
    )


def load_teacher(weights: str | None) -> ResNet:
    """Return a ResNet-50, the teacher and the rest of the backbone (arXiv 2501.01420).

    Args:
        weights: torchvision's published weights by name, such as ``IMAGENET1K_V1``, or None.

    Raises:
        DataError: Weights that cannot be had.
    """
    try:
        teacher: ResNet = get_model('resnet50', weights=weights)
    except (OSError, ValueError, KeyError) as error:
        msg = (
            f'weights {weights!r} of resnet50 cannot be had ({error}); put the file into '
            f'{torch.hub.get_dir()}/checkpoints or give no weights'
        )
        raise DataError(msg) from error
    return teacher


class Body(nn.Module):
    """Decoder, layers 2 to 4 of the teacher and its classifier: what the server runs.

    Args:
        teacher: A ResNet with 256 channels after layer 1; its later layers become part of this.
    """

    def __init__(self, teacher: ResNet) -> None:
        super().__init__()
        self.decoder = make_decoder()
        self.layers = nn.ModuleList([teacher.layer2, teacher.layer3, teacher.layer4])
        self.pool = teacher.avgpool
        self.fc = teacher.fc

    def features(self, z: Tensor) -> Iterator[Tensor]:
        """Yield the restored features after layer 1, then those after layers 2, 3 and 4."""
        x: Tensor = self.decoder(z)
        yield x
        for layer in self.layers:
            x = layer(x)
            yield x

    def forward(self, z: Tensor) -> list[Tensor]:
        """Map z [N, 24, h, w] to the logits [N, K] of the one task."""
        *_, last = self.features(z)
        return [self.fc(self.pool(last).flatten(1))]


class LadonNetwork(nn.Module):
    """Encoder, prior of z, and the server's side.

    The prior is fully factorised (Balle et al., arXiv 1802.01436, appendix 6.1), with a mixture of
    logistic distributions for each channel. It is for training alone: the bundle has integer
    tables.

    Args:
        teacher: A ResNet with 256 channels after layer 1.
        classes: Names of the teacher's classes.
        attribute: Name of what it classifies.
        size: Height and width of the network input, pixel, multiples of 4; 416 in the paper.

    Raises:
        DataError: Another number of classes, or another size.
    """

    def __init__(
        self,
        teacher: ResNet,
        classes: tuple[str, ...],
        attribute: str = 'category',
        size: tuple[int, int] = (416, 416),
    ) -> None:
        super().__init__()
        if len(classes) != teacher.fc.out_features:
            msg = f'{len(classes)} names for the {teacher.fc.out_features} classes of the teacher'
            raise DataError(msg)
        if any(side < 2 * _STRIDE or side % _STRIDE for side in size):
            msg = f'size {size}: both sides must be multiples of {_STRIDE}, {2 * _STRIDE} or more'
            raise DataError(msg)
        self.classes = classes
        self.attribute = attribute
        self.size = size
        self.encoder = make_encoder()
        self.prior = LogisticMixture(LATENT)
        self.body = Body(teacher)

    def bits(self, z: Tensor) -> Tensor:
        """Return the estimated bits of each frame, [N], of noisy or rounded z [N, 24, h, w]."""
        half = torch.full((len(z), LATENT, 1, 1), 0.5, device=z.device, dtype=z.dtype)
        return self.prior.bits(z, half).sum(dim=(1, 2, 3))
