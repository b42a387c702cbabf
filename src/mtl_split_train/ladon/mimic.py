# SPDX-License-Identifier: Apache-2.0
"""Ladon's first stage of training: the teacher's features for as few bits as beta asks for."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from mtl_split_train import vision  # noqa: F401  (declares operators before the next import)
from mtl_split_train.ladon.network import LadonNetwork

from torchvision.models import ResNet  # isort: skip

#: The betas of the paper's table for ResNet-50 (arXiv 2501.01420).
PUBLISHED_BETAS = (0.32, 1.28, 5.12, 10.24, 20.48)


def teacher_features(teacher: ResNet, x: Tensor) -> Iterator[Tensor]:
    """Yield the teacher's features after its layers 1 to 4 for pictures [N, 3, H, W]."""
    x = teacher.maxpool(teacher.relu(teacher.bn1(teacher.conv1(x))))
    for layer in (teacher.layer1, teacher.layer2, teacher.layer3, teacher.layer4):
        x = layer(x)
        yield x


def mimic_loss(
    network: LadonNetwork, teacher: ResNet, x: Tensor, beta: float
) -> tuple[Tensor, Tensor]:
    """Return the loss of stage 1 and the mean bits of a frame.

    Squared errors after layers 1 to 4, plus beta times bits, both summed over a picture
    (arXiv 2501.01420; arXiv 2108.11898). Uniform noise stands for rounding
    (Balle et al., arXiv 1611.01704).

    Args:
        network: What learns.
        teacher: What it learns from, in evaluation mode.
        x: Normalised pictures, [N, 3, H, W].
        beta: Weight of a bit.
    """
    with torch.no_grad():
        wanted = list(teacher_features(teacher, x))
    z: Tensor = network.encoder(x)
    noisy = z + torch.rand_like(z) - 0.5
    bits = network.bits(noisy).mean()
    found = network.body.features(noisy)
    errors = [(f - w).square().sum() / len(x) for f, w in zip(found, wanted, strict=True)]
    return torch.stack(errors).sum() + beta * bits, bits.detach()


def mimic(
    network: LadonNetwork,
    teacher: ResNet,
    batches: Iterable[Tensor],
    beta: float,
    learning_rate: float = 1e-3,
) -> list[float]:
    """Train encoder, prior and decoder; the later layers stay as they are.

    Args:
        network: Changed in place; in evaluation mode afterwards.
        teacher: The published network; its later layers may be those of ``network``.
        batches: Normalised pictures, [N, 3, H, W] each.
        beta: Weight of a bit, larger for fewer bytes.
        learning_rate: Of Adam.

    Returns:
        The loss of each batch.
    """
    teacher.eval().requires_grad_(False)
    network.body.eval().requires_grad_(False)
    parts: tuple[nn.Module, ...] = (network.encoder, network.prior, network.body.decoder)
    parameters = [p.requires_grad_() for part in parts for p in part.parameters()]
    optimiser = torch.optim.Adam(parameters, learning_rate)
    history = []
    for x in batches:
        loss, _ = mimic_loss(network, teacher, x, beta)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        history.append(float(loss.detach()))
    network.eval()
    return history
