# SPDX-License-Identifier: Apache-2.0
"""What a run can leave out or add: heads, the rate term, frozen parts, JPEGs, a teacher."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.project import CONFIG, train, write_config, write_data
from torch import Tensor

from mtl_split_core.errors import DataError
from mtl_split_train.config import parse_config
from mtl_split_train.data import Batch, TrainingSet, collate
from mtl_split_train.dataset import read_dataset
from mtl_split_train.distillation import Teacher
from mtl_split_train.module import SplitModule
from mtl_split_train.optimise import make_optimizer


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('options')
    write_data(folder)
    return folder


def make(root: Path, seed: int = 1, **changes: dict[str, Any]) -> tuple[SplitModule, Batch]:
    """Return a module in training, and a batch of its data."""
    sections = CONFIG.keys() | changes.keys()
    content = {name: {**CONFIG.get(name, {}), **changes.get(name, {})} for name in sections}
    config = parse_config(content)
    data = read_dataset(root / 'data/train')
    torch.manual_seed(seed)
    classes = data.classes.only(config.loss.tasks)
    module = SplitModule(content, classes.mapping(), [1.0] * len(data.classes.segmentation))
    module.log = lambda *_args, **_options: None  # type: ignore[method-assign]
    return module.train(), collate([TrainingSet(data, config)[index] for index in range(3)])


def steps(module: SplitModule, batch: Batch, count: int = 2) -> None:
    made = make_optimizer(module.network.named_parameters(), module.config.schedule, 9)
    for _ in range(count):
        module.training_step(batch, 0).backward()
        made['optimizer'].step()
        made['optimizer'].zero_grad()


def state(module: SplitModule, part: str) -> dict[str, Tensor]:
    return {n: v.clone() for n, v in module.network.state_dict().items() if n.startswith(part)}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_task_of_weight_0_has_no_head(root: Path) -> None:
    module, batch = make(root, loss={'segmentation': 0.0, 'classification': 0.0})
    tail = module.network.tail
    assert (tail.segmentation, tail.classification) == (None, None)
    assert tail.detection is not None
    assert list(module.task_losses(module.network(batch.images), batch)) == ['detection']
    # The label maps are there all the same: objects are pasted by them.
    assert len(batch.labels.unique()) > 1


def test_frozen_parts_stay_as_they_are(root: Path) -> None:
    frozen = ['encoder.backbone', 'tail']
    module, batch = make(root, schedule={'frozen': frozen, 'warmup_epochs': 0})
    before = {part: state(module, part) for part in (*frozen, 'encoder.bottleneck')}
    steps(module, batch)
    assert same(before['tail'], state(module, 'tail'))  # statistics of its norms among them
    assert same(before['encoder.backbone'], state(module, 'encoder.backbone'))
    assert not same(before['encoder.bottleneck'], state(module, 'encoder.bottleneck'))
    assert module.network.encoder.bottleneck.training


@pytest.mark.parametrize(
    ('frozen', 'text'),
    [(['tial'], r"no part 'tial'; it has .*tail"), (['encoder', 'tail'], 'leave nothing to train')],
)
def test_frozen_parts_that_make_no_sense(root: Path, frozen: list[str], text: str) -> None:
    with pytest.raises(DataError, match=text):
        make(root, schedule={'frozen': frozen})


def test_without_the_rate_term_nothing_holds_the_targets(root: Path) -> None:
    for constrain in (True, False):
        module, batch = make(root, rates={'constrain': constrain})
        before = module.rate_controller.log_lambda.clone()
        module.training_step(batch, 0)
        assert torch.equal(before, module.rate_controller.log_lambda) != constrain


def test_what_has_been_through_jpeg_passes_unquantised(root: Path) -> None:
    module, batch = make(root, data={'jpeg': 1.0}, rates={'unquantised': 0.0})
    assert batch.jpeg.all()
    gain = module.network.encoder.bottleneck.log_gain
    for jpeg in (False, True):
        batch.jpeg[:] = jpeg
        losses = module.training_step(batch, 0)
        (grad,) = torch.autograd.grad(losses, module.network.encoder.bottleneck.log_step)
        # The step is that of the decoder: whoever passes unquantised does not meet it.
        assert bool(grad.any()) != jpeg
    assert gain.requires_grad


def test_a_teacher_is_nearest_to_itself(root: Path) -> None:
    teacher, batch = make(root, seed=1)
    other, _ = make(root, seed=2)
    followed = Teacher(copy.deepcopy(teacher))
    with torch.no_grad():
        own = followed.loss(batch.images, teacher.eval().network(batch.images))
        others = followed.loss(batch.images, other.eval().network(batch.images))
    assert 0 < own < others
    assert not any(parameter.requires_grad for parameter in followed.network.parameters())


def test_a_student_comes_nearer_to_its_teacher(root: Path) -> None:
    teacher, batch = make(root, seed=1)
    loss = {'detection': 1e-9, 'segmentation': 1e-9, 'classification': 1e-9}
    rates = {'constrain': False, 'unquantised': 1.0}
    schedule = {'warmup_epochs': 0, 'learning_rate': 0.01}
    student, _ = make(root, seed=2, loss=loss, rates=rates, schedule=schedule)
    student.teacher = followed = Teacher(teacher)
    assert not any(name.startswith('teacher') for name in student.state_dict())
    # Cross-entropy does not end at zero, but where the teacher follows itself.
    end = float(followed.loss(batch.images, followed.network(batch.images)))
    first = float(student.training_step(batch, 0).detach()) - end
    steps(student, batch, 12)
    assert float(student.training_step(batch, 0).detach()) - end < 0.5 * first


def test_a_teacher_of_other_classes_or_none(root: Path) -> None:
    teacher, _ = make(root)
    student, _ = make(root, loss={'segmentation': 0.0})
    with pytest.raises(DataError, match=r'loss.teacher a.ckpt has the classes .*this run'):
        Teacher(teacher).check(student, 'a.ckpt')
    write_config(root, loss={'teacher': 'nowhere.ckpt'})
    with pytest.raises(DataError, match=r'nowhere.ckpt cannot be read'):
        train(root, out='taught')
