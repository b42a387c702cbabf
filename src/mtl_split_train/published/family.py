# SPDX-License-Identifier: Apache-2.0
"""The family `mtl_split`: its training run and its export. See `families.Family`."""

import argparse
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

import mtl_split_train.vision  # noqa: F401  (Lightning imports torchvision)

import lightning.pytorch as pl  # isort: skip

from mtl_split_core.errors import DataError
from mtl_split_train.attributes.readers import MADE
from mtl_split_train.families import check_family, refuse
from mtl_split_train.family_export import export_halves, mtl_split_halves
from mtl_split_train.published.config import PublishedConfig, mapping, parse
from mtl_split_train.published.data import AttributeSet, plain, read_set
from mtl_split_train.published.module import FAMILY, PublishedModule
from mtl_split_train.run import checkpoints, make_trainer, open_run, say_next
from mtl_split_train.samples import spread

#: Training frames that the tables of a bundle are counted on: more would not change them.
_COUNTED = 500


def train(content: Any, source: str, options: argparse.Namespace) -> int:
    """Run the training. See `families.Family`."""
    refuse(options, FAMILY, 'init')
    config = parse(content, source)
    run = open_run(options, config.bundle.name, FAMILY)
    root = options.data or Path(config.data.root)
    data, val = (read_set(config.data, root, s) for s in (config.data.train, config.data.val))
    if data.tasks != val.tasks:
        msg = (
            f'{config.data.train} has the tasks {data.tasks}, {config.data.val} {val.tasks}: both '
            'splits must have the same'
        )
        raise DataError(msg)
    pl.seed_everything(config.schedule.seed, workers=True, verbose=False)
    if run.start:  # what the backbone began with is long since other weights
        config = replace(config, network=replace(config.network, weights=None))
    module = PublishedModule(mapping(config), plain(data.tasks))
    trainer = make_trainer(options, run, checkpoints(run, 'val/mean'), config.schedule.epochs)
    trainer.fit(
        module,
        _loader(data, config, shuffle=True),
        _loader(val, config, shuffle=False),
        ckpt_path=run.start,
        # Our own checkpoints hold plain mappings and tensors only.
        weights_only=True,
    )
    say_next(trainer, run, None if config.data.format in MADE else root, config.bundle.name)
    return 0


def _loader(
    data: AttributeSet, config: PublishedConfig, *, shuffle: bool
) -> DataLoader[tuple[Tensor, Tensor]]:
    workers = config.data.workers
    return DataLoader(
        data,
        config.schedule.batch_size,
        shuffle=shuffle,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def export(options: argparse.Namespace) -> int:
    """Export and verify. See `families.Family`."""
    refuse(options, FAMILY, 'with_torch', 'int8', 'unweight')
    module = load_module(options.checkpoint)
    config = module.config
    root = options.data or Path(config.data.root)
    data = read_set(config.data, root, config.data.train)
    if data.tasks != module.tasks:
        msg = (
            f'{root} has the tasks {data.tasks}, {options.checkpoint} was trained on '
            f'{module.tasks}: give the --data of its run'
        )
        raise DataError(msg)
    notes = {
        'backbone': config.network.backbone,
        'data': config.data.format,
        'epochs': config.schedule.epochs,
    }
    bundle = export_halves(
        mtl_split_halves(module.network, notes),
        config.bundle,
        [data.picture(index) for index in spread(range(len(data)), _COUNTED)],
        options.out,
    )
    print(
        f'wrote {options.out} (fingerprint {bundle.fingerprint:016x}), verified torch against '
        f'ONNX at every rate; next: mtl-split inspect {options.out}'
    )
    return 0


def load_module(checkpoint: Path) -> PublishedModule:
    """Load a trained module.

    Raises:
        DataError: The file is damaged, or of another family.
    """
    check_family(checkpoint, FAMILY)
    try:
        state = torch.load(checkpoint, map_location='cpu', weights_only=True)
        config = {**state['hyper_parameters']['config']}
        # The published weights that training started from are not wanted again.
        config['network'] = {**config['network'], 'weights': None}
        module = PublishedModule(config, state['hyper_parameters']['tasks'])
        module.load_state_dict(state['state_dict'])
    except (DataError, KeyError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        reason = ' '.join(str(error).split())[:200]
        msg = f'{checkpoint} is not a whole checkpoint of family {FAMILY!r}: {reason}'
        raise DataError(msg) from error
    return module.eval()
