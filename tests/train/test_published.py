# SPDX-License-Identifier: Apache-2.0
"""`mtl-split train` and `export` of the published MTL-Split, on drawn shapes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tests.train.project import run

from mtl_split_core.bundle import load_bundle
from mtl_split_core.errors import DataError
from mtl_split_train import cli_export, cli_train
from mtl_split_train.attributes import AttributeData, AttributeSample
from mtl_split_train.config import read_config
from mtl_split_train.data import NO_ATTRIBUTE
from mtl_split_train.families import find_family
from mtl_split_train.mtl_split_family import (
    PUBLISHED_BACKBONES,
    MtlSplitNetwork,
    joint_loss,
    summarise,
    task_losses,
)
from mtl_split_train.published import family
from mtl_split_train.published.comparison import Budget, Length, accuracies, settle_norms
from mtl_split_train.published.config import DataConfig, mapping, parse
from mtl_split_train.published.data import AttributeSet, choose_tasks, read_set
from mtl_split_train.published.module import PublishedModule

from torchvision import models  # isort: skip (it needs the operators that the room declares)

# The fixtures count: a training run and an export on a busy machine.
pytestmark = pytest.mark.timeout(300)

CONFIG: dict[str, Any] = {
    'family': 'mtl_split',
    'bundle': {'name': 'made', 'version': '0.1.0', 'description': 'For a test.', 'licence': 'none'},
    'data': {'tasks': ['shape', 'scale'], 'limit': 12, 'input_width': 32, 'input_height': 32},
    'schedule': {'epochs': 2, 'batch_size': 4},
}
BUNDLE = CONFIG['bundle']


def train(root: Path, *more: object, out: str = 'out') -> int:
    path = root / 'run.yaml'
    path.write_text(yaml.safe_dump(CONFIG))
    return run(
        cli_train, '--config', path, '--out', root / out, '--accelerator', 'cpu', *more,
    )  # fmt: skip


def state(root: Path, out: str = 'out') -> dict[str, Any]:
    found: dict[str, Any] = torch.load(root / out / 'checkpoints/last.ckpt', weights_only=True)
    return found


@pytest.fixture(scope='module')
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('published')
    assert train(root) == 0
    return root


def test_a_run_leaves_checkpoints_and_logs(finished: Path) -> None:
    assert (finished / 'out/checkpoints/best.ckpt').is_file()
    assert list(finished.glob('out/tb/version_0/events*'))
    log = (finished / 'out/csv/version_0/metrics.csv').read_text()
    for column in ('loss/shape', 'loss/scale', 'loss/total', 'val/accuracy_shape', 'val/mean'):
        assert column in log.splitlines()[0]
    assert state(finished)['family'] == 'mtl_split'


def test_the_optimiser_is_as_published(finished: Path) -> None:
    found = state(finished)
    (group,) = found['optimizer_states'][0]['param_groups']
    assert group['initial_lr'] == 1e-4
    assert group['weight_decay'] == pytest.approx(1e-6)
    schedule = found['lr_schedulers'][0]
    assert (schedule['step_size'], schedule['gamma']) == (1, 0.1)  # at half of two epochs
    assert group['lr'] == pytest.approx(1e-6)


def test_the_same_seed_repeats_a_run_and_resume_goes_on(finished: Path, tmp_path: Path) -> None:
    assert train(tmp_path, '--epochs', 1) == 0
    with pytest.raises(DataError, match='holds a run already; add --resume'):
        train(tmp_path)
    assert train(tmp_path, '--resume') == 0
    assert state(tmp_path)['epoch'] == 1
    assert train(tmp_path, out='again') == 0
    first, again = state(finished)['state_dict'], state(tmp_path, 'again')['state_dict']
    assert all(torch.equal(value, again[name]) for name, value in first.items())


def test_published_weights_are_wanted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    published = models.MobileNet_V3_Small_Weights.IMAGENET1K_V1
    file = tmp_path / 'hub/checkpoints' / published.url.rsplit('/', 1)[1]
    file.parent.mkdir(parents=True)
    torch.save(models.mobilenet_v3_small().state_dict(), file)
    monkeypatch.setitem(CONFIG, 'network', {'weights': 'IMAGENET1K_V1'})
    assert train(tmp_path, '--epochs', 1) == 0
    file.unlink()
    assert train(tmp_path, '--resume') == 0
    assert state(tmp_path)['epoch'] == 1


def test_the_bundle_has_the_tasks(finished: Path) -> None:
    checkpoint, out = finished / 'out/checkpoints/last.ckpt', finished / 'bundle'
    assert run(cli_export, '--checkpoint', checkpoint, '--out', out) == 0
    bundle = load_bundle(str(out))
    assert (bundle.name, bundle.family) == ('made', 'mtl_split')
    found = {task.name: tuple(entry.name for entry in task.classes) for task in bundle.tasks}
    assert found['shape'] == ('cube', 'cylinder', 'sphere', 'capsule')
    assert len(found['scale']) == 8
    assert bundle.feature_shape == (576, 1, 1)
    for option in (('--int8',), ('--with-torch',), ('--unweight', 0.5)):
        with pytest.raises(DataError, match=f"{option[0]} is not for family 'mtl_split'"):
            run(cli_export, '--checkpoint', checkpoint, '--out', out / 'x', *option)


@pytest.mark.parametrize('count', [1, 3])
def test_a_step_adds_the_losses_of_all_tasks_unweighted(count: int) -> None:
    tasks = {f't{n}': [str(k) for k in range(2 + n)] for n in range(count)}
    module = PublishedModule(
        mapping(parse({name: CONFIG[name] for name in ('bundle', 'data')})), tasks
    )
    logged: dict[str, float] = {}
    module.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[method-assign]
    module.eval()
    images, labels = torch.randn(4, 3, 32, 32), torch.tensor([[0] * count, [1] * count] * 2)
    with torch.no_grad():
        total = module.training_step((images, labels), 0)
        alone = [
            torch.nn.functional.cross_entropy(logits, labels[:, task])
            for task, logits in enumerate(module.network(images))
        ]
    assert len(alone) == count
    assert float(total) == pytest.approx(float(sum(alone)))
    assert {name: logged[f'loss/{name}'] for name in tasks} == pytest.approx(
        dict(zip(tasks, map(float, alone), strict=True))
    )


def test_checkpoints_that_do_not_fit(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / 'x.ckpt'
    torch.save({'family': 'mtl_split'}, path)
    with pytest.raises(DataError, match="not a whole checkpoint of family 'mtl_split'"):
        family.load_module(path)
    torch.save({}, path)
    with pytest.raises(DataError, match="of family 'split', not of 'mtl_split'"):
        family.load_module(path)
    with pytest.raises(DataError, match="--init is not for family 'mtl_split'"):
        train(tmp_path, '--init', finished / 'out/checkpoints/last.ckpt', out='other')


def test_the_shipped_configuration_is_the_papers_recipe() -> None:
    path = Path(__file__).parents[2] / 'experiments/mtl_split_shapes.yaml'
    found, content = find_family(read_config(path), str(path))
    assert found is family
    config = parse(content, str(path))
    schedule = config.schedule
    assert (schedule.epochs, schedule.batch_size, schedule.learning_rate) == (30, 32, 1e-4)
    assert config.data.size == (224, 224)
    assert parse(mapping(config)) == config


def test_the_sizes_in_the_document_are_those_of_the_code() -> None:
    text = (Path(__file__).parents[2] / 'docs/papers.md').read_text()
    for backbone in PUBLISHED_BACKBONES:
        found = summarise(backbone, (8, 4))
        shape = 'x'.join(map(str, found.z_shape))
        row = (
            f'| {backbone} | {found.edge_parameters:,} | {found.edge_megabytes:.1f} | '
            f'{found.server_parameters:,} | {shape} | {found.z_bytes:,} |'
        )
        assert row in text


@pytest.mark.parametrize(
    ('section', 'text'),
    [
        ({'network': {'backbone': 'vgg19'}}, "network.backbone is 'vgg19'; .* efficientnet_b0"),
        ({'data': {'format': 'moon'}}, "data.format is 'moon'; .* shapes"),
        ({'data': {'limit': -1}}, r'data.limit is -1'),
        ({'network': {'stage': 4}}, 'network.stage is not known'),
        ({'loss': {}}, 'loss is not known'),
    ],
)
def test_wrong_configurations_name_the_key(section: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        parse({'bundle': BUNDLE, **section})


def made_data() -> AttributeData:
    """Pictures of which some have no label for a task."""
    rows: list[tuple[int | None, int | None]] = [(0, None), (1, 2), (None, None)]
    samples = [
        AttributeSample({'a': a, 'b': b}, lambda: np.full((20, 40, 3), 200, np.uint8))
        for a, b in rows
    ]
    return AttributeData(Path('made'), {'a': ('no', 'yes'), 'b': ('x', 'y', 'z')}, samples)


def test_pictures_are_letterboxed_and_missing_labels_marked() -> None:
    data = made_data()
    found = AttributeSet(data.samples, data.tasks, (32, 32))
    assert found.picture(0).shape == (32, 32, 3)
    assert [tuple(found[i][1].tolist()) for i in range(3)] == [
        (0, NO_ATTRIBUTE), (1, 2), (NO_ATTRIBUTE, NO_ATTRIBUTE),
    ]  # fmt: skip
    assert [found.only(['b'])[i][1].tolist() for i in range(2)] == [[NO_ATTRIBUTE], [2]]


def test_tasks_by_name() -> None:
    data = made_data()
    assert choose_tasks(data, []) == data.tasks
    assert list(choose_tasks(data, ['b', 'a'])) == ['b', 'a']
    with pytest.raises(DataError, match=r"names 'c'; made has a, b"):
        choose_tasks(data, ['a', 'c'])
    with pytest.raises(DataError, match='name each task once'):
        choose_tasks(data, ['a', 'a'])


def test_samples_without_a_label_add_nothing_to_its_loss() -> None:
    logits = [torch.randn(3, 2), torch.randn(3, 4)]
    labels = torch.tensor([[0, -1], [1, 3], [-1, -1]])
    kept = torch.nn.functional.cross_entropy(logits[0][:2], labels[:2, 0])
    alone = torch.nn.functional.cross_entropy(logits[1][1:2], labels[1:2, 1])
    assert torch.allclose(task_losses(logits, labels), torch.stack([kept, alone]))
    nothing = joint_loss(logits, torch.full((3, 2), NO_ATTRIBUTE))
    assert float(nothing) == 0.0


def test_accuracy_counts_labelled_pictures_alone() -> None:
    data = made_data()
    network = MtlSplitNetwork('mobilenet_v3_small', data.tasks, (32, 32)).eval()
    with torch.no_grad():
        for head, chosen in zip(network.tail.heads, (1, 2), strict=True):
            last = head[-1]
            last.weight.zero_()
            last.bias.zero_()
            last.bias[chosen] = 1.0
    found = AttributeSet(data.samples, data.tasks, (32, 32))
    assert list(accuracies(network, found).values()) == [0.5, 1.0]


def test_norms_settle_on_the_pictures_and_weights_stay() -> None:
    torch.manual_seed(0)
    data = read_set(DataConfig(limit=8, input_width=32, input_height=32), Path(), 'train')
    network = MtlSplitNetwork('mobilenet_v3_small', data.tasks, data.size).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    settle_norms(network, data, 8)
    assert not network.training
    after = network.state_dict()
    moved = {name for name, value in before.items() if not value.equal(after[name])}
    assert moved
    assert all('running_' in name or 'num_batches' in name for name in moved)
    first = network.encoder.layers[0]
    assert isinstance(first, torch.nn.Sequential)
    features = first[0](torch.stack([data[index][0] for index in range(len(data))]))
    assert first[1].running_mean.allclose(features.mean((0, 2, 3)), atol=1e-5)


def test_budgets_say_what_is_wrong() -> None:
    with pytest.raises(DataError, match="backbone is 'moon'; use one of efficientnet_b0"):
        Length('moon', 1, 1)
    with pytest.raises(DataError, match='2 tasks or more'):
        Budget([], ['scale'], 1, 1, 32)
