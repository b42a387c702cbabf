# SPDX-License-Identifier: Apache-2.0
"""The family of this project's own network: its training run and its export."""

import argparse
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mtl_split_train.vision  # noqa: F401  (Lightning imports torchvision)

import lightning.pytorch as pl  # isort: skip
from lightning.pytorch.callbacks import Callback, EarlyStopping, WeightAveraging  # isort: skip

from mtl_split_core.errors import DataError
from mtl_split_train import families
from mtl_split_train.config import TrainConfig, parse_config
from mtl_split_train.data import (
    EvaluationSet,
    TrainingSet,
    class_weights,
    make_loader,
    value_weights,
)
from mtl_split_train.distillation import Teacher
from mtl_split_train.export import export_bundle
from mtl_split_train.formats import read_split
from mtl_split_train.initialise import initialise
from mtl_split_train.module import SplitModule, config_mapping, read_parameters
from mtl_split_train.run import Run, checkpoints, make_trainer, open_run, say_next
from mtl_split_train.samples import Dataset, check_pictures

#: What a file that is no checkpoint, or one of another network, raises on its way into a module.
_WRONG_CONTENT = (
    DataError, EOFError, KeyError, RuntimeError, TypeError, pickle.UnpicklingError,
)  # fmt: skip


def train(content: Any, source: str, options: argparse.Namespace) -> int:
    """Run the training. See `families.Family`."""
    config = parse_config(content, source)
    run = open_run(options, config.bundle.name, families.DEFAULT)
    if run.resume:  # its own weights follow: the published ones may be gone by now
        config = replace(config, network=replace(config.network, weights=None))
    root = options.data or Path(config.data.root)
    data = read_split(config.data.format, root, config.data.train)
    val = read_split(config.data.format, root, config.data.val)
    if data.classes != val.classes:
        msg = (
            f'{data.path} has the classes {data.classes.mapping()}, {val.path} '
            f'{val.classes.mapping()}: both splits must have the same, in the same order'
        )
        raise DataError(msg)
    pl.seed_everything(config.schedule.seed, workers=True, verbose=False)
    module = SplitModule(
        config_mapping(config),
        data.classes.only(config.loss.tasks).mapping(),
        class_weights(data).tolist(),
        value_weights(data),
    )
    if options.init:
        anew = initialise(module, options.init)
        if anew:
            print(f'{options.init}: for other classes, so these start anew: {", ".join(anew)}')
    if config.loss.teacher:
        teacher = Teacher(load_module(Path(config.loss.teacher)))
        teacher.check(module, config.loss.teacher)
        module.teacher = teacher
    trainer = fit(module, config, (data, val), options, run, callbacks(config, run))
    say_next(trainer, run, root, config.bundle.name)
    return 0


def fit(
    module: pl.LightningModule,
    config: TrainConfig,
    splits: tuple[Dataset, Dataset],
    options: argparse.Namespace,
    run: Run,
    callbacks: Sequence[Callback],
) -> pl.Trainer:
    """Train a module on pictures with labels of our three tasks; return its trainer.

    Args:
        module: Starts where the checkpoint of ``run`` ended, if there is one.
        config: Data and schedule count.
        splits: To train on, and to validate on.
        options: Of `mtl-split train`.
        run: The run folder.
        callbacks: What to do along the way.
    """
    data, val = splits
    check_pictures(val)  # the first validation may be hours away
    schedule = config.schedule
    trainer = make_trainer(
        options,
        run,
        callbacks,
        schedule.epochs,
        validate_every=schedule.validate_every,
        gradient_clip=schedule.gradient_clip,
    )
    trainer.fit(
        module,
        make_loader(
            TrainingSet(data, config),
            schedule.batch_size,
            shuffle=True,
            workers=config.data.workers,
        ),
        make_loader(EvaluationSet(val, config), 1, shuffle=False, workers=0),
        ckpt_path=run.start,
        # Our own checkpoints hold plain mappings and tensors only.
        weights_only=True,
    )
    return trainer


def callbacks(config: TrainConfig, run: Run) -> list[Callback]:
    """Return averaged weights, checkpoints and early stop."""
    chosen: list[Callback] = [
        WeightAveraging(avg_fn=moving_average(config.schedule.ema_decay)),
        *checkpoints(run, 'val/mean'),
    ]
    if config.schedule.patience:
        chosen.append(EarlyStopping('val/mean', mode='max', patience=config.schedule.patience))
    return chosen


def moving_average(decay: float) -> Callable[[Tensor, Tensor, int | Tensor], Tensor]:
    """Return an exponential moving average whose memory grows from nothing to ``decay``.

    Without that growth a short run would be validated and saved with what is left of its random
    start.
    """

    def average(averaged: Tensor, current: Tensor, updates: int | Tensor) -> Tensor:
        keep = min(decay, (1.0 + float(updates)) / (10.0 + float(updates)))
        # In this form what stays the same, as frozen parts do, stays so to the last bit.
        return averaged + (1.0 - keep) * (current - averaged)

    return average


def export(options: argparse.Namespace) -> int:
    """Export and verify. See `families.Family`."""
    module = load_module(options.checkpoint)
    unweight(module, options.unweight)
    config = module.config.data
    root = options.data or Path(config.root)
    data = read_split(config.format, root, config.train)
    data = replace(data, classes=data.classes.only(module.config.loss.tasks))
    if data.classes != module.classes:
        msg = (
            f'{data.path} has the classes {data.classes.mapping()}, {options.checkpoint} was '
            f'trained on {module.classes.mapping()}: give the --data of its run'
        )
        raise DataError(msg)
    bundle = export_bundle(
        module.network,
        module.config,
        data,
        options.out,
        with_torch=options.with_torch,
        int8=options.int8,
    )
    print(
        f'wrote {options.out} (fingerprint {bundle.fingerprint:016x}), verified torch against '
        f'ONNX at every rate; next: mtl-split eval --data {root / config.val} '
        f'--bundle {options.out} --all-rates --update-bundle'
    )
    return 0


def unweight(module: SplitModule, share: float) -> None:
    """Lower each segmentation logit by ``share`` of the logarithm of its class's weight.

    Cross-entropy with weights w teaches probabilities in proportion to w p: right for the mean
    recall of the classes, too generous to the rare ones for their IoU.
    """
    head = module.network.tail.segmentation
    if head is None or not share:
        return
    shift = share * module.class_weights.log()
    bias = head.classify.bias
    assert bias is not None
    with torch.no_grad():
        # Four neighbouring places of one class lie side by side (PixelShuffle).
        bias -= shift.repeat_interleave(4)


def load_module(checkpoint: Path) -> SplitModule:
    """Load a trained module, averaged weights where the run kept them.

    Raises:
        DataError: The file is missing, not a checkpoint, or of another network.
    """
    try:
        state = torch.load(checkpoint, map_location='cpu', weights_only=True)
        module = SplitModule(**read_parameters(state['hyper_parameters']))
        module.load_state_dict(state['state_dict'])
    except OSError as error:
        msg = (
            f'{checkpoint} cannot be read ({error.strerror}); give the .ckpt of a run, such as '
            'out/train/NAME/checkpoints/best.ckpt'
        )
        raise DataError(msg) from error
    except _WRONG_CONTENT as error:
        reason = ' '.join(str(error).split())[:200]
        msg = (
            f'{checkpoint} is not a checkpoint of this network family ({reason}): give the .ckpt '
            'of a run of `mtl-split train` with this family'
        )
        raise DataError(msg) from error
    return module.eval()
