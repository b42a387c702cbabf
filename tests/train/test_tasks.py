# SPDX-License-Identifier: Apache-2.0
"""Frames without labels for a task, data without a task, and the bundles that come of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_dataset import make_dataset
from tests.train.project import CONFIG, export, train, write_config, write_data

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import DataError
from mtl_split_core.results import Detections
from mtl_split_core.tail import TailStage
from mtl_split_train import split_family
from mtl_split_train.config import parse_config
from mtl_split_train.data import (
    Batch,
    EvaluationSet,
    TrainingSet,
    class_weights,
    collate,
    value_weights,
)
from mtl_split_train.dataset import read_dataset
from mtl_split_train.metrics import accuracy, evaluate_detections
from mtl_split_train.module import SplitModule, config_mapping
from mtl_split_train.samples import Classes, Dataset
from mtl_split_train.tasks import describe_tasks

CONFIGURATION = parse_config(CONFIG)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Frame 1 has all labels, frame 2 none, frame 3 those of the attribute alone."""
    folder = make_dataset(tmp_path / 'data')

    def change(content: dict[str, Any]) -> None:
        content['images'][1]['unlabelled'] = ['segmentation', 'detection', 'time_of_day']
        content['images'][2]['unlabelled'] = ['segmentation', 'detection']

    edit(folder / 'annotations.json', change)
    for number in (2, 3):
        (folder / f'labels/f{number}.png').unlink()
    return read_dataset(folder)


def batch_of(dataset: Dataset, *numbers: int) -> Batch:
    data = EvaluationSet(dataset, CONFIGURATION)
    return collate([data[number] for number in numbers])


@pytest.fixture
def module(dataset: Dataset) -> SplitModule:
    torch.manual_seed(0)
    weights = class_weights(dataset).tolist()
    config = config_mapping(CONFIGURATION)
    return SplitModule(config, dataset.classes.mapping(), weights).eval()


def test_what_is_not_labelled_is_read_as_such(dataset: Dataset) -> None:
    assert [s.has_boxes for s in dataset.images] == [True, False, False]
    assert [s.label_map is not None for s in dataset.images] == [True, False, False]
    assert [s.attribute for s in dataset.images] == ['day', None, 'day']


def test_frames_without_labels_add_nothing_to_a_loss(dataset: Dataset, module: SplitModule) -> None:
    rate = torch.tensor([0])
    with torch.no_grad():
        alone = {}
        for number in range(3):
            batch = batch_of(dataset, number)
            alone[number] = module.task_losses(module.network(batch.images, rate), batch)
        pair = batch_of(dataset, 0, 1)
        both = module.task_losses(module.network(pair.images, rate.repeat(2)), pair)
    assert all(loss > 0 for loss in alone[0].values())
    assert all(loss < 1e-6 for loss in alone[1].values())
    assert alone[2]['classification'] > 0
    assert max(alone[2]['detection'], alone[2]['segmentation']) < 1e-6
    for name, loss in both.items():
        assert float(loss) == pytest.approx(float(alone[0][name]), rel=1e-4), name


def test_a_rare_value_of_the_attribute_can_weigh_more(dataset: Dataset) -> None:
    attributes = ['day', 'day', 'dusk']
    images = [replace(s, attribute=a) for s, a in zip(dataset.images, attributes, strict=True)]
    many = replace(dataset, images=images)
    weights = value_weights(many)
    assert weights == pytest.approx([2 / 3, 4 / 3])
    losses = []
    for balance in (0.0, 1.0):
        config = replace(
            CONFIGURATION, loss=replace(CONFIGURATION.loss, classification_balance=balance)
        )
        torch.manual_seed(0)
        module = SplitModule(
            config_mapping(config), many.classes.mapping(), class_weights(many).tolist(), weights
        ).eval()
        batch = batch_of(many, 0, 1, 2)
        with torch.no_grad():
            output = module.network(batch.images, torch.tensor([0, 0, 0]))
            logits = output.classification
            losses.append(module.task_losses(output, batch)['classification'])
    each = torch.nn.functional.cross_entropy(logits.float(), batch.attribute, reduction='none')
    share = CONFIGURATION.loss.classification
    assert float(losses[0]) == pytest.approx(share * float(each.mean()))
    rare = (each[0] + each[1] + 2 * each[2]) / 4
    assert float(losses[1]) == pytest.approx(share * float(rare))


def test_a_batch_without_any_label_trains(dataset: Dataset, module: SplitModule) -> None:
    batch = batch_of(dataset, 1, 1)
    losses = module.train().task_losses(module.network(batch.images, torch.tensor([0, 1])), batch)
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in module.network.tail.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() < 1e-6, name


def test_random_views_of_frames_without_labels(dataset: Dataset) -> None:
    config = replace(CONFIGURATION, data=replace(CONFIGURATION.data, paste=1.0))
    views = TrainingSet(dataset, config)
    torch.manual_seed(0)
    for _ in range(20):
        frame, attribute = views[1]
        assert attribute == -1
        target = collate([(frame, attribute)]).targets[0]
        assert target['ignored'].isinf().all()


def test_metrics_leave_them_out(dataset: Dataset) -> None:
    car = Detections(
        np.array([[2, 4, 10, 12]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int32)
    )
    wrong = replace(car, boxes=car.boxes + 9)
    found = evaluate_detections(dataset, [car, wrong, wrong])
    assert found['map50'] == pytest.approx(1)
    nothing = replace(dataset, images=dataset.images[1:])
    assert np.isnan(evaluate_detections(nothing, [car, car])['map50'])
    assert accuracy(['dusk', 'day', 'day'], [s.attribute for s in dataset.images]) == 0.5


def without(task: str) -> Callable[[dict[str, Any]], None]:
    """Take a whole task out of annotations.json."""

    def change(content: dict[str, Any]) -> None:
        if task == 'detection':
            content.update(categories=[], annotations=[])
        elif task == 'segmentation':
            content['segmentation_classes'] = []
        else:
            content['attribute'] = {}

    return change


@pytest.mark.parametrize(
    ('absent', 'outputs'),
    [
        (('segmentation', 'attribute'), ('boxes', 'scores')),
        (('detection', 'attribute'), ('mask',)),
        (('detection', 'segmentation'), ('time_of_day',)),
    ],
)
def test_one_task_alone_from_data_to_answers(
    tmp_path: Path, absent: tuple[str, ...], outputs: tuple[str, ...]
) -> None:
    write_data(tmp_path)
    write_config(tmp_path, schedule={'epochs': 1, 'validate_every': 1})
    for path in tmp_path.glob('data/*/annotations.json'):
        for task in absent:
            edit(path, without(task))
    assert train(tmp_path) == 0
    header = (tmp_path / 'out/csv/version_0/metrics.csv').read_text().splitlines()[0]
    assert sum(f'val/{name}' in header for name in ('miou', 'map50', 'accuracy')) == 1
    assert export(tmp_path, tmp_path / 'bundle') == 0
    bundle: Bundle = load_bundle(tmp_path / 'bundle')
    assert len(bundle.tasks) == 1
    tail = load_network(bundle.tail_path)
    assert tail.output_names == outputs
    stage = TailStage(bundle, tail)
    stage.warm_up()


def test_own_classes_of_a_folder(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / 'data')

    def change(content: dict[str, Any]) -> None:
        content['segmentation_classes'] = [f'c{i}' for i in range(11)]
        content['attribute'] = {'name': 'weather', 'values': ['dry', 'wet', 'snow']}
        for image in content['images']:
            image['weather'] = 'wet'

    edit(folder / 'annotations.json', change)
    dataset = read_dataset(folder)
    assert dataset.classes.sizes() == {'detection': 2, 'segmentation': 11, 'classification': 3}
    tasks = {task['name']: task for task in describe_tasks(dataset.classes)}
    assert [c['name'] for c in tasks['weather']['classes']] == ['dry', 'wet', 'snow']
    colors = [tuple(c['color']) for c in tasks['segmentation']['classes']]
    assert len(set(colors)) == 11
    edit(folder / 'annotations.json', lambda c: c.update(segmentation_classes=['c0', 'c1']))
    with pytest.raises(DataError, match=r'f1\.png holds class id 11; the ids are 0, 1 and 2 for'):
        read_dataset(folder)
    edit(folder / 'annotations.json', lambda c: c.update(attribute={'name': 'weather'}))
    with pytest.raises(DataError, match=r'annotations\.json: `segmentation_classes` must list'):
        read_dataset(folder)


def test_many_classes_have_different_colours() -> None:
    names = tuple(f'c{i}' for i in range(133))
    (task,) = describe_tasks(Classes(segmentation=names))
    assert len({tuple(c['color']) for c in task['classes']}) > 125


def test_no_task_at_all() -> None:
    with pytest.raises(DataError, match='labels for no task'):
        SplitModule(config_mapping(CONFIGURATION), Classes().mapping(), [])


def test_checkpoints_of_before_the_other_formats(project: Path, tmp_path: Path) -> None:
    """They named the detection classes alone and had no data.format and no data.root."""
    state = torch.load(project / 'out/checkpoints/last.ckpt', weights_only=True)
    parameters = state['hyper_parameters']
    parameters['detection_classes'] = parameters.pop('classes')['detection']
    for key in ('format', 'root'):
        del parameters['config']['data'][key]
    torch.save(state, tmp_path / 'old.ckpt')
    module = split_family.load_module(tmp_path / 'old.ckpt')
    assert module.classes == read_dataset(project / 'data/train').classes
    assert module.config.data.format == 'camvid'


def test_export_on_data_with_other_classes(project: Path, tmp_path: Path) -> None:
    write_data(tmp_path)
    (tmp_path / 'out').symlink_to(project / 'out')
    for path in tmp_path.glob('data/*/annotations.json'):
        edit(path, without('attribute'))
    with pytest.raises(DataError, match=r'last\.ckpt was trained on .*give the --data of its run'):
        export(tmp_path, tmp_path / 'bundle')
    assert not (tmp_path / 'bundle').exists()
