# SPDX-License-Identifier: Apache-2.0
"""A trained Ladon network as the halves of a bundle."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mtl_split_core.errors import DataError
from mtl_split_train.config import BundleConfig
from mtl_split_train.family_export import Halves
from mtl_split_train.ladon.config import LadonConfig
from mtl_split_train.ladon.module import LadonModule
from mtl_split_train.ladon.teacher import read_checkpoint
from mtl_split_train.tasks import describe_tasks


def load_module(checkpoint: Path) -> LadonModule:
    """Load a trained network.

    Args:
        checkpoint: last.ckpt of one of its stages; the last one has all heads trained.

    Raises:
        DataError: The file is missing, no checkpoint, of the teacher, or of another network.
    """
    content = read_checkpoint(checkpoint)
    try:
        parameters = content['hyper_parameters']
        if 'betas' not in parameters:
            msg = f'{checkpoint} is the teacher; give last.ckpt of a stage of a network'
            raise DataError(msg)
        module = LadonModule(
            parameters['config'], parameters['classes'], parameters['betas'], parameters['stage']
        )
        module.load_state_dict(content['state_dict'])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = ' '.join(str(error).split())[:200]
        msg = f'{checkpoint} is not a checkpoint of this network family: {reason}'
        raise DataError(msg) from error
    return module.eval()


def ladon_halves(module: LadonModule) -> Halves:
    """Return the halves of a network; as published it has one rate, z itself, rounded."""
    network, config = module.network, module.config
    gain, step = (
        log.detach().exp().numpy().astype(np.float32)
        for log in (network.bottleneck.log_gain, network.bottleneck.log_step)
    )
    return Halves(
        'ladon',
        network.encoder,
        network.body,
        network.body.heads.names,
        describe_tasks(module.classes),
        (config.data.input_height, config.data.input_width),
        {
            'paper': 'arXiv 2501.01420',
            'backbone': config.network.backbone,
            'form': config.network.form,
            'betas': list(network.betas),
            'stage': module.stage.value,
        },
        quantiser=(gain, step),
        default_rate=len(gain) // 2,
    )


def bundle_config(config: LadonConfig, betas: Sequence[float]) -> BundleConfig:
    """Return what the bundle of a network says of itself; as published its name has the beta."""
    if config.network.form == 'extended':
        return config.bundle
    return dataclasses.replace(config.bundle, name=f'{config.bundle.name}-beta-{betas[0]:g}')
