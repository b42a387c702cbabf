# SPDX-License-Identifier: Apache-2.0
"""What bundle.yaml may say: the typed content, and the check that names each wrong field."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mtl_split_core.document import Field
from mtl_split_core.geometry import MAX_SIDE

FORMAT = 1
"""Version of the bundle layout."""

KEYS = (
    *('format', 'name', 'version', 'family', 'description', 'licence', 'fingerprint'),
    *('input', 'feature', 'default_rate', 'rates', 'tasks', 'files', 'training'),
)
"""The fields of bundle.yaml in the order in which they are written; training may be left out."""

FILES = ('encoder.onnx', 'tail.onnx', 'tables.npz')
"""The files beside bundle.yaml."""

MAX_FEATURE_VALUES = 4 * 2**20
"""Most values of Z_b, so that its float32 form stays within the largest payload."""

RESERVED_OUTPUTS = ('boxes', 'scores', 'mask')
"""Tail outputs whose names no classification task may take."""


class TaskType(StrEnum):
    """What kind of answer a task gives."""

    DETECTION = 'detection'
    SEGMENTATION = 'segmentation'
    CLASSIFICATION = 'classification'


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """One class of a task.

    Args:
        id: Index in the task, from 0.
        name: Unique in the task.
        color: RGB, 0 to 255.
    """

    id: int
    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """One task of the tail.

    Args:
        name: Name of the task, also of a classification's tail output.
        type: Kind of answer.
        classes: Classes by id.
        score_threshold: Smallest score of a box, 0 to 1; detection only.
        nms_iou: Overlap above which the weaker box of a class is dropped; detection only.
        max_detections: Most boxes per frame; detection only.
    """

    name: str
    type: TaskType
    classes: tuple[ClassInfo, ...]
    score_threshold: float = 0.3
    nms_iou: float = 0.5
    max_detections: int = 100


@dataclass(frozen=True, slots=True)
class RateInfo:
    """Measured figures of one rate, None where not measured.

    Args:
        index: Rate index, from 0.
        bytes_mean: Mean payload, bytes per frame.
        bytes_p95: 95th percentile of the payload, bytes.
        bytes_max: Largest payload, bytes.
        miou: Mean intersection over union of the segmentation, 0 to 1.
        map50: Mean average precision of the boxes at IoU 0.5, 0 to 1.
        accuracy: Share of right classifications, 0 to 1.
    """

    index: int
    bytes_mean: float | None = None
    bytes_p95: float | None = None
    bytes_max: float | None = None
    miou: float | None = None
    map50: float | None = None
    accuracy: float | None = None

    def document(self) -> dict[str, dict[str, float | None]]:
        """Return the entry of this rate in bundle.yaml."""
        return {
            'bytes': {'mean': self.bytes_mean, 'p95': self.bytes_p95, 'max': self.bytes_max},
            'accuracy': {'miou': self.miou, 'map50': self.map50, 'accuracy': self.accuracy},
        }


@dataclass(frozen=True, slots=True)
class InputInfo:
    """Network input, RGB: (x / 255 - mean) / std.

    Args:
        width: Pixels.
        height: Pixels.
        mean: Per channel, of values 0 to 1.
        std: Per channel, above 0.
    """

    width: int
    height: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The checked content of bundle.yaml."""

    name: str
    version: str
    family: str
    description: str
    licence: str
    input: InputInfo
    feature_shape: tuple[int, int, int]
    rates: tuple[RateInfo, ...]
    default_rate: int
    tasks: tuple[TaskInfo, ...]
    checksums: Mapping[str, str]
    fingerprint: int
    training: Mapping[str, Any] = field(default_factory=dict)


def compute_fingerprint(manifest: Manifest) -> int:
    """Hash what decoding depends on; measured figures, colours and thresholds are left out.

    Args:
        manifest: Content with its checksums.

    Returns:
        uint64, the first 8 bytes of a SHA-256.
    """
    content = {
        'format': FORMAT,
        'name': manifest.name,
        'version': manifest.version,
        'family': manifest.family,
        'input': [
            manifest.input.width,
            manifest.input.height,
            manifest.input.mean,
            manifest.input.std,
        ],
        'feature_shape': manifest.feature_shape,
        'tasks': [[t.type, t.name, [c.name for c in t.classes]] for t in manifest.tasks],
        'files': {name: manifest.checksums[name] for name in FILES},
    }
    text = json.dumps(content, sort_keys=True, separators=(',', ':'))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big')


def parse_manifest(document: object, where: str) -> Manifest:
    """Check the content of a bundle.yaml.

    Args:
        document: What the YAML parser gave.
        where: Name of the file, for the errors.

    Returns:
        The typed content.

    Raises:
        BundleError: Names file, field, value and what is allowed.
    """
    root = Field(where, '', document)
    root.keys(*KEYS[:-1], optional=KEYS[-1:])
    root['format'].integer(FORMAT, FORMAT)
    feature = root['feature'].keys('channels', 'height', 'width')
    shape = tuple(feature[key].integer(1, 65535) for key in ('channels', 'height', 'width'))
    if math.prod(shape) > MAX_FEATURE_VALUES:
        feature.fail(f'at most {MAX_FEATURE_VALUES} values')
    rates = tuple(_rate(node, i) for i, node in enumerate(root['rates'].items(1, 256)))
    files = root['files'].keys(*FILES)
    return Manifest(
        name=root['name'].text(r'[A-Za-z0-9][A-Za-z0-9_.-]*'),
        version=root['version'].text(),
        family=root['family'].text(),
        description=root['description'].text(),
        licence=root['licence'].text(),
        input=_input(root['input']),
        feature_shape=(shape[0], shape[1], shape[2]),
        rates=rates,
        default_rate=root['default_rate'].integer(0, len(rates) - 1),
        tasks=_tasks(root['tasks']),
        checksums={name: files[name].text(r'[0-9a-f]{64}') for name in FILES},
        fingerprint=int(root['fingerprint'].text(r'[0-9a-f]{16}'), 16),
        training=root['training'].mapping() if 'training' in root else {},
    )


def _input(node: Field) -> InputInfo:
    node.keys('width', 'height', 'mean', 'std')
    mean = [entry.number(-1e3, 1e3) for entry in node['mean'].items(3, 3)]
    std = [entry.number(1e-6, 1e3) for entry in node['std'].items(3, 3)]
    return InputInfo(
        width=node['width'].integer(1, MAX_SIDE),
        height=node['height'].integer(1, MAX_SIDE),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
    )


def _rate(node: Field, index: int) -> RateInfo:
    node.keys('bytes', 'accuracy')
    size = node['bytes'].keys('mean', 'p95', 'max')
    accuracy = node['accuracy'].keys('miou', 'map50', 'accuracy')
    return RateInfo(
        index,
        *(size[key].number_or_none(0, 1e9) for key in ('mean', 'p95', 'max')),
        *(accuracy[key].number_or_none(0, 1) for key in ('miou', 'map50', 'accuracy')),
    )


def _tasks(node: Field) -> tuple[TaskInfo, ...]:
    tasks = tuple(_task(entry) for entry in node.items(1, 32))
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        node.fail(f'tasks with different names, not {names}')
    for kind in (TaskType.DETECTION, TaskType.SEGMENTATION):
        if sum(task.type is kind for task in tasks) > 1:
            node.fail(f'at most one {kind} task')
    return tasks


def _task(node: Field) -> TaskInfo:
    kind = TaskType(node.keys_of('type').text('|'.join(TaskType)))
    tuning = ('score_threshold', 'nms_iou', 'max_detections')
    node.keys('name', 'type', 'classes', optional=tuning if kind is TaskType.DETECTION else ())
    name = node['name'].text(r'[a-z][a-z0-9_]*')
    if kind is TaskType.CLASSIFICATION and name in RESERVED_OUTPUTS:
        node['name'].fail(f'a name other than {", ".join(RESERVED_OUTPUTS)}')
    # Class 255 of a mask means unlabelled.
    entries = node['classes'].items(1, 255)
    classes = tuple(_class(entry, index) for index, entry in enumerate(entries))
    if len({info.name for info in classes}) < len(classes):
        node['classes'].fail('classes with different names')
    values: dict[str, Any] = {}
    for key in tuning:
        if key in node:
            entry = node[key]
            values[key] = entry.integer(1, 10000) if key == tuning[2] else entry.number(0, 1)
    return TaskInfo(name, kind, classes, **values)


def _class(node: Field, index: int) -> ClassInfo:
    node.keys('name', 'color')
    color = [entry.integer(0, 255) for entry in node['color'].items(3, 3)]
    return ClassInfo(index, node['name'].text(), (color[0], color[1], color[2]))
