# SPDX-License-Identifier: Apache-2.0
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from mtl_split_core import backend
from mtl_split_core.backend import BackendOptions, fits, load_network, on_gpu
from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import BackendError


class Echo:
    """A backend as another package would bring it."""

    def load(self, path: Path, options: BackendOptions) -> Any:
        return path, options


def test_run(tiny_bundle: Bundle) -> None:
    network = load_network(tiny_bundle.encoder_path)
    assert network.input_shapes == {'image': (1, 3, 64, 96)}
    assert network.output_names == ('z_b',)
    outputs = network.run({'image': np.zeros((1, 3, 64, 96), np.float32)})
    assert outputs['z_b'].shape == (1, 8, 8, 12)


def test_threads_do_not_change_the_answer(tiny_bundle: Bundle) -> None:
    z = np.random.default_rng(0).normal(0, 1, (1, 8, 8, 12)).astype(np.float32)
    one = load_network(tiny_bundle.tail_path).run({'z_b': z})
    two = load_network(tiny_bundle.tail_path, options=BackendOptions(threads=2)).run({'z_b': z})
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_allclose(array, two[name], atol=1e-6)


def test_threads_do_not_spin(tiny_bundle: Bundle) -> None:
    network: Any = load_network(tiny_bundle.tail_path, options=BackendOptions(threads=2))
    options = network._session.get_session_options()
    for pool in ('intra_op', 'inter_op'):
        assert options.get_session_config_entry(f'session.{pool}.allow_spinning') == '0'
    assert options.intra_op_num_threads == 2
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL


def test_unknown_backend(tiny_bundle: Bundle) -> None:
    with pytest.raises(
        BackendError, match=r"'tensorrt9' is not installed, there are: .*onnxruntime"
    ):
        load_network(tiny_bundle.encoder_path, 'tensorrt9')


def test_unknown_provider(tiny_bundle: Bundle) -> None:
    options = BackendOptions(providers=('QuantumExecutionProvider',))
    with pytest.raises(BackendError, match=r"'Quantum.*there are: .*CPUExecutionProvider"):
        load_network(tiny_bundle.encoder_path, options=options)


def test_threads_below_one(tiny_bundle: Bundle) -> None:
    with pytest.raises(BackendError, match='threads is 0'):
        load_network(tiny_bundle.encoder_path, options=BackendOptions(threads=0))


def test_broken_and_missing_file(tmp_path: Path) -> None:
    path = tmp_path / 'encoder.onnx'
    with pytest.raises(BackendError, match=r'encoder\.onnx: does not load'):
        load_network(path)
    path.write_bytes(b'no network')
    with pytest.raises(BackendError, match=r'encoder\.onnx: does not load') as info:
        load_network(path)
    assert '\n' not in str(info.value)


@pytest.mark.parametrize(
    'inputs',
    [
        {},
        {'picture': np.zeros((1, 3, 64, 96), np.float32)},
        {'image': np.zeros((1, 3, 64, 95), np.float32)},
        {'image': np.zeros((1, 3, 64, 96), np.float64)},
    ],
)
def test_wrong_inputs(tiny_bundle: Bundle, inputs: dict[str, Any]) -> None:
    with pytest.raises(BackendError, match='does not run'):
        load_network(tiny_bundle.encoder_path).run(inputs)


def test_backends_of_other_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        EntryPoint('echo', f'{__name__}:Echo', backend.GROUP),
        EntryPoint('gone', 'a_package_that_is_not_there:Backend', backend.GROUP),
    ]
    monkeypatch.setattr(backend, 'entry_points', lambda **_: entries)
    options = BackendOptions(threads=3)
    loaded: object = load_network(tmp_path, 'echo', options)
    assert loaded == (tmp_path, options)
    with pytest.raises(BackendError, match=r"'gone' does not import .*a_package_that_is_not_there"):
        load_network(tmp_path, 'gone')


@pytest.mark.parametrize(
    ('providers', 'gpu'),
    [
        ((), False),
        (('CPUExecutionProvider',), False),
        (('OpenVINOExecutionProvider', 'CUDAExecutionProvider'), False),
        (('CUDAExecutionProvider', 'CPUExecutionProvider'), True),
        (('TensorrtExecutionProvider',), True),
        (('cpu',), False),
        (('cuda:1',), True),
    ],
)
def test_the_first_provider_says_whether_it_is_a_gpu(providers: tuple[str, ...], gpu: bool) -> None:
    assert on_gpu(providers) is gpu


def test_shapes_with_open_sizes() -> None:
    assert fits((3, 8, 12), (None, 8, 12))
    assert not fits((3, 8, 12), (1, 8, 12))
    assert not fits((3, 8, 12), (None, 8))
