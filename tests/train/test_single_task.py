# SPDX-License-Identifier: Apache-2.0
"""A bundle of one task: its answers are those of the whole one."""

from pathlib import Path

import numpy as np
import pytest

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import BundleError
from mtl_split_core.postprocess import output_names

pytest.importorskip('torch', reason='needs the train extra')

from mtl_split_train.single_task import shared_tensors, single_task_bundle


def test_answers_are_those_of_the_whole_network(tiny_bundle: Bundle, tmp_path: Path) -> None:
    z = np.random.default_rng(0).normal(size=(1, *tiny_bundle.feature_shape)).astype(np.float32)
    whole = load_network(tiny_bundle.tail_path).run({'z_b': z})
    seen: list[str] = []
    for task in tiny_bundle.tasks:
        alone = single_task_bundle(tiny_bundle, task, tmp_path / task.name)
        assert alone.tasks == (task,)
        assert alone.fingerprint != tiny_bundle.fingerprint
        assert alone.encoder_path.read_bytes() == tiny_bundle.encoder_path.read_bytes()
        network = load_network(alone.tail_path)
        assert set(network.output_names) == set(output_names(alone))
        for name, value in network.run({'z_b': z}).items():
            np.testing.assert_array_equal(value, whole[name])
            seen.append(name)
    assert sorted(seen) == sorted(output_names(tiny_bundle))


def test_weights_are_those_of_the_shipped_bundle(tiny_bundle: Bundle) -> None:
    bundle = load_bundle('camvid')
    counts = {task.name: shared_tensors(bundle, task) for task in bundle.tasks}
    assert all(found and found[0] == found[1] > 0 for found in counts.values())
    assert len(set(counts.values())) == 3  # each leaves out something else
    assert shared_tensors(tiny_bundle, tiny_bundle.tasks[0]) is None


def test_a_tail_without_the_task(tiny_bundle: Bundle, tmp_path: Path) -> None:
    other = load_bundle('camvid').classifications[0]
    (tail := tmp_path / 'tail.onnx').write_bytes(tiny_bundle.tail_path.read_bytes())
    task = next(task for task in tiny_bundle.tasks if task.type is other.type)
    alone = single_task_bundle(tiny_bundle, tiny_bundle.tasks[0], tmp_path / 'one')
    assert tail.stat().st_size >= alone.tail_path.stat().st_size
    with pytest.raises(BundleError, match=f'task {task.name} cannot be taken out'):
        single_task_bundle(alone, task, tmp_path / 'two')
