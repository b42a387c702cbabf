# SPDX-License-Identifier: Apache-2.0
import copy
import math
from typing import Any

import pytest
import yaml

from mtl_split_core.bundle import Bundle
from mtl_split_core.bundle_schema import TaskType, compute_fingerprint, parse_manifest
from mtl_split_core.errors import BundleError


@pytest.fixture
def document(tiny_bundle: Bundle) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((tiny_bundle.path / 'bundle.yaml').read_text())
    return loaded


def put(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy with the value at a dotted path; `...` takes the field away."""
    changed = copy.deepcopy(document)
    node: Any = changed
    *parents, last = [int(key) if key.isdigit() else key for key in path.split('.')]
    for key in parents:
        node = node[key]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return changed


def test_parse(document: dict[str, Any]) -> None:
    manifest = parse_manifest({**document, 'training': {'epochs': 3}}, 'bundle.yaml')
    assert manifest.input.mean == (0.485, 0.456, 0.406)
    assert manifest.feature_shape == (8, 8, 12)
    assert [task.type for task in manifest.tasks] == list(TaskType)
    assert manifest.tasks[0].classes[3].name == 'sign'
    assert manifest.tasks[0].max_detections == 20
    assert manifest.rates[1].bytes_mean is None
    assert manifest.training == {'epochs': 3}
    assert compute_fingerprint(manifest) == manifest.fingerprint


@pytest.mark.parametrize(
    ('path', 'value', 'text'),
    [
        ('format', 2, 'format is 2, allowed is 1'),
        ('format', ..., 'format is missing'),
        ('extra', 1, 'extra is not a known field'),
        ('name', '../up', "name is '../up'"),
        ('name', 5, 'name is 5, allowed is a text'),
        ('version', 1.0, r'version is 1\.0, allowed is a text'),
        ('description', 'x' * 5000, r"description is 'xxx.*\.\.\., allowed"),
        ('licence', '', "licence is ''"),
        ('input', [1], r'input is \[1\], allowed is a mapping'),
        ('input.width', 0, 'input.width is 0, allowed is a whole number from 1'),
        ('input.width', True, 'input.width is True'),
        ('input.width', '96', "input.width is '96'"),
        ('input.mean', [1, 2], r'input.mean is \[1, 2\], allowed is a list of 3'),
        ('input.mean.1', math.nan, r'input.mean\[1\] is nan'),
        ('input.std.2', 0, r'input.std\[2\] is 0'),
        ('feature.channels', -1, 'feature.channels is -1'),
        ('feature', {'channels': 65535, 'height': 9999, 'width': 9999}, 'at most 4194304 values'),
        ('default_rate', 2, 'default_rate is 2, allowed is a whole number from 0 to 1'),
        ('rates', [], r'rates is \[\]'),
        ('rates.0.bytes.p95', -1, r'rates\[0\].bytes.p95 is -1'),
        ('rates.1.accuracy.miou', 1.5, r'rates\[1\].accuracy.miou is 1.5'),
        ('rates.1.accuracy.map', 0.5, r'rates\[1\].accuracy.map is not a known field'),
        ('tasks', 'none', "tasks is 'none'"),
        ('tasks.0', None, r'tasks\[0\] is None'),
        ('tasks.0.type', 'depth', r"tasks\[0\].type is 'depth'.*detection\|segmentation"),
        ('tasks.0.type', ..., r'tasks\[0\] is .* a mapping with type'),
        ('tasks.0.name', 'Cars', r"tasks\[0\].name is 'Cars'"),
        ('tasks.0.nms_iou', 2, r'tasks\[0\].nms_iou is 2, allowed is a number from 0 to 1'),
        ('tasks.0.max_detections', 0.5, r'tasks\[0\].max_detections is 0.5'),
        ('tasks.1.nms_iou', 0.5, r'tasks\[1\].nms_iou is not a known field'),
        ('tasks.1.type', 'detection', 'at most one detection task'),
        ('tasks.2.name', 'mask', r"tasks\[2\].name is 'mask'.*other than boxes"),
        ('tasks.2.name', 'detection', 'different names'),
        ('tasks.2.classes', [], r'tasks\[2\].classes is \[\]'),
        ('tasks.2.classes.1.name', 'day', 'classes with different names'),
        ('tasks.2.classes.1.color', [0, 0, 256], r'tasks\[2\].classes\[1\].color\[2\] is 256'),
        ('tasks.2.classes.1.color', ..., r'tasks\[2\].classes\[1\].color is missing'),
        ('files', {}, 'files.encoder.onnx is missing'),
        ('fingerprint', 12, 'fingerprint is 12'),
        ('fingerprint', 'XYZ', "fingerprint is 'XYZ'"),
        ('training', [1], r'training is \[1\]'),
    ],
)
def test_every_wrong_field_is_named(
    document: dict[str, Any], path: str, value: object, text: str
) -> None:
    with pytest.raises(BundleError, match=f'(?s)^a/bundle.yaml: .*{text}'):
        parse_manifest(put(document, path, value), 'a/bundle.yaml')


@pytest.mark.parametrize('document', [None, [], 'text', {}, {1: 2}])
def test_no_document_at_all(document: object) -> None:
    with pytest.raises(BundleError, match=r'bundle.yaml: '):
        parse_manifest(document, 'bundle.yaml')


@pytest.mark.parametrize(
    ('path', 'value', 'same'),
    [
        ('rates.0.bytes.mean', 500, True),
        ('default_rate', 0, True),
        ('description', 'Other.', True),
        ('tasks.0.score_threshold', 0.7, True),
        ('tasks.0.classes.0.color', [1, 2, 3], True),
        ('tasks.0.classes.0.name', 'truck', False),
        ('tasks.2.name', 'daytime', False),
        ('input.std.0', 0.3, False),
        ('feature.width', 13, False),
        ('version', '1.0.1', False),
        ('files.tables.npz', '0' * 64, False),
    ],
)
def test_fingerprint_covers_what_decoding_depends_on(
    document: dict[str, Any], path: str, value: object, same: bool
) -> None:
    if path == 'files.tables.npz':
        changed = copy.deepcopy(document)
        changed['files']['tables.npz'] = value
    else:
        changed = put(document, path, value)
    before = compute_fingerprint(parse_manifest(document, ''))
    after = compute_fingerprint(parse_manifest(changed, ''))
    assert (before == after) is same
