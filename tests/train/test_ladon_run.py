# SPDX-License-Identifier: Apache-2.0
"""Ladon as a person runs it: one command for all stages, resumed, exported, through the nodes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tests.tiny_bundle import street_image
from tests.train.project import run, write_data

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import DataError
from mtl_split_core.tail import TailStage
from mtl_split_train import cli_export, cli_train, families
from mtl_split_train.data import normalise
from mtl_split_train.family_export import count_symbols
from mtl_split_train.ladon.export import ladon_halves, load_module

# The fixtures count: five stages and two exports on a busy machine.
pytestmark = pytest.mark.timeout(600)

SIDE = 64
STAGES = ('1-mimic', '2-distil', '3-detection', '4-segmentation')
#: Untrained heads are sure of nothing, so that every score counts.
THRESHOLD = 0.05


def stage(learning_rate: float, epochs: int = 1) -> dict[str, Any]:
    return {'epochs': epochs, 'batch_size': 2, 'learning_rate': learning_rate}


CONFIG: dict[str, Any] = {
    'family': 'ladon',
    'bundle': {'name': 'made', 'version': '0.1.0', 'description': 'For a test.', 'licence': 'none'},
    'network': {'backbone': 'resnet18', 'width': 16, 'representation': 32, 'proposals': 12},
    'data': {'input_width': SIDE, 'input_height': SIDE, 'crop_width': SIDE, 'crop_height': SIDE},
    'betas': [1.28],
    'stages': {
        'teacher': stage(1e-3),
        'mimic': stage(1e-3),
        'distil': stage(1e-3),
        'detection': stage(1e-2),
        'segmentation': stage(1e-2),
        'joint': stage(1e-3),
    },
    # Validation has a test of its own.
    'validate_every': 9,
}


def train(root: Path, *more: object, out: str = 'out', **changes: Any) -> int:
    (root / 'run.yaml').write_text(yaml.safe_dump({**CONFIG, **changes}))
    return run(
        cli_train,
        *('--config', root / 'run.yaml', '--data', root / 'data', '--out', root / out),
        *('--accelerator', 'cpu', *more),
    )


def state_of(root: Path, folder: str) -> dict[str, torch.Tensor]:
    path = root / 'out' / folder / 'checkpoints/last.ckpt'
    found: dict[str, torch.Tensor] = torch.load(path, weights_only=True)['state_dict']
    return found


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a finished run of one beta."""
    root = tmp_path_factory.mktemp('ladon')
    write_data(root)
    assert train(root) == 0
    return root


@pytest.fixture(scope='module')
def ladon_bundle(trained: Path) -> Bundle:
    last = trained / 'out/beta-1.28' / STAGES[-1] / 'checkpoints/last.ckpt'
    assert export(last, trained, trained / 'bundle') == 0
    return load_bundle(trained / 'bundle')


def export(checkpoint: Path, root: Path, out: Path, *more: object) -> int:
    return run(cli_export, '--checkpoint', checkpoint, '--data', root / 'data', '--out', out, *more)


def test_each_stage_moves_its_part_alone(trained: Path) -> None:
    states = [state_of(trained, f'beta-1.28/{name}') for name in STAGES]
    teacher = state_of(trained, 'teacher')
    assert not any(name.startswith('teacher.') for name in states[0])
    changed = [
        {n.removeprefix('network.') for n in after if not torch.equal(before[n], after[n])}
        for before, after in pairwise(states)
    ]
    parts = [{n.split('.')[0] + '.' + n.split('.')[1] for n in names} for names in changed]
    assert parts[0] == {'body.decoder', 'body.layers', 'body.heads'}
    assert {n.split('.')[2] for n in changed[0] if 'heads' in n} == {'classification'}
    assert {n.rsplit('.', 1)[-1] for n in changed[0]} >= {'running_mean', 'weight'}
    assert all(n.startswith('body.heads.detection.') for n in changed[1])
    assert all(n.startswith('body.heads.segmentation.') for n in changed[2])
    assert all(changed)
    # Stage 1 leaves what it has of the teacher as it is, and the heads start from there, too.
    for name, value in states[0].items():
        if '.layers.' in name:
            left, _, right = name.removeprefix('network.body.').partition('.')
            index, _, rest = right.partition('.')
            assert torch.equal(value, teacher[f'teacher.{left}.{int(index) + 1}.{rest}']), name
        elif '.heads.' in name:
            assert torch.equal(value, teacher[f'teacher.{name.removeprefix("network.body.")}'])
    assert not states[-1]['network.bottleneck.log_gain'].any()


def test_checkpoints_say_what_they_are_of(trained: Path) -> None:
    paths = sorted((trained / 'out').glob('**/last.ckpt'))
    assert [str(p.relative_to(trained / 'out').parents[1]) for p in paths] == [
        *(f'beta-1.28/{name}' for name in STAGES),
        'teacher',
    ]
    assert {families.checkpoint_family(path) for path in paths} == {'ladon'}
    with pytest.raises(DataError, match=r'last\.ckpt is the teacher; give'):
        load_module(paths[-1])


def test_a_run_is_resumed_at_its_stage(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained / 'data', tmp_path / 'data')
    shutil.copytree(trained / 'out', tmp_path / 'out')
    with pytest.raises(DataError, match='holds a run already; add --resume'):
        train(tmp_path)
    longer = {**CONFIG['stages'], 'segmentation': stage(1e-2, 2)}
    assert train(tmp_path, '--resume', stages=longer) == 0
    said = capsys.readouterr().out
    assert 'teacher: done before' in said
    assert 'beta-1.28: stage 1 of 4, mimic: done before' in said
    assert 'beta-1.28: stage 3 of 4, detection: done before' in said
    assert 'beta-1.28: stage 4 of 4, segmentation: 2 epochs, goes on after 1' in said
    assert f'--checkpoint {tmp_path}/out/beta-1.28/{STAGES[-1]}/checkpoints/last.ckpt' in said
    # A stage that is trained again, and what was trained on the one before it.
    shutil.rmtree(tmp_path / 'out/beta-1.28' / STAGES[2])
    with pytest.raises(DataError, match=r'older than .*3-detection, which it starts from: remove'):
        train(tmp_path, '--resume', stages=longer)
    before, after = (state_of(tmp_path, f'beta-1.28/{name}') for name in STAGES[1:3])
    assert all(torch.equal(v, after[n]) for n, v in before.items() if '.detection.' not in n)


def test_runs_that_cannot_start(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'nothing to resume: .*new holds no stage'):
        train(trained, '--resume', out='new')
    with pytest.raises(DataError, match="--init is not for family 'ladon'"):
        train(trained, '--init', 'camvid', out='new')
    without = {k: v for k, v in CONFIG['stages'].items() if k != 'teacher'}
    with pytest.raises(DataError, match='there is nothing to learn from'):
        train(trained, out='new', stages=without)
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / 'x.pth')
    with pytest.raises(DataError, match=r'x\.pth is of another network than resnet18'):
        train(trained, out='new', teacher={'checkpoint': str(tmp_path / 'x.pth')})


def test_each_beta_gets_a_network_of_its_own(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained / 'data', tmp_path / 'data')
    teacher = trained / 'out/teacher/checkpoints/last.ckpt'
    changes = {
        'betas': [0.5, 8.0],
        'teacher': {'checkpoint': str(teacher)},
        'stages': {name: stage(1e-3, int(name == 'mimic')) for name in CONFIG['stages']},
    }
    assert train(tmp_path, **changes) == 0
    said = capsys.readouterr().out
    for beta in (8.0, 0.5):  # the smallest first
        assert f'beta-{beta:g}: stage 1 of 1, mimic: 1 epochs' in said
        module = load_module(tmp_path / f'out/beta-{beta:g}/1-mimic/checkpoints/last.ckpt')
        assert module.network.betas == (beta,)
    weights = [state_of(tmp_path, f'beta-{beta}/1-mimic') for beta in ('0.5', '8')]
    name = 'network.encoder.0.weight'
    assert not torch.equal(weights[0][name], weights[1][name])


def test_all_rates_are_learnt_jointly(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained / 'data', tmp_path / 'data')
    teacher = trained / 'out/teacher/checkpoints/last.ckpt'
    stages = {k: v for k, v in CONFIG['stages'].items() if k != 'teacher'}
    changes = {
        'network': {**CONFIG['network'], 'form': 'extended'},
        'betas': [0.01, 1.0, 100.0],
        'training': 'joint',
        'teacher': {'checkpoint': str(teacher)},
        'stages': stages,
        'validate_every': 1,
    }
    # In 16 bits, of which neither symbols nor boxes nor sums of squares may be.
    assert train(tmp_path, '--precision', 'bf16-mixed', **changes) == 0
    assert 'all-rates: stage 1 of 1, joint: 1 epochs' in capsys.readouterr().out
    (log,) = (tmp_path / 'out').glob('all-rates/1-joint/csv/version_0/metrics.csv')
    header = log.read_text().splitlines()[0].split(',')
    losses = ('features', 'rate', 'detection', 'segmentation', 'classification', 'total')
    figures = ('miou', 'map50', 'accuracy', 'bytes', 'feature_error')
    assert {f'loss/{n}' for n in losses} | {f'val/{n}' for n in figures} <= set(header)
    module = load_module(log.parents[2] / 'checkpoints/last.ckpt')
    start = torch.tensor([0.1, 1.0, 10.0]).log()[:, None].expand(3, 24)
    gain = module.network.bottleneck.log_gain
    assert torch.allclose(gain, start, atol=0.1)
    assert not torch.equal(gain, start)  # learnt
    halves = ladon_halves(module)
    assert (halves.default_rate, halves.notes['betas']) == (1, [100.0, 1.0, 0.01])
    assert halves.quantiser is not None
    with torch.no_grad():
        z = halves.encoder(normalise(street_image(SIDE, SIDE, 0))[None]).numpy()
    tables = count_symbols(z, *halves.quantiser)
    used = [int(np.unique(np.rint(z * row[None, :, None, None])).size) for row in tables.gain]
    assert used == sorted(used)
    assert used[0] < used[2]


def test_the_bundle_answers_as_the_network(ladon_bundle: Bundle, trained: Path) -> None:
    bundle = ladon_bundle
    assert (bundle.name, bundle.family) == ('made-beta-1.28', 'ladon')
    assert bundle.feature_shape == (24, SIDE // 4 - 1, SIDE // 4 - 1)
    # As published: one network per rate, and the symbols are z itself, rounded.
    assert bundle.tables.gain.tolist() == [[1.0] * 24]
    assert bundle.tables.contexts is not None
    assert [task.name for task in bundle.tasks] == ['detection', 'segmentation', 'time_of_day']
    module = load_module(trained / 'out/beta-1.28' / STAGES[-1] / 'checkpoints/last.ckpt')
    picture = street_image(SIDE, SIDE, 3)
    encode = EncodeStage(bundle, load_network(bundle.encoder_path))
    tail = TailStage(bundle, load_network(bundle.tail_path), score_threshold=THRESHOLD)
    results = tail.run(encode.encode(picture, 0, CodecId.ENTROPY, 0))
    with torch.no_grad():
        z = module.network.encoder(normalise(picture)[None])
        boxes, scores, mask, shares = module.network.body(z.round())
    assert results.detections is not None
    assert results.segmentation is not None
    assert results.detections.boxes.size
    assert boxes.shape == (12 * 2, 4)
    assert float(results.detections.scores.max()) == pytest.approx(float(scores.max()), abs=5e-3)
    assert (results.segmentation.mask == mask.numpy()).mean() > 0.98
    np.testing.assert_allclose(results.classifications[0].scores, shares.numpy(), atol=5e-3)


def test_an_export_says_what_is_wrong(trained: Path, ladon_bundle: Bundle, tmp_path: Path) -> None:
    last = trained / 'out/beta-1.28' / STAGES[-1] / 'checkpoints/last.ckpt'
    with pytest.raises(DataError, match='exists; remove it or choose another --out'):
        export(last, trained, ladon_bundle.path)
    with pytest.raises(DataError, match="--int8 is not for family 'ladon'"):
        export(last, trained, tmp_path / 'x', '--int8')
    content = torch.load(last, weights_only=True)
    del content['state_dict']['network.encoder.0.weight']
    torch.save(content, tmp_path / 'x.ckpt')
    with pytest.raises(DataError, match=r'x\.ckpt is not a checkpoint of .*encoder\.0\.weight'):
        export(tmp_path / 'x.ckpt', trained, tmp_path / 'x')
    data = tmp_path / 'other'
    shutil.copytree(trained / 'data', data / 'data')
    path = data / 'data/train/annotations.json'
    path.write_text(path.read_text().replace('"sign"', '"bus"'))
    with pytest.raises(DataError, match=r"has the classes .*'bus'.*give the --data of its run"):
        export(last, data, tmp_path / 'x')


@contextmanager
def running(bundle: Bundle, folder: Path) -> Iterator[Any]:
    """Edge and server with a bundle."""
    graph = pytest.importorskip('tests.ros.harness', reason='needs ROS 2').Graph(folder)
    try:
        for name in ('edge', 'server'):
            graph.start(name, bundle=bundle.path, score_threshold=THRESHOLD).ready()
        yield graph
    finally:
        codes = graph.close()
    assert set(codes) <= {0, 2}


@pytest.mark.ros(beside=True)  # what it needs is trained in that half
def test_the_nodes_answer_all_three_tasks(ladon_bundle: Bundle, tmp_path: Path) -> None:
    harness = pytest.importorskip('tests.ros.harness', reason='needs ROS 2')
    sensors, vision = (
        pytest.importorskip(f'{name}.msg') for name in ('sensor_msgs', 'vision_msgs')
    )
    topics = {
        'detections': vision.Detection2DArray,
        'segmentation/mask': sensors.Image,
        'classification': vision.Classification,
    }
    picture, stamp = street_image(SIDE, SIDE, 5), harness.header(1)
    with running(ladon_bundle, tmp_path) as graph:
        images = graph.publisher(sensors.Image, 'image')
        found = {topic: graph.record(kind, topic) for topic, kind in topics.items()}

        def answered() -> bool:
            # A frame that comes before everybody has found everybody is nobody's.
            images.publish(harness.image_msg(picture, stamp))
            return all(found.values())

        harness.wait_for(answered, 'an answer for each task')
        boxes, mask, category = (harness.received(found[topic], stamp) for topic in topics)
    encode = EncodeStage(ladon_bundle, load_network(ladon_bundle.encoder_path))
    tail = TailStage(ladon_bundle, load_network(ladon_bundle.tail_path), score_threshold=THRESHOLD)
    wanted = tail.run(encode.encode(picture, 0, CodecId.ENTROPY, 0))
    assert wanted.detections is not None
    assert wanted.segmentation is not None
    scores = [detection.results[0].hypothesis.score for detection in boxes.detections]
    assert scores
    np.testing.assert_allclose(scores, wanted.detections.scores, atol=1e-4)
    assert {d.results[0].hypothesis.class_id for d in boxes.detections} <= {'car', 'sign'}
    pixels = np.frombuffer(mask.data, np.uint8).reshape(mask.height, mask.width)
    assert (pixels == wanted.segmentation.mask).mean() > 0.99
    shares = {result.class_id: result.score for result in category.results}
    assert shares.keys() == {'day', 'dusk'}
    assert max(shares.values()) == pytest.approx(float(wanted.classifications[0].scores.max()))
