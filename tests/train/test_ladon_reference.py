# SPDX-License-Identifier: Apache-2.0
"""Prior and GDN of Ladon's codec against figures of CompressAI, with which the paper trained.

CompressAI asks for another NumPy than the nodes, so its answers are kept here: those of
`EntropyBottleneck._likelihood` and `GDN1` of CompressAI 1.2.8 for weights that a formula gives.
"""

import pytest
import torch
from torch import Tensor

from mtl_split_train.gdn import GDN
from mtl_split_train.ladon.prior import FactorisedPrior

#: Of two channels.
VALUES = (-40.0, -9.0, -2.0, -0.5, 0.0, 0.3, 1.0, 4.0, 25.0)
LIKELIHOODS = (
    (
        *(0.00231818, 0.0181346, 0.0179389, 0.0208174, 0.0221097),
        *(0.0229438, 0.0249839, 0.0309462, 0.0043224),
    ),
    (
        *(0.00269468, 0.0126783, 0.0145395, 0.0167304, 0.017721),
        *(0.0183729, 0.020023, 0.0261815, 0.00904266),
    ),
)
#: Two pixels of three channels.
PIXELS = ((-2.0, 0.5, 3.0), (1.0, -0.25, 0.0))
DIVIDED = ((-0.83124, 0.229317, 1.831368), (0.559515, -0.156743, 0.0))
MULTIPLIED = ((-4.812086, 1.090193, 4.91436), (1.787261, -0.398742, 0.0))


def wave(like: Tensor, number: int, height: float) -> Tensor:
    """Return values that repeat nowhere, the same on every machine."""
    steps = torch.arange(like.numel(), dtype=torch.float64)
    return (height * torch.sin(1.7 * steps + number)).reshape(like.shape).to(like.dtype)


def test_likelihoods_are_those_of_compressai() -> None:
    prior = FactorisedPrior(2)
    with torch.no_grad():
        for number, matrix in enumerate(prior.matrices):
            matrix += wave(matrix, number, 0.3)
        for number, bias in enumerate(prior.biases):
            bias.copy_(wave(bias, 10 + number, 0.5))
        for number, factor in enumerate(prior.factors):
            factor.copy_(wave(factor, 20 + number, 0.9))
    z = torch.tensor(VALUES).expand(1, 2, 1, -1)
    found = 2.0 ** -prior.bits(z, torch.full((1, 2, 1, 1), 0.5))
    assert torch.allclose(found[0, :, 0], torch.tensor(LIKELIHOODS), rtol=1e-4, atol=2e-7)


@pytest.mark.parametrize(('inverse', 'wanted'), [(False, DIVIDED), (True, MULTIPLIED)])
def test_gdn_is_that_of_compressai(inverse: bool, wanted: tuple[tuple[float, ...], ...]) -> None:
    norm = GDN(3, inverse=inverse)
    with torch.no_grad():
        norm.beta_root.copy_((1.0 + wave(norm.beta_root, 1, 0.5)).sqrt())
        norm.gamma_root.copy_((0.2 + wave(norm.gamma_root, 2, 0.15)).sqrt())
    found = norm(torch.tensor(PIXELS).T[None, :, None])
    assert torch.allclose(found[0, :, 0].T, torch.tensor(wanted), rtol=1e-5, atol=1e-6)
