# SPDX-License-Identifier: Apache-2.0
"""AdamW with a warm-up and a cosine, and the parts of a network that it leaves alone."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from mtl_split_core.errors import DataError
from mtl_split_train.config import ScheduleConfig

#: Learning rate of gains, steps and densities relative to the weights.
_QUANTISER_SPEED = 4.0


def make_optimizer(
    parameters: Iterable[tuple[str, nn.Parameter]], schedule: ScheduleConfig, steps: int
) -> dict[str, Any]:
    """Return AdamW without decay on biases, norms, quantiser; linear warm-up, then a cosine.

    Args:
        parameters: Names and values; those without a gradient are left out.
        schedule: Its learning rate, decay and warm-up.
        steps: Of the whole run.

    Returns:
        What Lightning's ``configure_optimizers`` gives.
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    quantiser: list[nn.Parameter] = []
    for name, parameter in parameters:
        if not parameter.requires_grad:
            continue
        if 'bottleneck.log_' in name or '.density.' in name:
            quantiser.append(parameter)
        else:
            (decayed if parameter.ndim > 1 else free).append(parameter)
    rate = schedule.learning_rate
    optimizer = torch.optim.AdamW(
        [
            {'params': decayed, 'lr': rate, 'weight_decay': schedule.weight_decay},
            {'params': free, 'lr': rate, 'weight_decay': 0.0},
            # Logarithms of scales: they have far to go and no gradient noise to fear.
            {'params': quantiser, 'lr': _QUANTISER_SPEED * rate, 'weight_decay': 0.0},
        ]
    )
    total = max(1, steps)
    warmup = max(1, round(total * schedule.warmup_epochs / schedule.epochs))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {'optimizer': optimizer, 'lr_scheduler': {'scheduler': scheduler, 'interval': 'step'}}


def freeze(network: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Return the named parts of a network, from now on without gradients.

    Args:
        network: The network.
        names: Names of its modules, such as ``encoder.backbone``.

    Raises:
        DataError: It has no such module, or nothing would be left to train.
    """
    known = dict(network.named_modules())
    for name in names:
        if not name or name not in known:
            parts = ', '.join(key for key in known if key and key.count('.') < 2)
            msg = f'schedule.frozen: the network has no part {name!r}; it has {parts}'
            raise DataError(msg)
        known[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        msg = f'schedule.frozen: {", ".join(names)} leave nothing to train'
        raise DataError(msg)
    return [known[name] for name in names]
