# SPDX-License-Identifier: Apache-2.0
"""The learned quantiser and the controller of its rate."""

import pytest
import torch

from mtl_split_train.bottleneck import Bottleneck, LogisticMixture, RateController, gain_for


def make() -> Bottleneck:
    torch.manual_seed(0)
    return Bottleneck(in_channels=6, channels=4, bits=[0.2, 0.8, 2.0])


def test_the_density_is_a_distribution() -> None:
    density = LogisticMixture(channels=2)
    edges = torch.linspace(-30.0, 30.0, 601).repeat(1, 2, 1, 1)
    cumulative = density.cumulative(edges)
    assert (cumulative.diff(dim=-1) >= 0).all()
    assert cumulative[..., 0].max() < 1e-3
    assert cumulative[..., -1].min() > 1 - 1e-3


def test_bits_of_all_symbols_make_one() -> None:
    """Over all symbols of one step width the probabilities add up to 1."""
    density = LogisticMixture(channels=1)
    width = 0.5
    z = (torch.arange(-60, 61) * width).reshape(1, 1, 1, -1)
    probability = 2.0 ** -density.bits(z, torch.full((1, 1, 1, 1), width / 2))
    assert probability.sum().item() == pytest.approx(1.0, abs=1e-3)


def test_quantised_values_are_whole_steps() -> None:
    bottleneck = make().eval()
    z = torch.randn(2, 4, 5, 7)
    rate = torch.tensor([0, 2])
    received, bits = bottleneck.quantise(z, rate)
    step = bottleneck.log_step[rate][:, :, None, None].exp()
    assert torch.allclose(received / step, (received / step).round(), atol=1e-4)
    assert bits.shape == (2,)


def test_a_higher_rate_costs_more_and_distorts_less() -> None:
    bottleneck = make().eval()
    z = torch.randn(1, 4, 16, 16)
    results = [bottleneck.quantise(z, torch.tensor([k])) for k in range(bottleneck.rates)]
    costs = [bits.item() for _, bits in results]
    errors = [(received - z).square().mean().item() for received, _ in results]
    assert costs == sorted(costs)
    assert errors == sorted(errors, reverse=True)


def test_gradients_reach_features_gains_and_density() -> None:
    bottleneck = make().train()
    features = torch.randn(2, 6, 5, 7, requires_grad=True)
    received, bits = bottleneck.quantise(bottleneck(features), torch.tensor([1, 1]))
    (received.square().mean() + bits.mean()).backward()
    for tensor in (features, bottleneck.log_gain, bottleneck.log_step, bottleneck.density.mean):
        assert tensor.grad is not None
        assert tensor.grad.abs().sum() > 0
    assert bottleneck.log_gain.grad[0].abs().sum() == 0  # a rate that no sample used


def test_z_b_has_unit_spread_in_training() -> None:
    bottleneck = make().train()
    z = bottleneck(5.0 + 3.0 * torch.randn(8, 6, 16, 16))
    assert z.mean(dim=(0, 2, 3)).abs().max() < 1e-4
    assert (z.std(dim=(0, 2, 3)) - 1).abs().max() < 0.01


def test_the_controller_raises_what_is_over_its_target() -> None:
    controller = RateController([1000.0, 4000.0]).train()
    before = controller.log_lambda.clone()
    for _ in range(10):
        controller(torch.tensor([2000.0, 3000.0]), torch.tensor([0, 1]))
    assert controller.log_lambda[0] > before[0]
    assert controller.log_lambda[1] < before[1]


def test_the_controller_rests_outside_training() -> None:
    controller = RateController([1000.0]).eval()
    before = controller.log_lambda.clone()
    controller(torch.tensor([9000.0]), torch.tensor([0]))
    assert torch.equal(controller.log_lambda, before)


def test_the_controller_reaches_its_target() -> None:
    """A toy whose bytes fall with lambda settles at the target."""
    controller = RateController([1000.0], speed=0.1).train()
    for _ in range(400):
        size = 3000.0 * torch.exp(-controller.log_lambda.exp())
        controller(size, torch.tensor([0]))
    assert size.item() == pytest.approx(1000.0, rel=0.02)


@pytest.mark.parametrize('bits', [0.1, 0.5, 2.0])
def test_a_rate_starts_at_its_entropy(bits: float) -> None:
    torch.manual_seed(0)
    symbols = (torch.randn(200_000) * gain_for(bits)).round()
    share = symbols.unique(return_counts=True)[1] / len(symbols)
    assert -(share * share.log2()).sum().item() == pytest.approx(bits, rel=0.02)


def test_channels_that_are_always_zero_cost_next_to_nothing() -> None:
    """The training estimate stays near the entropy where gains are small, also while training."""
    torch.manual_seed(0)
    bottleneck = Bottleneck(in_channels=6, channels=4, bits=[0.01]).train()
    with torch.no_grad():
        bottleneck.log_gain.fill_(-3.0)
    _, bits = bottleneck.quantise(torch.randn(2, 4, 32, 32), torch.tensor([0, 0]))
    assert bits.max() < 0.05
