# SPDX-License-Identifier: Apache-2.0
"""One stage of Ladon's training as Lightning runs it, and the training of its teacher."""

import dataclasses
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

import mtl_split_train.vision  # noqa: F401  (Lightning imports torchvision)

import lightning.pytorch as pl  # isort: skip

from mtl_split_train import families
from mtl_split_train.config import build_config
from mtl_split_train.data import NO_ATTRIBUTE, Batch
from mtl_split_train.heads import ClassificationHead
from mtl_split_train.ladon.config import LadonConfig
from mtl_split_train.ladon.heads import TaskHeads
from mtl_split_train.ladon.mimic import (
    distil_loss,
    feature_errors,
    mimic_loss,
    relative_mimic_loss,
)
from mtl_split_train.ladon.network import LadonNetwork
from mtl_split_train.ladon.stages import Stage, moved, optimiser
from mtl_split_train.ladon.teacher import Teacher
from mtl_split_train.meters import TaskMeters
from mtl_split_train.samples import Classes

#: Name of the family in configurations and checkpoints.
FAMILY = 'ladon'


class StageModule(pl.LightningModule, ABC):
    """What all stages have in common: who moves, the figures, what a checkpoint says of itself.

    Args:
        config: The run, as plain mappings.
        classes: Classes of the data, ``Classes.mapping()``.
        stage: The stage.
    """

    def __init__(self, config: dict[str, Any], classes: dict[str, Any], stage: str) -> None:
        super().__init__()
        self.config = build_config(LadonConfig, config, 'checkpoint')
        self.classes = Classes.from_mapping(classes)
        self.stage = Stage(stage)
        self.meters = TaskMeters(self.classes)
        self.moved: list[nn.Module] = []

    def move(self, parts: list[nn.Module]) -> None:
        """Train these parts and no others."""
        self.requires_grad_(False)
        for part in parts:
            part.requires_grad_(True)
        self.moved = parts

    def configure_optimizers(self) -> Any:
        """See ``stages.optimiser``."""
        steps = int(self.trainer.estimated_stepping_batches)
        settings = self.stage.settings(self.config)
        return optimiser(self.stage, settings, self.named_parameters(), steps)

    def transfer_batch_to_device(
        self,
        batch: Batch,
        device: torch.device,
        dataloader_idx: int,  # noqa: ARG002
    ) -> Batch:
        """Move our batch type, which Lightning does not know."""
        return batch.to(device)

    def on_train_epoch_start(self) -> None:
        """Keep what does not move in evaluation mode: its norms' statistics stay as well."""
        self.eval()
        for part in self.moved:
            part.train()

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch by name."""

    @abstractmethod
    def answers(self, batch: Batch) -> dict[str, Any]:
        """Return the answers for one frame, by output of tail.onnx."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the sum of the losses."""
        losses = self.losses(batch)
        total = torch.stack(list(losses.values())).sum()
        for name, value in {**losses, 'total': total}.items():
            self.log(
                f'loss/{name}',
                value.detach(),
                batch_size=len(batch.images),
                prog_bar=name == 'total',
                on_step=False,
                on_epoch=True,
            )
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Answer one frame as the server does."""
        found = self.answers(batch)
        self.meters.update(found, batch)

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the tasks that the stage is for."""
        if not self.stage.figures():
            return
        figures = self.meters.compute()
        self.log_dict({k: v for k, v in figures.items() if k in self.stage.figures()})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what it is of."""
        checkpoint[families.KEY] = FAMILY


class TeacherModule(StageModule):
    """Trains the teacher on all tasks of the data; losses are added as they are.

    Args:
        teacher: What learns.
        config: The run, as plain mappings.
        classes: Classes of the data, ``Classes.mapping()``.
    """

    def __init__(self, teacher: Teacher, config: dict[str, Any], classes: dict[str, Any]) -> None:
        super().__init__(config, classes, Stage.TEACHER)
        self.save_hyperparameters('config', 'classes')
        self.teacher = teacher
        self.move([teacher])

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss of each task."""
        return task_losses(self.teacher.heads, self.teacher.features(batch.images), batch)

    def answers(self, batch: Batch) -> dict[str, Any]:
        """See ``StageModule.answers``."""
        return _named(self.teacher.heads, self.teacher.features(batch.images))


class LadonModule(StageModule):
    """Trains the network for one stage.

    Args:
        config: The run, as plain mappings.
        classes: Classes of the data, ``Classes.mapping()``.
        betas: Of this network, largest first.
        stage: The stage.
        teacher: What is learnt from; None where the network is only used.
    """

    def __init__(
        self,
        config: dict[str, Any],
        classes: dict[str, Any],
        betas: list[float],
        stage: str,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__(config, classes, stage)
        self.save_hyperparameters('config', 'classes', 'betas', 'stage')
        self.network = LadonNetwork(self.config.network, self.classes, betas)
        self.teacher = teacher
        self.strict_loading = False
        self.register_buffer('betas', torch.tensor(betas), persistent=False)
        self.move(moved(self.network, self.stage))
        if not self.network.learnt_rates:
            self.network.bottleneck.log_gain.requires_grad_(False)
            self.network.bottleneck.log_step.requires_grad_(False)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of the stage, with a random rate for each picture."""
        x, betas = batch.images, self.get_buffer('betas')
        rate = torch.randint(len(betas), (len(x),), device=x.device)
        received, bits = self.network.transmit(self.network.encoder(x), rate)
        found = self.network.body.features(received)
        heads = self.network.body.heads
        for k in range(len(betas)):
            if (rate == k).any():
                size = bits[rate == k].mean().detach() / 8.0
                self.log(f'bytes/{k}', size, batch_size=len(x), on_step=False, on_epoch=True)
        match self.stage:
            case Stage.MIMIC:
                return mimic_loss(found, self.taught(x), bits, betas[rate])
            case Stage.DISTIL:
                return {'distil': self.distil(found, batch)}
            case Stage.DETECTION | Stage.SEGMENTATION:
                return task_losses(heads, found, batch, self.stage)
        losses = relative_mimic_loss(found, self.taught(x), bits, betas[rate])
        losses |= task_losses(heads, found, batch)
        if heads.classification is not None:
            losses['classification'] = self.distil(found, batch)
        return losses

    def taught(self, x: Tensor) -> list[Tensor]:
        """Return the teacher's features after layers 1 to 4."""
        assert self.teacher is not None
        with torch.no_grad():
            return self.teacher.features(x)

    def distil(self, found: list[Tensor], batch: Batch) -> Tensor:
        """Return the loss of following the teacher's classification."""
        assert self.teacher is not None
        own, other = self.network.body.heads.classification, self.teacher.heads.classification
        assert own is not None
        assert other is not None
        with torch.no_grad():
            logits = other(self.taught(batch.images)[3])
        return distil_loss(own(found[3]), logits, batch.attribute)

    def answers(self, batch: Batch) -> dict[str, Any]:
        """Answer at the best rate; log its bytes and how far the features are from wanted."""
        rate = torch.full((1,), len(self.network.betas) - 1, device=self.device)
        received, bits = self.network.transmit(self.network.encoder(batch.images), rate)
        found = self.network.body.features(received)
        wanted = self.taught(batch.images)
        energy = feature_errors(wanted, [torch.zeros_like(w) for w in wanted])
        error = (feature_errors(found, wanted) / energy.clamp_min(1e-6)).mean()
        self.log('val/feature_error', error, batch_size=1, sync_dist=True)
        self.log('val/bytes', bits.mean() / 8.0, batch_size=1, sync_dist=True)
        if not self.stage.figures():
            return {}
        return _named(self.network.body.heads, found)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the teacher out: it has a checkpoint of its own, or published weights."""
        super().on_save_checkpoint(checkpoint)
        state = checkpoint['state_dict']
        for name in [name for name in state if name.startswith('teacher.')]:
            del state[name]


def task_losses(
    heads: TaskHeads, features: list[Tensor], batch: Batch, only: Stage | None = None
) -> dict[str, Tensor]:
    """Return the loss of each task; frames without labels for it add nothing.

    Args:
        heads: The heads.
        features: After layers 1 to 4.
        batch: The labels.
        only: The stage of the one task to look at; None for all.
    """
    losses: dict[str, Tensor] = {}
    if heads.detection is not None and only in (None, Stage.DETECTION):
        boxed = [i for i, known in enumerate(batch.boxed) if known]
        if boxed:
            losses['detection'] = heads.detection.loss(
                [f[boxed] for f in features], [batch.targets[i] for i in boxed]
            )
        else:
            # Still part of the graph, as DDP wants every parameter.
            losses['detection'] = (
                0.0 * torch.stack([p.sum() for p in heads.detection.parameters()]).sum()
            )
    if heads.segmentation is not None and only in (None, Stage.SEGMENTATION):
        losses['segmentation'] = heads.segmentation.loss(features, batch.labels)
    if heads.classification is not None and only is None:
        logits = heads.classification(features[3])
        losses['classification'] = ClassificationHead.loss(logits, batch.attribute, NO_ATTRIBUTE)
    return losses


def run_mapping(config: LadonConfig) -> dict[str, Any]:
    """Return a configuration as plain mappings, as a checkpoint keeps it."""
    return dataclasses.asdict(config)


def _named(heads: TaskHeads, features: list[Tensor]) -> dict[str, Any]:
    values = heads.answers(features)
    return {
        name: value.float().cpu().numpy() for name, value in zip(heads.names, values, strict=True)
    }
