# SPDX-License-Identifier: Apache-2.0
"""The stages of Ladon's training (arXiv 2501.01420): which come, what each moves, and how."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import torch
from torch import nn

from mtl_split_core.errors import DataError
from mtl_split_train.config import ScheduleConfig
from mtl_split_train.ladon.config import LadonConfig, StageConfig
from mtl_split_train.ladon.network import LadonNetwork
from mtl_split_train.optimise import make_optimizer
from mtl_split_train.samples import Classes

#: Share of a stage after which the learning rate falls to a tenth, as in Ladon's configuration.
_FALLS = {'mimic': (5 / 10, 8 / 10), 'distil': (5 / 10,), 'detection': (16 / 26, 22 / 26)}
#: Power of the fall of the learning rate of the segmentation, also from there.
_POWER = 0.9
#: Weight decay of SGD, also from there.
_DECAY = {'distil': 5e-4, 'detection': 1e-4, 'segmentation': 1e-4}
#: Largest norm of the gradients; the first is Ladon's.
_CLIP = {'detection': 1.0, 'teacher': 5.0, 'joint': 5.0}


class Stage(StrEnum):
    """The stages; 1 to 4 of the paper are the second to the fifth."""

    TEACHER = 'teacher'
    MIMIC = 'mimic'
    DISTIL = 'distil'
    DETECTION = 'detection'
    SEGMENTATION = 'segmentation'
    JOINT = 'joint'

    def settings(self, config: LadonConfig) -> StageConfig:
        """Return the settings of this stage."""
        found: StageConfig = getattr(config.stages, self.value)
        return found

    @property
    def clip(self) -> float | None:
        """Largest norm of the gradients; None for any."""
        return _CLIP.get(self.value)

    def figures(self) -> tuple[str, ...]:
        """Return the figures of the tasks that the stage is for."""
        own = {
            Stage.MIMIC: (),
            Stage.DISTIL: ('val/accuracy',),
            Stage.DETECTION: ('val/map50',),
            Stage.SEGMENTATION: ('val/miou',),
        }
        return own.get(self, ('val/miou', 'val/map50', 'val/accuracy'))


def plan(config: LadonConfig, classes: Classes) -> tuple[Stage, ...]:
    """Return the stages of each network, in their order; that of the teacher is not among them.

    Args:
        config: The run.
        classes: Of the data: a task without classes has no stage.

    Raises:
        DataError: Nothing is left to train.
    """
    if config.training == 'joint':
        stages = [Stage.JOINT]
    else:
        stages = [Stage.MIMIC]
        stages += [Stage.DISTIL] * bool(classes.values)
        stages += [Stage.DETECTION] * bool(classes.detection)
        stages += [Stage.SEGMENTATION] * bool(classes.segmentation)
    found = tuple(stage for stage in stages if stage.settings(config).epochs)
    if not found:
        msg = f'training {config.training!r} has no stage with epochs above 0; see stages'
        raise DataError(msg)
    return found


def moved(network: LadonNetwork, stage: Stage) -> list[nn.Module]:
    """Return the parts that a stage trains; all others stay as they are, norms included."""
    body = network.body
    match stage:
        case Stage.MIMIC:
            parts: list[nn.Module | None] = [network.encoder, network.bottleneck, body.decoder]
        case Stage.DISTIL:
            parts = [body.decoder, body.layers, body.heads.classification]
        case Stage.DETECTION:
            parts = [body.heads.detection]
        case Stage.SEGMENTATION:
            parts = [body.heads.segmentation]
        case _:
            parts = [network.encoder, network.bottleneck, body]
    return [part for part in parts if part is not None]


def optimiser(
    stage: Stage, settings: StageConfig, parameters: Iterable[tuple[str, nn.Parameter]], steps: int
) -> dict[str, Any]:
    """Return what Lightning's ``configure_optimizers`` gives.

    Adam for the features, SGD with momentum for the later stages, as in Ladon's configuration;
    AdamW and a cosine for the teacher and for all losses at once, which it does not have.

    Args:
        stage: The stage.
        settings: Its settings.
        parameters: Names and values; those without a gradient are left out.
        steps: Of the whole stage.
    """
    if stage in (Stage.TEACHER, Stage.JOINT):
        schedule = ScheduleConfig(
            epochs=max(1, settings.epochs),
            learning_rate=settings.learning_rate,
            warmup_epochs=0.05 * settings.epochs,
        )
        return make_optimizer(parameters, schedule, steps)
    rate = settings.learning_rate
    groups = [
        # The second classifier of the segmentation learns at half the rate there.
        {'params': [p], 'lr': rate / 2 if 'segmentation.auxiliary.' in name else rate}
        for name, p in parameters
        if p.requires_grad
    ]
    chosen: torch.optim.Optimizer
    if stage is Stage.MIMIC:
        chosen = torch.optim.Adam(groups, rate)
    else:
        chosen = torch.optim.SGD(groups, rate, momentum=0.9, weight_decay=_DECAY[stage.value])

    def factor(step: int) -> float:
        share = min(1.0, step / max(1, steps))
        if stage is Stage.SEGMENTATION:
            return (1.0 - share) ** _POWER
        return 0.1 ** sum(share >= fall for fall in _FALLS[stage.value])

    scheduler = torch.optim.lr_scheduler.LambdaLR(chosen, factor)
    return {'optimizer': chosen, 'lr_scheduler': {'scheduler': scheduler, 'interval': 'step'}}
