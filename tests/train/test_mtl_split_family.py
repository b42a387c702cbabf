# SPDX-License-Identifier: Apache-2.0
"""MTL-Split as published: its sizes, its recipe, its bundle, and that through the real nodes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import TensorDataset

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import DataError
from mtl_split_core.tail import TailStage
from mtl_split_train.config import BundleConfig
from mtl_split_train.data import normalise
from mtl_split_train.family_export import export_halves, mtl_split_halves
from mtl_split_train.mtl_split_family import (
    PUBLISHED_BACKBONES,
    MtlSplitNetwork,
    Recipe,
    fit,
    joint_loss,
    summarise,
)

# The fixtures count: training and two exports on a busy machine.
pytestmark = pytest.mark.timeout(300)

SIDE = 64
TASKS = {'shade': ('dark', 'bright'), 'colour': ('red', 'green', 'blue')}
NOTES = BundleConfig('published', '0.1.0', 'A few steps on made pictures.', 'Apache-2.0')


def made_picture(shade: int, colour: int, seed: int = 0) -> NDArray[np.uint8]:
    """A noisy block on a grey ground: two factors, as the paper's 3D Shapes has them."""
    random = np.random.default_rng(seed)
    picture = random.integers(0, 60, (SIDE, SIDE, 3)) + 120 * shade
    picture[16:48, 16:48, colour] = 255
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def trained() -> tuple[MtlSplitNetwork, list[NDArray[np.uint8]], list[float]]:
    labels = torch.tensor([[i % 2, i % 3] for i in range(24)])
    pictures = [made_picture(*row, seed) for seed, row in enumerate(labels.tolist())]
    torch.manual_seed(0)
    network = MtlSplitNetwork('mobilenet_v3_small', TASKS, (SIDE, SIDE))
    data = TensorDataset(torch.stack([normalise(picture) for picture in pictures]), labels)
    history = fit(network, data, Recipe(epochs=6, batch_size=8, learning_rate=1e-3))
    return network, pictures, history


@pytest.fixture(scope='module')
def published_bundle(
    trained: tuple[MtlSplitNetwork, list[NDArray[np.uint8]], list[float]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    network, pictures, _ = trained
    out = tmp_path_factory.mktemp('published') / 'bundle'
    return export_halves(mtl_split_halves(network, {'epochs': 6}), NOTES, pictures, out)


@pytest.mark.parametrize(
    ('backbone', 'z_bytes'),
    [
        ('vgg16', 100_352),
        ('mobilenet_v3_small', 112_896),
        ('efficientnet_b0', 250_880),
    ],
)
def test_z_b_takes_what_the_paper_says(backbone: str, z_bytes: int) -> None:
    assert summarise(backbone, (8, 4)).z_bytes == z_bytes


def test_every_backbone_of_the_paper_is_there() -> None:
    assert set(PUBLISHED_BACKBONES) == {
        'vgg16', 'vgg16_bn', 'resnet18', 'mobilenet_v3_small', 'efficientnet_b0',
    }  # fmt: skip
    for backbone in PUBLISHED_BACKBONES:
        found = summarise(backbone, (8, 4))
        values = found.z_bytes // 4
        assert found.z_shape[1:] == (7, 7)
        # Two heads: Linear(C * 7 * 7 -> 256) and Linear(256 -> K), each with its biases.
        assert found.server_parameters == 2 * (values + 1) * 256 + 257 * (8 + 4)
        assert found.edge_megabytes == pytest.approx(found.edge_parameters * 4e-6)


def as_published(backbone: str, classes: tuple[int, ...]) -> torch.nn.ModuleList:
    """Return backbone and heads as github.com/intelligolabs/MTL-Split makes them.

    Its models/mtl_split.py takes torchvision's `features`, or ResNet18 without its last two
    children, and writes the channels of each into the heads.
    """
    models = pytest.importorskip('torchvision').models
    whole = models.get_model(backbone, weights=None)
    if backbone == 'resnet18':
        features = torch.nn.Sequential(*list(whole.children())[:-2])
    else:
        features = whole.features
    channels = {'mobilenet_v3_small': 576, 'efficientnet_b0': 1280}.get(backbone, 512)
    heads = torch.nn.ModuleList(
        torch.nn.Sequential(
            torch.nn.Linear(channels * 7 * 7, 256),
            torch.nn.Dropout(0.1),
            torch.nn.ReLU(),
            torch.nn.Linear(256, count),
        )
        for count in classes
    )
    return torch.nn.ModuleList([features, heads])


def leaves(module: torch.nn.Module) -> list[str]:
    """Return all layers with their settings, in order; what only reshapes is left out."""
    whole = [layer for layer in module.modules() if not list(layer.children())]
    return [repr(layer) for layer in whole if not isinstance(layer, torch.nn.Flatten)]


@pytest.mark.parametrize('backbone', PUBLISHED_BACKBONES)
def test_layers_and_weights_are_those_of_the_published_code(backbone: str) -> None:
    tasks = {'scale': tuple('abcdefgh'), 'shape': tuple('abcd')}
    with torch.device('meta'):
        theirs = as_published(backbone, (8, 4))
        ours = MtlSplitNetwork(backbone, tasks)
    for mine, published in zip((ours.encoder, ours.tail), theirs, strict=True):
        assert leaves(mine) == leaves(published)
        shapes = [[w.shape for w in half.parameters()] for half in (mine, published)]
        assert shapes[0] == shapes[1]
    found = summarise(backbone, (8, 4))
    counts = [sum(w.numel() for w in half.parameters()) for half in theirs]
    assert [found.edge_parameters, found.server_parameters] == counts


@pytest.mark.parametrize('backbone', ['mobilenet_v3_small', 'resnet18'])
def test_answers_are_those_of_the_published_code(backbone: str) -> None:
    features, heads = theirs = as_published(backbone, (2, 3)).eval()
    ours = MtlSplitNetwork(backbone, TASKS).eval()
    names = ours.state_dict().keys()
    ours.load_state_dict(dict(zip(names, theirs.state_dict().values(), strict=True)))
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        flat = torch.flatten(features(x), start_dim=1)
        for mine, head in zip(ours(x), heads, strict=True):
            assert torch.allclose(mine, head(flat), atol=1e-5)


def test_summaries_count_the_whole_backbone() -> None:
    # torchvision's own counts less those of its classifiers.
    assert summarise('vgg16', (2,)).edge_parameters == 138_357_544 - 123_642_856
    assert summarise('resnet18', (2,)).edge_parameters == 11_689_512 - 513_000


def test_wrong_networks_name_what_is_known() -> None:
    with pytest.raises(DataError, match="'vgg19' is not of the paper: efficientnet_b0, mobilenet"):
        MtlSplitNetwork('vgg19', TASKS)
    with pytest.raises(DataError, match='at least one task'):
        MtlSplitNetwork('resnet18', {})
    with pytest.raises(DataError, match=r"'shade': \('dark',\).*two classes"):
        MtlSplitNetwork('resnet18', {'shade': ('dark',)})
    with pytest.raises(DataError, match=r'size \(64, 50\): .* multiples of 32'):
        MtlSplitNetwork('resnet18', TASKS, (64, 50))
    with pytest.raises(DataError, match="weights 'MOON' of backbone 'resnet18'"):
        MtlSplitNetwork('resnet18', TASKS, weights='MOON')


def test_the_recipe_is_the_papers() -> None:
    recipe = Recipe()
    network = torch.nn.Linear(1, 1)
    optimiser, schedule = recipe.optimiser(network)
    assert (recipe.epochs, recipe.batch_size) == (30, 32)
    assert isinstance(optimiser, torch.optim.AdamW)
    (group,) = optimiser.param_groups
    assert (group['lr'], group['weight_decay']) == (1e-4, pytest.approx(1e-6))
    rates = []
    for _ in range(recipe.epochs):
        rates.append(group['lr'])
        optimiser.step()
        schedule.step()
    assert rates == [pytest.approx(1e-4)] * 15 + [pytest.approx(1e-5)] * 15
    with pytest.raises(DataError, match='epochs and batch_size must be 1 or more'):
        Recipe(epochs=0)


def test_the_loss_is_the_unweighted_sum() -> None:
    logits = [torch.randn(4, 2), torch.randn(4, 3)]
    labels = torch.tensor([[0, 2], [1, 0], [1, 1], [0, 0]])
    parts = [torch.nn.functional.cross_entropy(y, labels[:, i]) for i, y in enumerate(logits)]
    assert torch.allclose(joint_loss(logits, labels), parts[0] + parts[1])


def test_both_tasks_are_learnt_together(
    trained: tuple[MtlSplitNetwork, list[NDArray[np.uint8]], list[float]],
) -> None:
    _, _, history = trained
    assert len(history) == 6
    assert history[-1] < 0.5 * history[0]


def test_the_bundle_has_one_answer_per_task(
    published_bundle: Bundle,
    trained: tuple[MtlSplitNetwork, list[NDArray[np.uint8]], list[float]],
) -> None:
    network, pictures, _ = trained
    bundle = published_bundle
    assert [task.type for task in bundle.tasks] == [TaskType.CLASSIFICATION] * 2
    assert {t.name: tuple(c.name for c in t.classes) for t in bundle.tasks} == TASKS
    assert bundle.feature_shape == (576, 2, 2)
    encode = EncodeStage(bundle, load_network(bundle.encoder_path))
    tail = TailStage(bundle, load_network(bundle.tail_path))
    with torch.no_grad():
        expected = [y[0].softmax(0).numpy() for y in network(normalise(pictures[5])[None])]
    sizes = []
    for rate in range(len(bundle.rates)):
        packet = encode.encode(pictures[5], rate, CodecId.ENTROPY, 0)
        assert [c.task for c in tail.run(packet).classifications] == list(TASKS)
        sizes.append(len(packet.data))
    assert sizes == sorted(sizes)
    assert sizes[-1] < 576 * 2 * 2 * 4
    exact = tail.run(encode.encode(pictures[5], 0, CodecId.LOSSLESS, 0)).classifications
    for answer, want in zip(exact, expected, strict=True):
        np.testing.assert_allclose(answer.scores, want, atol=1e-3)


def test_an_export_says_what_is_wrong(
    trained: tuple[MtlSplitNetwork, list[NDArray[np.uint8]], list[float]], tmp_path: Path
) -> None:
    network, pictures, _ = trained
    halves = mtl_split_halves(network, {})
    with pytest.raises(DataError, match='exists; remove it'):
        export_halves(halves, NOTES, pictures, tmp_path)
    with pytest.raises(DataError, match=r'pictures have the shapes \[\(8, 8, 3\)\]'):
        export_halves(halves, NOTES, [np.zeros((8, 8, 3), np.uint8)], tmp_path / 'x')
    with pytest.raises(DataError, match='smallest first'):
        export_halves(halves, NOTES, pictures, tmp_path / 'x', levels=(2.0, 1.0))


@pytest.mark.ros(beside=True)  # what it needs is trained in that half
def test_the_nodes_run_it(published_bundle: Bundle, tmp_path: Path) -> None:
    harness = pytest.importorskip('tests.ros.harness', reason='needs ROS 2')
    image = pytest.importorskip('sensor_msgs.msg').Image
    answer = pytest.importorskip('vision_msgs.msg').Classification
    graph = harness.Graph(tmp_path)
    try:
        nodes = [graph.start(name, bundle=published_bundle.path) for name in ('edge', 'server')]
        for node in nodes:
            node.ready()
        images = graph.publisher(image, 'image')
        topics = ('classification', 'classification/colour')
        found = {topic: graph.record(answer, topic) for topic in topics}
        picture, stamp = made_picture(1, 2), harness.header(1)

        def answered() -> bool:
            # A frame that comes before everybody has found everybody is nobody's.
            images.publish(harness.image_msg(picture, stamp))
            return all(found.values())

        harness.wait_for(answered, 'an answer for each task')
        encode = EncodeStage(published_bundle, load_network(published_bundle.encoder_path))
        tail = TailStage(published_bundle, load_network(published_bundle.tail_path))
        packet = encode.encode(picture, published_bundle.default_rate, CodecId.ENTROPY, 0)
        for topic, want in zip(topics, tail.run(packet).classifications, strict=True):
            message = harness.received(found[topic], stamp)
            names = [result.class_id for result in message.results]
            assert names == [TASKS[want.task][k] for k in want.ranking()]
            scores = [result.score for result in message.results]
            np.testing.assert_allclose(scores, np.sort(want.scores)[::-1], atol=1e-5)
    finally:
        codes = graph.close()
    assert set(codes) <= {0, 2}
