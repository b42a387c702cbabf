# SPDX-License-Identifier: Apache-2.0
"""Every cut of a backbone is the backbone up to there."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mtl_split_core.backend import load_network
from mtl_split_train.backbone import stages
from mtl_split_train.cuts import export_cuts, network_input, tapped


def test_features_before_an_operation_in_place_are_their_own() -> None:
    with torch.no_grad():
        before, after, *_ = found = tapped('vgg16', None, 0)(torch.randn(1, 3, 32, 32))
    assert len(found) == 31
    assert before.min() < 0
    assert torch.equal(after, before.clamp(min=0))


def test_the_seed_gives_the_weights() -> None:
    state = torch.random.get_rng_state()
    first, same, other = (next(tapped('resnet18', None, seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_graph_is_the_backbone_up_to_its_stage(tmp_path: Path) -> None:
    found = export_cuts('resnet18', None, 4, (32, 48), tmp_path)
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
    x = network_input(picture)
    assert x.shape == (1, 3, 32, 48)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(4)
        layers = [layer.eval() for layer in stages('resnet18')]
    whole = load_network(found.whole).run({'image': x})
    parameters, z = 0, torch.from_numpy(x)
    for cut, layer in zip(found.cuts, layers, strict=True):
        with torch.no_grad():
            z = layer(z)
        parameters += sum(weight.numel() for weight in layer.parameters())
        assert (cut.layer, cut.parameters) == (type(layer).__name__, parameters)
        own = load_network(cut.path).run({'image': x})
        assert list(own) == [cut.output]
        for graph in (whole, own):
            assert np.allclose(graph[cut.output], z.numpy(), atol=1e-4)
        # No weights of what comes after the cut.
        assert cut.path.stat().st_size < 4.2 * parameters + 50_000
