# SPDX-License-Identifier: Apache-2.0
"""What coding Z_b at each cut of a trained network does: its bytes, its answers, its training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl_split_core.errors import DataError
from mtl_split_train.backbone import stages
from mtl_split_train.mtl_split_family import MtlSplitNetwork
from mtl_split_train.published import cut_training
from mtl_split_train.published.channel_coding import ENOUGH, ChannelCoding
from mtl_split_train.published.comparison import accuracies
from mtl_split_train.published.cut_answers import measure_answers
from mtl_split_train.published.cut_training import Budget, Training, fold_norms, trained_network

TRAINING = Training('mobilenet_v3_small', 8, 1, 32, 12)
BUDGET = Budget([TRAINING], ['scale', 'shape'], [8], [80], batch_size=8, settle=8)


def coded(batches: list[torch.Tensor], bits: int) -> tuple[ChannelCoding, list[torch.Tensor]]:
    coding = ChannelCoding([bits])
    for z in batches:
        coding.range_over(z)
    return coding, [coding.code(z, bits) for z in batches]


def test_entropy_by_hand() -> None:
    z = np.zeros((1, 4, 8, 8), np.float32)  # the first channel is constant: nothing to send
    z[0, 1, :4] = 2.5  # two values, as often: one bit
    z[0, 2] = np.arange(64).reshape(8, 8) - 9  # 64 values: 6 bits
    z[0, 3, 0, :] = -1  # one in eight
    coding, out = coded([torch.from_numpy(z)] * 2, 8)
    one_in_eight = -(1 / 8 * np.log2(1 / 8) + 7 / 8 * np.log2(7 / 8))
    assert coding.bytes_per_frame(8) == pytest.approx(64 * (1 + 6 + one_in_eight) / 8)
    assert not coding.enough(8)
    # Extremes come out as they were, and so does what lies on a level.
    for channel in (0, 1, 3):
        np.testing.assert_allclose(out[0][0, channel], z[0, channel], atol=1e-6)


def test_entropy_of_evenly_spread_values_is_all_bits() -> None:
    torch.manual_seed(0)
    for bits in (2, 8):
        z = torch.rand(1, 1, 10 * ENOUGH * 2**bits, 1)
        coding, _ = coded([z], bits)
        # The first and the last level have half of the width of the others.
        expected = z.numel() * bits / 8
        assert coding.bytes_per_frame(bits) == pytest.approx(expected, rel=0.04)
        assert coding.enough(bits)


@pytest.mark.parametrize('bits', [1, 3, 8])
def test_what_comes_out_is_off_by_half_a_level_at_most(bits: int) -> None:
    torch.manual_seed(1)
    batches = [torch.randn(3, 5, 4, 6) * scale for scale in (1, 4)]
    _, out = coded(batches, bits)
    everything = torch.cat(batches)
    width = everything.amax((0, 2, 3)) - everything.amin((0, 2, 3))
    for z, decoded in zip(batches, out, strict=True):
        error = (z - decoded).abs().amax((0, 2, 3))
        assert (error <= width / (2**bits - 1) / 2 * 1.001).all()
    assert max(len(np.unique(decoded[:, 0].numpy())) for decoded in out) <= 2**bits


@pytest.fixture(scope='module')
def network() -> MtlSplitNetwork:
    torch.manual_seed(0)
    tasks = {'scale': tuple('abcdefgh'), 'shape': tuple('abcd')}
    return MtlSplitNetwork('resnet18', tasks, (32, 32)).eval()


def test_each_cut_answers_by_the_rest_of_the_network(network: MtlSplitNetwork) -> None:
    data = BUDGET.read(TRAINING, 'test')
    found = measure_answers(network, data, [16, 2], [80])
    assert found.uncoded == pytest.approx(accuracies(network, data))
    assert [cut.shape for cut in found.cuts] == [
        [64, 8, 8], [64, 8, 8], [128, 4, 4], [256, 2, 2], [512, 1, 1],
    ]  # fmt: skip
    # A value in 16 bits is as good as a float; in 2 bits it is not, and takes an eighth or less.
    for cut in found.cuts:
        fine, coarse = cut.coded
        assert fine.accuracy == pytest.approx(found.uncoded)
        assert coarse.bytes < fine.bytes
        assert not fine.enough
    # The last cut, by hand.
    with torch.no_grad():
        z = network.encoder(torch.stack([data[place][0] for place in range(len(data))]))
        coding, (decoded,) = coded([z], 2)
        labels = torch.stack([data[place][1] for place in range(len(data))])
        right = [
            float((y.argmax(1) == labels[:, task]).float().mean())
            for task, y in enumerate(network.tail(decoded))
        ]
    last = found.cuts[-1].coded[1]
    assert list(last.accuracy.values()) == pytest.approx(right)
    assert last.bytes == pytest.approx(coding.bytes_per_frame(2))
    (jpeg,) = found.jpeg
    assert (jpeg.coarseness, jpeg.enough) == (80, True)
    assert 500 < jpeg.bytes < 32 * 32 * 3


def test_folded_norms_leave_the_plain_backbone_with_the_same_answers() -> None:
    torch.manual_seed(0)
    normed = torch.nn.Sequential(*stages('vgg16_bn'))
    normed(torch.randn(4, 3, 32, 32))  # statistics other than 0 and 1
    normed.eval()
    plain = fold_norms(normed)
    assert [type(layer) for layer in plain] == [type(layer) for layer in stages('vgg16')]
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(torch.nn.Sequential(*plain)(x), normed(x), atol=1e-5)


def test_weights_are_kept_and_taken_for_the_same_training_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'runs' / 'weights.pt'
    first = trained_network(TRAINING, BUDGET, 3, path)
    runs: list[int] = []
    monkeypatch.setattr(cut_training, 'fit', lambda *_: runs.append(1))
    again = trained_network(replace(TRAINING, test=4), replace(BUDGET, bits=[2]), 3, path)
    assert not runs
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    assert not again.training
    trained_network(TRAINING, BUDGET, 4, path)
    assert len(runs) == 1
    path.write_bytes(path.read_bytes()[:1000])
    trained_network(TRAINING, BUDGET, 4, path)
    assert len(runs) == 2


def test_a_wrong_budget_names_what_is_known() -> None:
    with pytest.raises(DataError, match="backbone is 'vgg19'; use one of efficientnet_b0, mobil"):
        replace(TRAINING, backbone='vgg19')
    with pytest.raises(DataError, match='normed is for vgg16, not for mobilenet_v3_small'):
        replace(TRAINING, normed=True)
    with pytest.raises(DataError, match=r'bits is \[0\]'):
        replace(BUDGET, bits=[0])
    with pytest.raises(DataError, match=r'jpeg is \[50\], 80 in it'):
        replace(BUDGET, jpeg=[50])
