# SPDX-License-Identifier: Apache-2.0
"""The family ``ladon``: every beta and every stage in one command, and the export.

OUT/teacher/checkpoints/last.ckpt              where the teacher is trained here
OUT/beta-1.28/1-mimic/checkpoints/last.ckpt    stage after stage, each network on its own
OUT/beta-1.28/2-distil/...
OUT/all-rates/1-joint/...                      extended: one network for all betas
"""

import argparse
from pathlib import Path
from typing import Any

from mtl_split_core.errors import DataError
from mtl_split_core.geometry import Letterbox
from mtl_split_train import families
from mtl_split_train.config import TrainConfig, build_config
from mtl_split_train.data import EvaluationSet, TrainingSet
from mtl_split_train.family_export import export_halves
from mtl_split_train.formats import read_split
from mtl_split_train.ladon.config import LadonConfig
from mtl_split_train.ladon.export import bundle_config, ladon_halves, load_module
from mtl_split_train.ladon.module import FAMILY, LadonModule, TeacherModule, run_mapping
from mtl_split_train.ladon.stages import Stage, plan
from mtl_split_train.ladon.staging import Staging, say
from mtl_split_train.ladon.teacher import Teacher, load_teacher
from mtl_split_train.samples import Classes, Dataset, check_pictures, spread

import lightning.pytorch as pl  # isort: skip

#: Most training frames that the tables are counted on.
_COUNTED = 200


def train(content: Any, source: str, options: argparse.Namespace) -> int:
    """Run all stages of all networks. See `families.Family`."""
    config = build_config(LadonConfig, content, source)
    families.refuse(options, FAMILY, 'init')
    out = options.out or Path('out/train') / config.bundle.name
    root = options.data or Path(config.data.root)
    data, val = (
        read_split(config.data.format, root, s) for s in (config.data.train, config.data.val)
    )
    if data.classes != val.classes:
        msg = (
            f'{data.path} has the classes {data.classes.mapping()}, {val.path} '
            f'{val.classes.mapping()}: both splits must have the same, in the same order'
        )
        raise DataError(msg)
    check_pictures(val)  # the first validation may be hours away
    stages = plan(config, data.classes)
    views = TrainConfig(bundle=config.bundle, data=config.data)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    staging = Staging(config, options, out, TrainingSet(data, views), EvaluationSet(val, views))
    teacher = _teacher(config, data.classes, stages, staging)
    for name, betas in config.networks().items():
        state: dict[str, Any] | None = None
        for number, stage in enumerate(stages, 1):
            module = LadonModule(
                run_mapping(config), data.classes.mapping(), list(betas), stage.value, teacher
            )
            if state is None:
                module.network.follow(teacher)
            else:
                module.network.load_state_dict(state)
            where = f'{name}: stage {number} of {len(stages)}, {stage}'
            staging.run(module, f'{name}/{number}-{stage}', where)
            state = module.network.state_dict()
        say(
            f'{name} is trained; next: mtl-split export --checkpoint {staging.last} --data {root} '
            f'--out models/{bundle_config(config, betas).name}'
        )
    return 0


def _teacher(
    config: LadonConfig, classes: Classes, stages: tuple[Stage, ...], staging: Staging
) -> Teacher:
    """Return the teacher, trained where the configuration says so."""
    given, epochs = config.teacher, config.stages.teacher.epochs
    if not (given.weights or given.checkpoint or epochs):
        msg = (
            'there is nothing to learn from: give teacher.weights or teacher.checkpoint, or train '
            'a teacher on this data with stages.teacher.epochs'
        )
        raise DataError(msg)
    teacher = load_teacher(given, config.network, classes)
    if epochs:
        module = TeacherModule(teacher, run_mapping(config), classes.mapping())
        staging.run(module, 'teacher', 'teacher')
    elif classes.values and not teacher.knows_classes and set(stages) & {Stage.DISTIL, Stage.JOINT}:
        msg = (
            f'the teacher does not know {classes.attribute} with {len(classes.values)} values: set '
            'stages.teacher.epochs, or leave the distillation out with stages.distil.epochs: 0'
        )
        raise DataError(msg)
    return teacher.eval().requires_grad_(False)


def export(options: argparse.Namespace) -> int:
    """Export and verify. See `families.Family`."""
    families.refuse(options, FAMILY, 'with_torch', 'int8', 'unweight')
    module = load_module(options.checkpoint)
    config = module.config
    root = options.data or Path(config.data.root)
    data = read_split(config.data.format, root, config.data.train)
    if data.classes != module.classes:
        msg = (
            f'{data.path} has the classes {data.classes.mapping()}, {options.checkpoint} was '
            f'trained on {module.classes.mapping()}: give the --data of its run'
        )
        raise DataError(msg)
    bundle = export_halves(
        ladon_halves(module),
        bundle_config(config, module.network.betas),
        _pictures(data, config),
        options.out,
    )
    print(
        f'wrote {options.out} (fingerprint {bundle.fingerprint:016x}), verified torch against '
        f'ONNX at every rate; next: mtl-split eval --data {root / config.data.val} '
        f'--bundle {options.out} --all-rates --update-bundle'
    )
    return 0


def _pictures(data: Dataset, config: LadonConfig) -> list[Any]:
    size = (config.data.input_width, config.data.input_height)
    return [
        Letterbox.fit(sample.width, sample.height, *size).apply(sample.image())
        for sample in spread(data.images, _COUNTED)
    ]
