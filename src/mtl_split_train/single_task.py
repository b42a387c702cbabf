# SPDX-License-Identifier: Apache-2.0
"""A bundle with one of its tasks alone: what a single-task network of the same make is.

Its tail is the part of tail.onnx that the task's outputs need, so that precision and weights are
those of the whole one; the encoder and the tables are the same. Built in torch from the same
configuration with the other heads absent, the tail has the same tensors (`shared_tensors`).
"""

import tempfile
from pathlib import Path
from typing import Any

import onnx.utils
import safetensors.torch
import torch
import yaml

from mtl_split_core.bundle import Bundle, write_bundle
from mtl_split_core.bundle_schema import TaskInfo, TaskType
from mtl_split_core.errors import BundleError
from mtl_split_core.postprocess import output_names
from mtl_split_train.network import Tail
from mtl_split_train.torch_weights import read_facts

_COMPUTED = ('format', 'files', 'fingerprint', 'rates')
_SUFFIX = '.safetensors'


def single_task_bundle(bundle: Bundle, task: TaskInfo, directory: Path) -> Bundle:
    """Write the bundle of one task.

    Args:
        bundle: The bundle with all tasks.
        task: One of its tasks.
        directory: Where to write it; must not exist.

    Returns:
        The bundle; its rates are without figures.

    Raises:
        BundleError: The tail does not have the task's outputs.
    """
    manifest: dict[str, Any] = yaml.safe_load((bundle.path / 'bundle.yaml').read_text('utf-8'))
    tasks = [entry for entry in manifest['tasks'] if entry['name'] == task.name]
    kept = {key: value for key, value in manifest.items() if key not in _COMPUTED}
    kept |= {'name': f'{bundle.name}-{task.name}'.replace('_', '-'), 'tasks': tasks}
    kept['training'] = {'part_of': f'{bundle.fingerprint:016x}'}
    wanted = output_names(bundle)
    if task.type is TaskType.DETECTION:
        names = [name for name in wanted if name in ('boxes', 'scores')]
    else:
        names = ['mask' if task.type is TaskType.SEGMENTATION else task.name]
    with tempfile.TemporaryDirectory() as folder:
        tail = Path(folder) / 'tail.onnx'
        try:
            onnx.utils.extract_model(str(bundle.tail_path), str(tail), ['z_b'], names)
        except (ValueError, onnx.checker.ValidationError) as error:
            msg = f'{bundle.tail_path}: task {task.name} cannot be taken out ({error})'
            raise BundleError(msg) from error
        return write_bundle(directory, kept, bundle.encoder_path, tail, bundle.tables)


def shared_tensors(bundle: Bundle, task: TaskInfo) -> tuple[int, int] | None:
    """Return how much of a single-task network the weights of a bundle are.

    Args:
        bundle: With `tail.safetensors`.
        task: One of its tasks.

    Returns:
        Tensors of the tail that torch builds for this task alone from the same configuration, of
        the same name and shape in the weights; and all of its tensors. None without weights.
    """
    path = bundle.tail_path.with_suffix(_SUFFIX)
    if not path.is_file():
        return None
    config, classes = read_facts(path)
    sizes = {kind: size if kind == task.type else 0 for kind, size in classes.sizes().items()}
    with torch.device('meta'):
        alone = Tail(config, sizes).state_dict()
    whole = safetensors.torch.load_file(path)
    same = sum(name in whole and whole[name].shape == value.shape for name, value in alone.items())
    return same, len(alone)
