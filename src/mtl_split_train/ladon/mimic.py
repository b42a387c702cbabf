# SPDX-License-Identifier: Apache-2.0
"""What Ladon learns from its teacher: the features for few bits, then the answers."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mtl_split_train.data import NO_ATTRIBUTE
from mtl_split_train.heads import mean_cross_entropy

#: Share of the labels in the loss of the distillation; the rest is the teacher's.
_LABELS = 0.5


def feature_errors(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return the squared errors of each picture, summed over layers 1 to 4, [N].

    Args:
        found: Features of the network, [N, C, h, w] each.
        wanted: Those of the teacher.
    """
    # Sums of millions of squares, which 16 bits do not hold.
    errors = [
        (f.float() - w.float()).square().flatten(1).sum(1)
        for f, w in zip(found, wanted, strict=True)
    ]
    return torch.stack(errors).sum(dim=0)


def mimic_loss(
    found: Sequence[Tensor], wanted: Sequence[Tensor], bits: Tensor, beta: Tensor
) -> dict[str, Tensor]:
    """Return the two parts of the loss of stage 1, per picture.

    Squared errors after layers 1 to 4, plus beta times bits, both summed over a picture
    (arXiv 2501.01420; arXiv 2108.11898, equation 4).

    Args:
        found: Features of the network, [N, C, h, w] each.
        wanted: Those of the teacher.
        bits: Estimated bits of each picture, [N].
        beta: Weight of a bit of each picture, [N].
    """
    return {'features': feature_errors(found, wanted).mean(), 'rate': (beta * bits).mean()}


def relative_mimic_loss(
    found: Sequence[Tensor], wanted: Sequence[Tensor], bits: Tensor, beta: Tensor
) -> dict[str, Tensor]:
    """Return the same over the energy of the teacher's features, to add to the losses of tasks.

    What beta trades stays as it is; the sum is about 1 before anything is learnt.
    """
    energy = feature_errors(wanted, [torch.zeros_like(w) for w in wanted]).mean()
    parts = mimic_loss(found, wanted, bits, beta)
    return {name: value / energy.clamp_min(1e-6) for name, value in parts.items()}


def distil_loss(logits: Tensor, taught: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of stage 2: half the labels, half the teacher's shares.

    Hinton et al., arXiv 1503.02531, at temperature 1, weighted as in Ladon's configuration.

    Args:
        logits: Of the network, [N, K].
        taught: Of the teacher, [N, K].
        labels: Class ids, [N]; ``NO_ATTRIBUTE`` adds nothing to the labels' half.
    """
    follow = functional.kl_div(
        logits.float().log_softmax(dim=1), taught.float().softmax(dim=1), reduction='batchmean'
    )
    own = mean_cross_entropy(logits.float(), labels, NO_ATTRIBUTE)
    return _LABELS * own + (1.0 - _LABELS) * follow
