# SPDX-License-Identifier: Apache-2.0
"""``mtl-split train``: one configuration file to a trained checkpoint."""

import argparse
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

import mtl_split_train.vision  # noqa: F401  (Lightning imports torchvision)

import lightning.pytorch as pl  # isort: skip
from lightning.pytorch.callbacks import (  # isort: skip
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger  # isort: skip

from mtl_split_core.errors import DataError
from mtl_split_train.config import TrainConfig, load_config
from mtl_split_train.data import (
    EvaluationSet,
    TrainingSet,
    class_weights,
    make_loader,
    value_weights,
)
from mtl_split_train.formats import read_split
from mtl_split_train.initialise import initialise
from mtl_split_train.module import SplitModule, config_mapping


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the subcommand."""
    parser.add_argument('--config', type=Path, required=True, help='YAML file, see experiments/')
    parser.add_argument(
        '--data', type=Path, help="folder of the data set (default: the configuration's data.root)"
    )
    parser.add_argument(
        '--out', type=Path, default=None, help='run folder (default: out/train/NAME)'
    )
    parser.add_argument(
        '--resume', action='store_true', help="go on from the run folder's last checkpoint"
    )
    parser.add_argument(
        '--init',
        type=Path,
        metavar='SOURCE',
        help='start from the weights of a checkpoint, or of a bundle such as camvid',
    )
    parser.add_argument('--epochs', type=int, help="instead of the configuration's")
    parser.add_argument(
        '--precision',
        default='32-true',
        help="Lightning's: 32-true, bf16-mixed, 16-mixed (default: %(default)s)",
    )
    parser.add_argument(
        '--accelerator', default='auto', help='auto, cpu, gpu, ... (default: %(default)s)'
    )
    parser.add_argument(
        '--devices', default='auto', help='how many or which (default: %(default)s)'
    )
    parser.add_argument('--nodes', type=int, default=1, help='machines (default: %(default)s)')
    parser.add_argument(
        '--strategy', default='auto', help='auto, ddp, fsdp, ... (default: %(default)s)'
    )


def main(args: argparse.Namespace) -> int:
    """Run the training."""
    config = load_config(args.config)
    out = args.out or Path('out/train') / config.bundle.name
    last = out / 'checkpoints' / 'last.ckpt'
    if args.resume and not last.is_file():
        msg = f'nothing to resume: {last} does not exist; start without --resume'
        raise DataError(msg)
    if last.is_file() and not args.resume:
        msg = f'{out} holds a run already; add --resume to go on, or choose another --out'
        raise DataError(msg)
    root = args.data or Path(config.data.root)
    train = read_split(config.data.format, root, config.data.train)
    val = read_split(config.data.format, root, config.data.val)
    if train.classes != val.classes:
        msg = (
            f'{train.path} has the classes {train.classes.mapping()}, {val.path} '
            f'{val.classes.mapping()}: both splits must have the same, in the same order'
        )
        raise DataError(msg)
    pl.seed_everything(config.schedule.seed, workers=True, verbose=False)
    module = SplitModule(
        config_mapping(config),
        train.classes.mapping(),
        class_weights(train).tolist(),
        value_weights(train),
    )
    if args.init:
        anew = initialise(module, args.init)
        if anew:
            print(f'{args.init}: for other classes, so these start anew: {", ".join(anew)}')
    schedule = config.schedule
    trainer = pl.Trainer(
        max_epochs=args.epochs or schedule.epochs,
        precision=args.precision,
        accelerator=args.accelerator,
        devices=args.devices,
        num_nodes=args.nodes,
        strategy=args.strategy,
        gradient_clip_val=schedule.gradient_clip,
        check_val_every_n_epoch=schedule.validate_every,
        callbacks=callbacks(config, out),
        # A resumed run logs into a new version_N beside the earlier ones.
        logger=[
            CSVLogger(str(out), name='csv', flush_logs_every_n_steps=10),
            TensorBoardLogger(str(out), name='tb'),
        ],
        log_every_n_steps=10,
        default_root_dir=str(out),
    )
    trainer.fit(
        module,
        make_loader(
            TrainingSet(train, config),
            schedule.batch_size,
            shuffle=True,
            workers=config.data.workers,
        ),
        make_loader(EvaluationSet(val, config), 1, shuffle=False, workers=0),
        ckpt_path=str(last) if args.resume else None,
        # Our own checkpoints hold plain mappings and tensors only.
        weights_only=True,
    )
    if trainer.is_global_zero:
        print(
            f'checkpoints are in {last.parent}; next: mtl-split export --checkpoint '
            f'{last.with_name("best.ckpt")} --data {root} --out models/{config.bundle.name}'
        )
    return 0


def callbacks(config: TrainConfig, out: Path) -> list[Callback]:
    """Return checkpoints, averaged weights, early stop and the progress bar."""
    chosen: list[Callback] = [
        WeightAveraging(avg_fn=moving_average(config.schedule.ema_decay)),
        ModelCheckpoint(
            out / 'checkpoints', filename='best', monitor='val/mean', mode='max',
            auto_insert_metric_name=False, enable_version_counter=False,
        ),
        # Its own callback: `save_last` is written only when the best one is.
        ModelCheckpoint(
            out / 'checkpoints', filename='last', every_n_epochs=1, save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
        LearningRateMonitor('epoch'),
    ]  # fmt: skip
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
        return keep * averaged + (1.0 - keep) * current

    return average
