# SPDX-License-Identifier: Apache-2.0
"""Who may know whom: the rules that keep each room usable without the others."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / 'src'
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.glob('*/**/*.py'))

ROOMS = {
    'mtl_split_core': set(),
    'mtl_split_ros': {'mtl_split_core'},
    'mtl_split_edge': {'mtl_split_core', 'mtl_split_ros'},
    'mtl_split_server': {'mtl_split_core', 'mtl_split_ros'},
    'mtl_split_train': {'mtl_split_core'},
    'mtl_split_tools': {
        'mtl_split_core',
        'mtl_split_edge',
        'mtl_split_ros',
        'mtl_split_server',
        'mtl_split_train',
    },
}
MESSAGES = {
    'builtin_interfaces', 'diagnostic_msgs', 'geometry_msgs', 'mtl_split', 'rcl_interfaces',
    'rosgraph_msgs', 'sensor_msgs', 'std_msgs', 'std_srvs', 'vision_msgs',
}  # fmt: skip
ROS = MESSAGES | {
    'ament_index_python', 'cv_bridge', 'diagnostic_updater', 'launch', 'launch_ros', 'rclpy',
}  # fmt: skip
SHELLS = {
    Path('mtl_split_edge/arrival.py'),
    Path('mtl_split_edge/frame_work.py'),
    Path('mtl_split_edge/figures.py'),
    Path('mtl_split_edge/local_loading.py'),
    Path('mtl_split_edge/node.py'),
    Path('mtl_split_edge/reports.py'),
    Path('mtl_split_edge/sender.py'),
    Path('mtl_split_edge/statuses.py'),
    Path('mtl_split_server/camera.py'),
    Path('mtl_split_server/node.py'),
    Path('mtl_split_server/overlays.py'),
    Path('mtl_split_server/waiting.py'),
}
TORCH = {'lightning', 'torch', 'torchmetrics', 'torchvision'}
# The tools read data and count by these, also where torch is not installed.
WITHOUT_TORCH = {
    Path(f'mtl_split_train/{name}.py')
    for name in ('bdd100k', 'cityscapes', 'coco', 'dataset', 'formats', 'metrics', 'samples')
}
# What the edge has installed beside ROS, see requirements/edge.in.
EDGE_DEPENDENCIES = {'constriction', 'cv2', 'numpy', 'onnxruntime', 'rosbags', 'yaml'}
FOREIGN = {'av', 'lightning', 'matplotlib', 'onnx', 'PIL', 'pycocotools', 'rerun', 'rich', 'torch'}


def imports(module: Path) -> Iterator[str]:
    """Yield the top-level name of everything that a module imports, wherever in its text."""
    for node in ast.walk(ast.parse((SOURCE / module).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition('.')[0]


def test_every_room_has_a_rule() -> None:
    assert {path.name for path in SOURCE.iterdir() if (path / '__init__.py').exists()} == set(ROOMS)


@pytest.mark.parametrize('module', MODULES, ids=str)
def test_rooms(module: Path) -> None:
    room = module.parts[0]
    others = {name for name in imports(module) if name.startswith('mtl_split_')} - {room}
    assert others <= ROOMS[room]


@pytest.mark.parametrize('module', MODULES, ids=str)
def test_ros_stays_in_its_places(module: Path) -> None:
    if module.parts[0] not in ('mtl_split_ros', 'mtl_split_tools') and module not in SHELLS:
        assert not set(imports(module)) & ROS


@pytest.mark.parametrize('module', MODULES, ids=str)
def test_torch_stays_in_train(module: Path) -> None:
    if module.parts[0] != 'mtl_split_train' or module in WITHOUT_TORCH:
        assert not set(imports(module)) & TORCH


@pytest.mark.parametrize('module', MODULES, ids=str)
def test_nodes_need_only_what_the_edge_has(module: Path) -> None:
    if module.parts[0] not in ('mtl_split_train', 'mtl_split_tools'):
        assert not set(imports(module)) & FOREIGN
