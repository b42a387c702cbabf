# SPDX-License-Identifier: Apache-2.0
"""What the training runs of all families have in common: the folder, the checkpoints, the logs."""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mtl_split_train.vision  # noqa: F401  (Lightning imports torchvision)

import lightning.pytorch as pl  # isort: skip
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint  # isort: skip
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger  # isort: skip

from mtl_split_core.errors import DataError
from mtl_split_train.families import check_family


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of a run.

    Args:
        out: The folder.
        resume: Whether to go on from its last checkpoint.
    """

    out: Path
    resume: bool

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch."""
        return self.out / 'checkpoints' / 'last.ckpt'

    @property
    def best(self) -> Path:
        """The checkpoint with the best figure."""
        return self.out / 'checkpoints' / 'best.ckpt'

    @property
    def start(self) -> str | None:
        """What Lightning starts from, its `ckpt_path`."""
        return str(self.last) if self.resume else None


def open_run(options: argparse.Namespace, name: str, family: str) -> Run:
    """Return the run folder, checked.

    Args:
        options: Of `mtl-split train`.
        name: Of the bundle.
        family: Name of the family.

    Raises:
        DataError: It holds a run, or none to resume, or one of another family.
    """
    run = Run(options.out or Path('out/train') / name, options.resume)
    if run.resume and not run.last.is_file():
        msg = f'nothing to resume: {run.last} does not exist; start without --resume'
        raise DataError(msg)
    if run.last.is_file() and not run.resume:
        msg = f'{run.out} holds a run already; add --resume to go on, or choose another --out'
        raise DataError(msg)
    if run.resume:
        check_family(run.last, family)
    return run


def checkpoints(run: Run, monitor: str) -> list[Callback]:
    """Return what writes best.ckpt, by the largest value of ``monitor``, and last.ckpt."""
    return [
        ModelCheckpoint(
            run.best.parent, filename='best', monitor=monitor, mode='max',
            auto_insert_metric_name=False, enable_version_counter=False,
        ),
        # Its own callback: `save_last` is written only when the best one is.
        ModelCheckpoint(
            run.last.parent, filename='last', every_n_epochs=1, save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
        LearningRateMonitor('epoch'),
    ]  # fmt: skip


def make_trainer(
    options: argparse.Namespace,
    run: Run,
    callbacks: Sequence[Callback],
    epochs: int,
    *,
    validate_every: int = 1,
    gradient_clip: float | None = None,
) -> pl.Trainer:
    """Return a trainer that logs to CSV and TensorBoard below the run folder.

    Args:
        options: Of `mtl-split train`: machine, precision, epochs instead of the configuration's.
        run: The run folder.
        callbacks: Of the family, `checkpoints` among them.
        epochs: Of the configuration.
        validate_every: Epochs between two validations.
        gradient_clip: Largest norm of the gradients; None for any.
    """
    return pl.Trainer(
        max_epochs=options.epochs or epochs,
        precision=options.precision,
        accelerator=options.accelerator,
        devices=options.devices,
        num_nodes=options.nodes,
        strategy=options.strategy,
        gradient_clip_val=gradient_clip,
        check_val_every_n_epoch=validate_every,
        callbacks=list(callbacks),
        # A resumed run logs into a new version_N beside the earlier ones.
        logger=[
            CSVLogger(str(run.out), name='csv', flush_logs_every_n_steps=10),
            TensorBoardLogger(str(run.out), name='tb'),
        ],
        log_every_n_steps=10,
        default_root_dir=str(run.out),
    )


def say_next(trainer: pl.Trainer, run: Run, data: Path | None, name: str) -> None:
    """Print where the checkpoints are and what comes next, from one process alone.

    Args:
        trainer: After `fit`.
        run: The run folder.
        data: Folder of the data set; None where there is none.
        name: Of the bundle.
    """
    if trainer.is_global_zero:
        folder = '' if data is None else f'--data {data} '
        print(
            f'checkpoints are in {run.last.parent}; next: mtl-split export --checkpoint '
            f'{run.best} {folder}--out models/{name}'
        )


def last_figures(out: Path) -> dict[str, float]:
    """Return what the last validation of a finished run gave, by the names of its log.

    Args:
        out: The run folder.

    Raises:
        DataError: Nothing was validated.
    """
    logs = sorted(out.glob('csv/version_*/metrics.csv'), key=lambda path: path.stat().st_mtime)
    for log in reversed(logs):
        with log.open(newline='', encoding='utf-8') as stream:
            rows = [row for row in csv.DictReader(stream) if row.get('val/mean')]
        if rows:
            return {
                name: float(value)
                for name, value in rows[-1].items()
                if name.startswith('val/') and value
            }
    msg = f'{out} has no log of a validation: remove the folder to train again'
    raise DataError(msg)
