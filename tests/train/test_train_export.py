# SPDX-License-Identifier: Apache-2.0
"""From a data folder to a bundle, as a person types it: train, resume, export, load."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from tests.train.project import CONFIG, export, train, write_config

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import TaskType, load_bundle, write_bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.codecs import LosslessCodec, dequantise, quantise
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import BundleError, DataError
from mtl_split_core.tables import CodecTables
from mtl_split_core.tail import TailStage
from mtl_split_train import split_family
from mtl_split_train.config import load_config
from mtl_split_train.data import normalise
from mtl_split_train.dataset import read_dataset
from mtl_split_train.export import export_bundle, fit_step, verify
from mtl_split_train.formats import read_split
from mtl_split_train.module import config_mapping


def test_a_run_leaves_checkpoints_and_logs(project: Path) -> None:
    names = {p.name for p in (project / 'out/checkpoints').iterdir()}
    assert {'last.ckpt', 'best.ckpt'} <= names
    header = (project / 'out/csv/version_0/metrics.csv').read_text().splitlines()[0]
    for column in ('val/miou', 'val/map50', 'loss/rate', 'bytes/0'):
        assert column in header
    assert list((project / 'out/tb').glob('*/events.*'))


def test_a_second_start_does_not_overwrite(project: Path) -> None:
    with pytest.raises(DataError, match='holds a run already; add --resume'):
        train(project)


def test_resume_goes_on(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / 'copy')
    assert train(tmp_path / 'copy', '--resume', '--epochs', '21') == 0
    state = torch.load(tmp_path / 'copy/out/checkpoints/last.ckpt', weights_only=True)
    assert state['epoch'] == 20
    assert state['global_step'] == 42


def test_resume_without_a_run(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / 'data', tmp_path / 'data')
    shutil.copy(project / 'run.yaml', tmp_path)
    with pytest.raises(DataError, match='nothing to resume'):
        train(tmp_path, '--resume')


def test_the_bundle_answers(bundle_folder: Path, project: Path) -> None:
    bundle = load_bundle(bundle_folder)
    assert [task.type for task in bundle.tasks] == [
        TaskType.DETECTION,
        TaskType.SEGMENTATION,
        TaskType.CLASSIFICATION,
    ]
    encode = EncodeStage(bundle, load_network(bundle.encoder_path))
    tail = TailStage(bundle, load_network(bundle.tail_path))
    sample = read_dataset(project / 'data/val').images[0]
    sizes = []
    for rate in range(2):
        packet = encode.encode(sample.image(), rate, CodecId.ENTROPY, sequence=0)
        results = tail.run(packet)
        assert results.segmentation is not None
        assert results.segmentation.mask.shape == (sample.height, sample.width)
        sizes.append(len(packet.data))
    assert 4 < sizes[0] < sizes[1]


def test_split_equals_unsplit_in_torch(bundle_folder: Path, project: Path) -> None:
    """The two graphs one after the other give what the trained network gives in one pass."""
    bundle = load_bundle(bundle_folder)
    network = split_family.load_module(project / 'out/checkpoints/last.ckpt').network
    image = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        expected = network(image).classification[0].softmax(dim=0).numpy()
    z = load_network(bundle.encoder_path).run({'image': image.numpy()})['z_b']
    found = load_network(bundle.tail_path).run({'z_b': z})
    assert np.allclose(found['time_of_day'], expected, atol=1e-4)


def test_finer_rates_are_fitted(project: Path, tmp_path: Path) -> None:
    """Each costs more than the one before and is nearer to Z_b."""
    module = split_family.load_module(project / 'out/checkpoints/last.ckpt')
    config = replace(module.config, rates=replace(module.config.rates, finer=[2.0, 5.0]))
    data = read_dataset(project / 'data/train')
    bundle = export_bundle(module.network, config, data, tmp_path / 'bundle')
    tables = bundle.tables
    assert len(bundle.rates) == tables.rates == 4
    assert np.allclose(tables.gain[2:], tables.gain[1] * np.array([[2.0], [5.0]]))
    encode = EncodeStage(bundle, load_network(bundle.encoder_path))
    image = data.images[0].image()
    sizes = [len(encode.encode(image, rate, CodecId.ENTROPY, 0).data) for rate in range(4)]
    assert sizes[1] < sizes[2] < sizes[3]
    x = normalise(cv2.resize(image, (64, 48)))[None].numpy()
    z = load_network(bundle.encoder_path).run({'image': x})['z_b'][0]
    errors = [
        float(np.square(dequantise(quantise(z, tables, rate), tables, rate) - z).mean())
        for rate in range(4)
    ]
    assert errors[3] < errors[2] < errors[1]


def test_the_step_that_restores_best() -> None:
    z = np.array([0.2, 0.8, 1.2, -2.4], np.float32).reshape(1, 1, 2, 2)
    gain = np.ones(1, np.float32)
    around = [float(np.square(np.rint(z) * step - z).sum()) for step in (0.99, 1.0, 1.01, 1.2)]
    step = fit_step(z, gain)
    assert float(np.square(np.rint(z) * step - z).sum()) <= min(around)
    assert fit_step(z, gain / 100) == 100  # all symbols are zero


def test_export_does_not_overwrite(bundle_folder: Path, project: Path) -> None:
    with pytest.raises(DataError, match='exists; remove it or choose another --out'):
        export(project, bundle_folder)


@pytest.mark.parametrize(
    ('part', 'text'),
    [
        ('encoder.bottleneck.project.0.weight', r'^z_b of f\d: ONNX and torch differ by'),
        ('encoder.bottleneck.log_step', r'^z_b of f\d at rate 1: ONNX and torch differ'),
        ('tail.segmentation.classify.bias', r'^mask of f\d, in one piece: .* of pixels differ'),
        ('tail.classification.layers.3.bias', r'^time_of_day of f\d, in one piece: ONNX and'),
    ],
)
def test_a_bundle_of_another_network_is_found(
    bundle_folder: Path, project: Path, part: str, text: str
) -> None:
    network = split_family.load_module(project / 'out/checkpoints/last.ckpt').network
    data = read_dataset(project / 'data/train')
    verify(load_bundle(bundle_folder), network, data)
    with torch.no_grad():
        values = network.get_parameter(part)
        values[-1] += 9  # of rates: the last one alone
    with pytest.raises(DataError, match=text):
        verify(load_bundle(bundle_folder), network, data)


def test_a_codec_that_loses_is_found(
    bundle_folder: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = split_family.load_module(project / 'out/checkpoints/last.ckpt').network
    decode = LosslessCodec.decode
    monkeypatch.setattr(LosslessCodec, 'decode', lambda *given: 2 * decode(*given))
    with pytest.raises(DataError, match='in one piece'):
        verify(load_bundle(bundle_folder), network, read_dataset(project / 'data/train'))


def test_export_verifies(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mtl_split_train.export._TOLERANCE', 0.0)
    with pytest.raises(DataError, match='ONNX and torch differ'):
        export(project, tmp_path / 'bundle')
    assert not (tmp_path / 'bundle').exists()


def test_tables_that_do_not_fit_the_encoder(bundle_folder: Path, tmp_path: Path) -> None:
    bundle = load_bundle(bundle_folder)
    gain, step = bundle.tables.gain[:, :7], bundle.tables.step[:, :7]
    tables = CodecTables.from_symbols(gain, step, [np.zeros((1, 7, 3, 4), np.int32)] * 2)
    manifest = yaml.safe_load((bundle_folder / 'bundle.yaml').read_text())
    with pytest.raises(BundleError, match=r'tables\.npz: has 2 rates and 7 channels.*: export'):
        write_bundle(tmp_path / 'x', manifest, bundle.encoder_path, bundle.tail_path, tables)
    assert not (tmp_path / 'x').exists()


def test_a_checkpoint_of_another_family(project: Path, tmp_path: Path) -> None:
    state = torch.load(project / 'out/checkpoints/last.ckpt', weights_only=True)
    state['hyper_parameters']['config']['network']['decoder'] = 'stage1'
    torch.save(state, tmp_path / 'x.ckpt')
    with pytest.raises(DataError, match=r'x\.ckpt is not a checkpoint of .*network\.decoder'):
        split_family.load_module(tmp_path / 'x.ckpt')


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        (None, 'cannot be read'),
        (b'nonsense', 'not a checkpoint'),
        ({'state_dict': {}}, 'not a checkpoint'),
    ],
)
def test_a_wrong_checkpoint_is_named(tmp_path: Path, content: Any, text: str) -> None:
    path = tmp_path / 'x.ckpt'
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(DataError, match=text) as caught:
        split_family.load_module(path)
    assert str(path) in str(caught.value)


def test_weights_of_another_network_are_refused(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / 'data', tmp_path / 'data')
    other = {**CONFIG, 'network': {**CONFIG['network'], 'width': 48}}
    (tmp_path / 'run.yaml').write_text(yaml.safe_dump(other))
    with pytest.raises(DataError, match='is of another network'):
        train(tmp_path, '--init', project / 'out/checkpoints/last.ckpt')


def test_a_run_with_detail_and_light_starts_from_one_without(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / 'data', tmp_path / 'data')
    grown = {'detail_channels': 32, 'detail_stride': 4, 'light': True}
    write_config(
        tmp_path,
        network=grown,
        schedule={'epochs': 1},
        rates={'targets': [90, 130], 'finer': [4.0]},
        loss={'lovasz': 1.0},
    )
    start = project / 'out/checkpoints/last.ckpt'
    module = split_family.SplitModule(
        config_mapping(load_config(tmp_path / 'run.yaml')),
        read_split('camvid', tmp_path / 'data', 'train').classes.mapping(),
        [1.0] * 11,
    )
    split_family.initialise(module, start)
    given = torch.load(start, weights_only=True)['state_dict']
    gain = module.network.encoder.bottleneck.log_gain
    assert gain.shape == (2, 40)
    assert torch.equal(gain[:, :8], given['network.encoder.bottleneck.log_gain'])
    assert module.rate_controller.targets.tolist() == [90.0, 130.0]

    assert train(tmp_path, '--init', start) == 0
    assert export(tmp_path, tmp_path / 'bundle', '--with-torch', '--int8') == 0
    bundle = load_bundle(tmp_path / 'bundle')
    assert bundle.feature_shape == (43, 3, 4)
    assert (bundle.tables.gain[:, -3:] == 2.0).all()
    image = read_dataset(project / 'data/val').images[0].image()
    answers = []
    for backend in ('onnxruntime', 'torch'):
        encode = EncodeStage(bundle, load_network(bundle.encoder_path, backend))
        z, _ = encode.features(image)
        answers.append(z)
    assert np.allclose(answers[0], answers[1], atol=1e-4)


def test_class_weights_are_taken_back(project: Path) -> None:
    modules = [split_family.load_module(project / 'out/checkpoints/last.ckpt') for _ in range(2)]
    split_family.unweight(modules[1], 0.5)
    z = torch.randn(1, 8, 3, 4)
    with torch.no_grad():
        before, after = (module.network.tail(z).segmentation for module in modules)
    shift = 0.5 * modules[0].class_weights.log()
    assert shift.abs().max() > 0.1
    assert torch.allclose(before - after, shift[None, :, None, None].expand_as(after), atol=1e-5)


def test_the_average_starts_without_memory_of_the_random_start() -> None:
    average = split_family.moving_average(0.9)
    start, value = torch.zeros(()), torch.ones(())
    kept = start
    for update in range(60):
        kept = average(kept, value, update)
    assert average(start, value, 0) == pytest.approx(0.9)
    assert kept == pytest.approx(1.0, abs=1e-3)


def test_the_average_of_what_stays_the_same_is_the_same_to_the_last_bit() -> None:
    average = split_family.moving_average(0.998)
    value = kept = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    for update in range(50):
        kept = average(kept, value, update)
    assert torch.equal(kept, value)
