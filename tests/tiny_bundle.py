# SPDX-License-Identifier: Apache-2.0
"""A real bundle of three tasks that is small enough for every test: two ONNX nets, 96x64 input."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, write_bundle
from mtl_split_core.tables import CodecTables

WIDTH, HEIGHT = 96, 64
FLOAT = TensorProto.FLOAT
STRIDE = 8
CHANNELS = 8
FEATURE_SHAPE = (CHANNELS, HEIGHT // STRIDE, WIDTH // STRIDE)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GAINS = (2.0, 8.0)
DETECTION_CLASSES = ('car', 'pedestrian', 'bicyclist', 'sign')
SEGMENTATION_CLASSES = (
    *('sky', 'building', 'pole', 'road', 'pavement', 'tree'),
    *('sign', 'fence', 'car', 'pedestrian', 'bicyclist'),
)
TIMES_OF_DAY = ('day', 'dusk')


def make_tiny_bundle(
    directory: Path,
    seed: int = 0,
    name: str = 'tiny',
    detection: Sequence[str] = DETECTION_CLASSES,
    *,
    batched: bool = True,
) -> Bundle:
    """Write a bundle with random, fixed weights; ordinary images give it a few boxes.

    Args:
        directory: Where to write it.
        seed: Seed of the weights; another seed gives another fingerprint.
        name: Name of the bundle.
        detection: Names of the four box classes.
        batched: Whether the tail takes several frames at once; that of older bundles takes one.

    Returns:
        The bundle.
    """
    random = np.random.default_rng(seed)
    with TemporaryDirectory() as scratch:
        encoder, tail = Path(scratch) / 'encoder.onnx', Path(scratch) / 'tail.onnx'
        onnx.save(_encoder(random), encoder)
        onnx.save(_tail(random, batched=batched), tail)
        tables = _tables(encoder, random)
        return write_bundle(directory, _manifest(name, detection), encoder, tail, tables)


def with_other_tail(bundle: Bundle, directory: Path, seed: int = 1, **network_input: Any) -> Bundle:
    """Write a bundle with the encoder and the tables of a tiny one, and a tail of its own.

    Args:
        bundle: From make_tiny_bundle().
        directory: Where to write it.
        seed: Seed of the tail's weights.
        network_input: Changes of the section `input`.

    Returns:
        The bundle, `other`.
    """
    manifest = _manifest('other', DETECTION_CLASSES)
    manifest['input'] |= network_input
    with TemporaryDirectory() as scratch:
        tail = Path(scratch) / 'tail.onnx'
        onnx.save(_tail(np.random.default_rng(seed)), tail)
        return write_bundle(directory, manifest, bundle.encoder_path, tail, bundle.tables)


def street_image(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return a smooth picture with some bright blocks, RGB uint8 [height, width, 3]."""
    random = np.random.default_rng(seed)
    rows = np.linspace(0, 1, height)[:, None, None]
    columns = np.linspace(0, 1, width)[None, :, None]
    phase = random.uniform(0, 6, 3)
    image = 120 + 60 * np.sin(5 * rows + phase) + 50 * np.cos(7 * columns + phase)
    for _ in range(4):
        x, y = int(random.uniform(0, 0.8) * width), int(random.uniform(0, 0.8) * height)
        image[y : y + height // 5 + 1, x : x + width // 5 + 1] += random.uniform(-90, 90, 3)
    picture: NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)
    return picture


def _encoder(random: np.random.Generator) -> onnx.ModelProto:
    weight = random.normal(0, 1 / STRIDE / 2, (CHANNELS, 3, STRIDE, STRIDE))
    nodes = [
        helper.make_node(
            'Conv',
            ['image', 'w', 'b'],
            ['conv'],
            kernel_shape=[STRIDE, STRIDE],
            strides=[STRIDE, STRIDE],
        ),
        helper.make_node('Tanh', ['conv'], ['z_b']),
    ]
    constants = {'w': weight, 'b': random.normal(0, 0.1, CHANNELS)}
    return _model(
        nodes, constants, [('image', (1, 3, HEIGHT, WIDTH))], [('z_b', FLOAT, (1, *FEATURE_SHAPE))]
    )


def _tail(random: np.random.Generator, *, batched: bool = True) -> onnx.ModelProto:
    _, rows, columns = FEATURE_SHAPE
    cells = rows * columns
    # One anchor per cell, three cells wide and high; the scores alone depend on the features.
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing='ij')
    center = np.stack([x, y, x, y], -1).reshape(cells, 4) * STRIDE + STRIDE / 2
    anchors = center + np.array([-12.0, -12.0, 12.0, 12.0])
    constants = {
        'anchors': anchors,
        'w_scores': random.normal(0, 0.7, (len(DETECTION_CLASSES), CHANNELS, 1, 1)),
        'b_scores': np.full(len(DETECTION_CLASSES), -1.5),
        'w_mask': random.normal(0, 1, (len(SEGMENTATION_CLASSES), CHANNELS, 1, 1)),
        'w_time': random.normal(0, 1, (CHANNELS, len(TIMES_OF_DAY))),
        'zero': np.zeros(1),
    }
    shapes = {
        'shape_mean': (-1, 1, 1),
        'shape_scores': (-1, len(DETECTION_CLASSES), cells),
        'shape_time': (-1, CHANNELS),
        'axis': (0,),
    }
    scales = np.array([1, 1, STRIDE, STRIDE], np.float32)
    nodes = [
        # The boxes depend on the input in name only, as every output of a tail must.
        helper.make_node('ReduceMean', ['z_b'], ['mean'], axes=[1, 2, 3]),
        helper.make_node('Reshape', ['mean', 'shape_mean'], ['mean_of_each']),
        helper.make_node('Mul', ['mean_of_each', 'zero'], ['nothing']),
        helper.make_node('Add', ['anchors', 'nothing'], ['all_boxes']),
        helper.make_node('Conv', ['z_b', 'w_scores', 'b_scores'], ['logits']),
        helper.make_node('Reshape', ['logits', 'shape_scores'], ['rows']),
        helper.make_node('Transpose', ['rows'], ['by_cell'], perm=[0, 2, 1]),
        helper.make_node('Sigmoid', ['by_cell'], ['all_scores']),
        helper.make_node('Conv', ['z_b', 'w_mask'], ['small']),
        helper.make_node('Resize', ['small', '', 'scales'], ['large'], mode='nearest'),
        helper.make_node('ArgMax', ['large'], ['ids'], axis=1, keepdims=0),
        helper.make_node('Cast', ['ids'], ['all_mask'], to=TensorProto.UINT8),
        helper.make_node('GlobalAveragePool', ['z_b'], ['pooled']),
        helper.make_node('Reshape', ['pooled', 'shape_time'], ['vector']),
        helper.make_node('MatMul', ['vector', 'w_time'], ['time_logits']),
        helper.make_node('Softmax', ['time_logits'], ['all_time_of_day'], axis=1),
    ]
    of_one: list[tuple[str, int, tuple[int, ...]]] = [
        ('boxes', FLOAT, (cells, 4)),
        ('scores', FLOAT, (cells, len(DETECTION_CLASSES))),
        ('mask', TensorProto.UINT8, (HEIGHT, WIDTH)),
        ('time_of_day', FLOAT, (len(TIMES_OF_DAY),)),
    ]
    frames: int | str = 'batch' if batched else 1
    outputs: list[tuple[str, int, tuple[int | str, ...]]] = []
    for output, kind, shape in of_one:
        if batched:
            nodes.append(helper.make_node('Identity', [f'all_{output}'], [output]))
            outputs.append((output, kind, (frames, *shape)))
        else:
            nodes.append(helper.make_node('Squeeze', [f'all_{output}', 'axis'], [output]))
            outputs.append((output, kind, shape))
    extra = [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in shapes.items()]
    extra.append(numpy_helper.from_array(scales, 'scales'))
    return _model(nodes, constants, [('z_b', (frames, *FEATURE_SHAPE))], outputs, extra)


def _model(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, NDArray[Any]],
    inputs: Sequence[tuple[str, tuple[int | str, ...]]],
    outputs: Sequence[tuple[str, int, tuple[int | str, ...]]],
    extra: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    initializers = [
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph(
        list(nodes),
        'tiny',
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(*output) for output in outputs],
        [*initializers, *extra],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _tables(encoder: Path, random: np.random.Generator) -> CodecTables:
    network = load_network(encoder)
    frames = []
    for seed in random.integers(0, 2**31, 8).tolist():
        image = (street_image(WIDTH, HEIGHT, seed) / 255 - MEAN) / STD
        frames.append(network.run({'image': image.transpose(2, 0, 1)[None].astype(np.float32)}))
    z = np.concatenate([outputs['z_b'] for outputs in frames])
    gain = np.repeat(np.array(GAINS, np.float32)[:, None], CHANNELS, axis=1)
    symbols = [np.rint(z * value).astype(np.int32) for value in GAINS]
    return CodecTables.from_symbols(gain, (1 / gain).astype(np.float32), symbols)


def _manifest(name: str, detection: Sequence[str]) -> dict[str, Any]:
    def classes(names: Sequence[str]) -> list[dict[str, Any]]:
        colors = np.random.default_rng(len(names)).integers(40, 256, (len(names), 3)).tolist()
        return [{'name': n, 'color': c} for n, c in zip(names, colors, strict=True)]

    return {
        'name': name,
        'version': '1.0.0',
        'family': 'mtl_split',
        'description': 'Random weights for tests.',
        'licence': 'Apache-2.0',
        'input': {'width': WIDTH, 'height': HEIGHT, 'mean': list(MEAN), 'std': list(STD)},
        'feature': dict(zip(('channels', 'height', 'width'), FEATURE_SHAPE, strict=True)),
        'default_rate': len(GAINS) - 1,
        'tasks': [
            {
                'name': 'detection',
                'type': 'detection',
                'classes': classes(detection),
                'score_threshold': 0.3,
                'nms_iou': 0.5,
                'max_detections': 20,
            },
            {
                'name': 'segmentation',
                'type': 'segmentation',
                'classes': classes(SEGMENTATION_CLASSES),
            },
            {
                'name': 'time_of_day',
                'type': 'classification',
                'classes': classes(TIMES_OF_DAY),
            },
        ],
    }
