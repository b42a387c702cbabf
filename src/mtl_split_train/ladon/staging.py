# SPDX-License-Identifier: Apache-2.0
"""Runs stages one after the other, and finds the place of a run that was interrupted."""

import argparse
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset as TorchDataset

import mtl_split_train.vision  # noqa: F401  (Lightning imports torchvision)

from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint  # isort: skip
from lightning.pytorch.utilities import rank_zero_only  # isort: skip

from mtl_split_core.errors import DataError
from mtl_split_train.data import make_loader
from mtl_split_train.families import check_family
from mtl_split_train.ladon.config import LadonConfig
from mtl_split_train.ladon.module import FAMILY, StageModule
from mtl_split_train.ladon.teacher import read_checkpoint
from mtl_split_train.run import Run, make_trainer


@rank_zero_only
def say(text: str) -> None:
    """Print a line, from one process alone."""
    print(text, flush=True)


class Staging:
    """The stages of one command.

    Args:
        config: The run.
        options: Of `mtl-split train`; its epochs stand for those of every stage.
        out: Folder of the run.
        train: Views to train on.
        val: Frames to validate on.

    Raises:
        DataError: The folder holds a run, or none to resume.
    """

    def __init__(
        self,
        config: LadonConfig,
        options: argparse.Namespace,
        out: Path,
        train: TorchDataset[Any],
        val: TorchDataset[Any],
    ) -> None:
        self.config = config
        self.options = options
        self.out = out
        self.train = train
        self.val = val
        self.last = out
        #: The stage of this command that changed what the later ones start from.
        self._changed = ''
        begun = any(out.glob('**/checkpoints/last.ckpt'))
        if options.resume and not begun:
            msg = f'nothing to resume: {out} holds no stage; start without --resume'
            raise DataError(msg)
        if begun and not options.resume:
            msg = f'{out} holds a run already; add --resume to go on, or choose another --out'
            raise DataError(msg)

    def run(self, module: StageModule, folder: str, where: str) -> None:
        """Train a stage to its end, from where an earlier command left it.

        Args:
            module: The stage; changed in place.
            folder: Its folder below that of the run.
            where: What to say of it.

        Raises:
            DataError: Its checkpoint is of another network, or older than what it starts from.
        """
        run = Run(self.out / folder, self.options.resume and self._last(folder).is_file())
        self.last = run.last
        settings = module.stage.settings(self.config)
        epochs = self.options.epochs or settings.epochs
        done = 0
        if run.resume:
            done = self._continue(module, run, folder)
        if done >= epochs:
            say(f'{where}: done before')
            return
        say(f'{where}: {epochs} epochs' + (f', goes on after {done}' if done else ''))
        trainer = make_trainer(
            self.options,
            run,
            [
                ModelCheckpoint(
                    run.last.parent, filename='last', every_n_epochs=1,
                    save_on_train_epoch_end=True, enable_version_counter=False,
                ),
                LearningRateMonitor('epoch'),
            ],
            epochs,
            validate_every=self.config.validate_every,
            gradient_clip=module.stage.clip,
        )  # fmt: skip
        trainer.fit(
            module,
            make_loader(
                self.train, settings.batch_size, shuffle=True, workers=self.config.data.workers
            ),
            make_loader(self.val, 1, shuffle=False, workers=0),
            ckpt_path=run.start,
            # Our own checkpoints hold plain mappings and tensors only.
            weights_only=True,
        )
        self._changed = folder

    def _last(self, folder: str) -> Path:
        return Run(self.out / folder, resume=True).last

    def _continue(self, module: StageModule, run: Run, folder: str) -> int:
        """Load the checkpoint of a stage; return its epochs."""
        before = self._changed.partition('/')[0]
        if before in ('teacher', folder.partition('/')[0]):
            msg = (
                f'{run.last} is older than {self._changed}, which it starts from: remove '
                f'{run.out} to train it anew'
            )
            raise DataError(msg)
        check_family(run.last, FAMILY)
        content = read_checkpoint(run.last)
        try:
            module.load_state_dict(content['state_dict'], strict=module.strict_loading)
        except (KeyError, RuntimeError) as error:
            reason = ' '.join(str(error).split())[:200]
            msg = f'{run.last} is of another network or data: {reason}'
            raise DataError(msg) from error
        return int(content['epoch']) + 1
