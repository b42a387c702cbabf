# SPDX-License-Identifier: Apache-2.0
"""No file outside of a bundle's directory is opened, whatever bundle or parameters name."""

import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.bundle_search import inside
from mtl_split_core.errors import BackendError, BundleError


@pytest.fixture
def copied(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / 'tiny'))


@pytest.mark.parametrize('text', ['profile-car.yaml', './a/../profile-car.yaml', 'not/there.yaml'])
def test_a_file_in_the_directory(copied: Path, text: str) -> None:
    path = inside(copied, text)
    assert copied.resolve() in path.parents
    assert inside(copied, str(path)) == path


@pytest.mark.parametrize(
    'text', ['', '.', '..', '../tiny', '../other.yaml', 'a/../../b', '/etc/passwd', '\0']
)
def test_what_leads_out_of_the_directory(copied: Path, text: str) -> None:
    with pytest.raises(BundleError, match=r'give the name of a file in') as info:
        inside(copied, text)
    assert '\n' not in str(info.value)


def test_a_name_that_no_file_can_have(copied: Path) -> None:
    # some versions of Python call it a file that does not exist, which is as good
    with suppress(BundleError):
        assert not inside(copied, 'x' * 9999).is_file()


def test_a_name_that_only_begins_like_the_directory(copied: Path) -> None:
    with pytest.raises(BundleError, match='outside of'):
        inside(copied, f'{copied}-other/profile.yaml')


def test_symbolic_links_that_lead_out(copied: Path, tmp_path: Path) -> None:
    (tmp_path / 'secret').write_text('x')
    (copied / 'file').symlink_to(tmp_path / 'secret')
    (copied / 'folder').symlink_to(tmp_path)
    (copied / 'loop').symlink_to('loop')
    for text in ('file', 'folder/secret', 'folder'):
        with pytest.raises(BundleError, match='outside of'):
            inside(copied, text)
    with pytest.raises(BundleError):
        inside(copied, 'loop/file')


def test_a_bundle_that_is_installed_as_links(copied: Path, tmp_path: Path) -> None:
    """As `colcon build --symlink-install` leaves it."""
    (copied / 'profile-car.yaml').write_text('')
    (tmp_path / 'secret').write_text('x')
    installed = tmp_path / 'installed'
    installed.mkdir()
    for file in copied.iterdir():
        (installed / file.name).symlink_to(file)
    assert inside(installed, 'profile-car.yaml') == (copied / 'profile-car.yaml').resolve()
    with pytest.raises(BundleError, match='outside of'):
        inside(installed, '../secret')


@pytest.mark.parametrize('name', ['../encoder.onnx', '/tmp/encoder.onnx', 'other.onnx'])
def test_a_manifest_names_no_other_files(copied: Path, name: str) -> None:
    manifest = copied / 'bundle.yaml'
    document = yaml.safe_load(manifest.read_text())
    document['files'][name] = document['files'].pop('encoder.onnx')
    manifest.write_text(yaml.safe_dump(document))
    with pytest.raises(BundleError, match=r'files\.'):
        load_bundle(copied)


def test_a_network_loads_no_weights_from_outside(tmp_path: Path) -> None:
    """ONNX files may keep weights in another file, and name it."""
    (tmp_path / 'secret').write_bytes(np.ones(4, np.float32).tobytes())
    bundle = tmp_path / 'bundle'
    bundle.mkdir()
    for location in ('../secret', str(tmp_path / 'secret')):
        weights = numpy_helper.from_array(np.zeros(4, np.float32), 'w')
        external_data_helper.set_external_data(weights, location, offset=0, length=16)
        weights.ClearField('raw_data')
        weights.data_location = TensorProto.EXTERNAL
        shape = helper.make_tensor_value_info
        graph = helper.make_graph(
            [helper.make_node('Add', ['x', 'w'], ['y'])],
            'g',
            [shape('x', TensorProto.FLOAT, (4,))],
            [shape('y', TensorProto.FLOAT, (4,))],
            [weights],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
        (bundle / 'encoder.onnx').write_bytes(model.SerializeToString())
        assert onnx.load(bundle / 'encoder.onnx', load_external_data=False)
        with pytest.raises(BackendError, match=r'encoder\.onnx'):
            load_network(bundle / 'encoder.onnx')
