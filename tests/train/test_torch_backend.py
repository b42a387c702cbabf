# SPDX-License-Identifier: Apache-2.0
"""The torch backend beside ONNX Runtime: same answers, same bytes, clear refusals."""

import shutil
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import yaml

from mtl_split_core import backend
from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import RateInfo, load_bundle, update_figures
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import BackendError
from mtl_split_core.tail import TailStage
from mtl_split_train.torch_backend import TorchBackend


@pytest.fixture
def copy(bundle_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_folder, tmp_path / 'copy'))


def test_it_is_found_by_its_name(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the package was not installed and so has no entry points."""
    entry = EntryPoint('torch', 'mtl_split_train.torch_backend:TorchBackend', backend.GROUP)
    monkeypatch.setattr(backend, 'entry_points', lambda **_: [entry])
    network = load_network(bundle_folder / 'encoder.onnx', 'torch', BackendOptions(threads=2))
    assert network.output_names == ('z_b',)


def test_both_stages_take_it_and_answer_alike(bundle_folder: Path) -> None:
    bundle = load_bundle(bundle_folder)
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    found = []
    for load in (load_network, lambda path: TorchBackend().load(path, BackendOptions())):
        encode = EncodeStage(bundle, load(bundle.encoder_path))
        tail = TailStage(bundle, load(bundle.tail_path))
        encode.warm_up()
        tail.warm_up()
        z, letterbox = encode.features(image)
        found.append((z, tail.run_features(z, letterbox)))
    (z, expected), (other, results) = found
    np.testing.assert_allclose(other, z, atol=1e-3)
    assert expected.segmentation is not None
    assert results.segmentation is not None
    assert (results.segmentation.mask == expected.segmentation.mask).mean() > 0.99
    np.testing.assert_allclose(
        results.classifications[0].scores, expected.classifications[0].scores, atol=1e-3
    )


def test_shapes_and_outputs_are_those_of_the_graph(bundle_folder: Path) -> None:
    for name in ('encoder', 'tail'):
        path = bundle_folder / f'{name}.onnx'
        graph, module = load_network(path), TorchBackend().load(path, BackendOptions())
        assert module.input_shapes == graph.input_shapes
        assert module.output_names == graph.output_names


def test_the_tail_takes_several_frames(bundle_folder: Path) -> None:
    """Nearly as each alone: torch adds up in another order."""
    tail = TorchBackend().load(bundle_folder / 'tail.onnx', BackendOptions())
    shape = load_bundle(bundle_folder).feature_shape
    z = np.random.default_rng(0).normal(0, 1, (3, *shape)).astype(np.float32)
    together = tail.run({'z_b': z})
    for index, one in enumerate(z):
        for name, values in tail.run({'z_b': one[None]}).items():
            if name == 'mask':
                assert (together[name][index] == values[0]).mean() > 0.99
            else:
                np.testing.assert_allclose(together[name][index], values[0], atol=1e-3)


def test_wrong_inputs(bundle_folder: Path) -> None:
    network = TorchBackend().load(bundle_folder / 'encoder.onnx', BackendOptions())
    for inputs in ({}, {'image': np.zeros((1, 3, 48, 63), np.float32)}):
        with pytest.raises(BackendError, match=r'encoder\.onnx: takes float32'):
            network.run(inputs)


def test_without_weights(copy: Path) -> None:
    (copy / 'tail.safetensors').unlink()
    with pytest.raises(BackendError, match=r'tail\.safetensors is missing.*--with-torch'):
        TorchBackend().load(copy / 'tail.onnx', BackendOptions())


def test_damaged_weights(copy: Path) -> None:
    path = copy / 'encoder.safetensors'
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BackendError, match=r'encoder\.safetensors: damaged'):
        TorchBackend().load(copy / 'encoder.onnx', BackendOptions())


def test_weights_that_bundle_yaml_does_not_know(copy: Path) -> None:
    manifest = copy / 'bundle.yaml'
    content = yaml.safe_load(manifest.read_text())
    content['training'].pop('torch_weights')
    manifest.write_text(yaml.safe_dump(content))
    with pytest.raises(BackendError, match=r'bundle\.yaml has no training\.torch_weights\.encoder'):
        TorchBackend().load(copy / 'encoder.onnx', BackendOptions())


def test_weights_outlive_new_figures(copy: Path) -> None:
    bundle = load_bundle(copy)
    update_figures(bundle, [RateInfo(i, 10.0, 11.0, 12.0) for i in range(2)], 0)
    TorchBackend().load(copy / 'encoder.onnx', BackendOptions())


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (BackendOptions(threads=0), 'threads is 0'),
        (BackendOptions(providers=('quantum',)), "provider 'quantum' is no device"),
    ],
)
def test_wrong_options(bundle_folder: Path, options: BackendOptions, text: str) -> None:
    with pytest.raises(BackendError, match=text):
        TorchBackend().load(bundle_folder / 'encoder.onnx', options)
