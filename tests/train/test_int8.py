# SPDX-License-Identifier: Apache-2.0
"""The tail in 8 bits: smaller, nearly the same answers, refused where they are not."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from tests.train.project import export

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import DataError
from mtl_split_core.other_tail import for_features_of
from mtl_split_train import int8
from mtl_split_train.dataset import read_dataset
from mtl_split_train.export import sample_received
from mtl_split_train.int8 import changed_pixels


@pytest.fixture(scope='module')
def small(project: Path) -> Bundle:
    """The project's bundle with a tail in 8 bits."""
    folder = project / 'int8'
    assert export(project, folder, '--int8') == 0
    return load_bundle(folder)


def received(bundle: Bundle, project: Path) -> list[NDArray[np.float32]]:
    """Z_b of the training frames as the server receives it, at both rates."""
    stage = EncodeStage(bundle, load_network(bundle.encoder_path))
    frames = [stage.features(s.image())[0] for s in read_dataset(project / 'data/train').images]
    return sample_received(frames * 2, bundle.tables)


def test_the_convolutions_are_in_8_bits(small: Bundle, bundle_folder: Path) -> None:
    graph = onnx.load(small.tail_path).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count('QuantizeLinear') > 10
    weights = {i.name: i.data_type for i in graph.initializer}
    stored = [kind for name, kind in weights.items() if name.endswith('_quantized')]
    assert onnx.TensorProto.INT8 in stored
    whole = load_bundle(bundle_folder)
    assert small.tail_path.stat().st_size < 0.6 * whole.tail_path.stat().st_size
    assert small.fingerprint != whole.fingerprint
    assert small.encoder_path.read_bytes() == whole.encoder_path.read_bytes()
    # so what one of them has sent, the tail of the other may answer
    assert for_features_of(whole, small).features_of == f'{small.name} {small.version}'


def test_answers_stay_close(small: Bundle, bundle_folder: Path, project: Path) -> None:
    whole = load_bundle(bundle_folder)
    given = received(whole, project)
    share = changed_pixels(whole.tail_path, small.tail_path, given)
    assert share is not None
    assert share < 0.05
    for z in given:
        exact = load_network(whole.tail_path).run({'z_b': z[None]})
        found = load_network(small.tail_path).run({'z_b': z[None]})
        assert np.abs(exact['scores'] - found['scores']).max() < 0.1
        assert np.abs(exact['time_of_day'] - found['time_of_day']).max() < 0.1


@pytest.mark.parametrize('precision', ['float', 'int8'])
def test_several_frames_in_one_run_are_answered_as_each_alone(
    small: Bundle, bundle_folder: Path, project: Path, precision: str
) -> None:
    """To the last bit, but for the classifier.

    It is a product of two matrices, and which kernel does that may depend on how many rows there
    are. Convolutions and norms go frame by frame.
    """
    bundle = small if precision == 'int8' else load_bundle(bundle_folder)
    tail = load_network(bundle.tail_path)
    assert tail.input_shapes == {'z_b': (None, *bundle.feature_shape)}
    frames = received(bundle, project)[:5]
    together = tail.run({'z_b': np.stack(frames)})
    for index, z in enumerate(frames):
        alone = tail.run({'z_b': z[None]})
        assert together.keys() == alone.keys()
        for name, values in alone.items():
            assert values.shape[1:] == together[name].shape[1:]
            if name == 'time_of_day':
                np.testing.assert_allclose(together[name][index], values[0], rtol=1e-5)
            else:
                assert together[name][index].tobytes() == values[0].tobytes(), name


def test_the_bundle_says_so(small: Bundle) -> None:
    assert small.training['tail']['precision'] == 'int8'
    assert 0 <= small.training['tail']['changed_pixels'] < int8.MAX_CHANGED_PIXELS


def test_a_tail_that_answers_otherwise_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, 'MAX_CHANGED_PIXELS', -1.0)
    with pytest.raises(DataError, match=r'of the label pixels: export without --int8'):
        export(project, tmp_path / 'refused', '--int8')
    assert not (tmp_path / 'refused').exists()
