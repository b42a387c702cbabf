# SPDX-License-Identifier: Apache-2.0
"""The joint training of a published network: loss, schedule, validation, all as published."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import mtl_split_train.vision  # noqa: F401  (Lightning imports torchvision)

import lightning.pytorch as pl  # isort: skip
from torchmetrics.classification import MulticlassAccuracy  # isort: skip

from mtl_split_train import families
from mtl_split_train.data import NO_ATTRIBUTE
from mtl_split_train.mtl_split_family import MtlSplitNetwork, task_losses
from mtl_split_train.published.config import PublishedConfig, parse

#: Name of the family, see `families`.
FAMILY = 'mtl_split'


class PublishedModule(pl.LightningModule):
    """Trains one network for any number of classifications (arXiv 2407.05982).

    Args:
        config: The run, as plain mappings (Lightning keeps it in the checkpoint).
        tasks: Names of the classes by name of the task.
    """

    def __init__(self, config: dict[str, Any], tasks: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.config: PublishedConfig = parse(config)
        self.tasks = {name: tuple(classes) for name, classes in tasks.items()}
        self.network = MtlSplitNetwork(
            self.config.network.backbone,
            self.tasks,
            self.config.data.size,
            self.config.network.weights,
        )
        self.accuracies = nn.ModuleList(
            MulticlassAccuracy(len(classes), average='micro', ignore_index=NO_ATTRIBUTE)
            for classes in self.tasks.values()
        )

    def configure_optimizers(self) -> Any:
        """AdamW, its rate divided by ten at half of the epochs."""
        epochs = self.trainer.max_epochs or self.config.schedule.epochs
        optimiser, schedule = self.config.schedule.optimiser(self.network, epochs)
        return [optimiser], [schedule]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say which family the checkpoint is of."""
        checkpoint[families.KEY] = FAMILY

    def on_fit_start(self) -> None:
        """Lay the weights out as the pictures are: a third less work on a CPU."""
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the unweighted sum of the losses of one batch."""
        images, labels = batch
        losses = task_losses(self.network(images), labels)
        for name, loss in zip(self.tasks, losses, strict=True):
            self._log(f'loss/{name}', loss, len(labels))
        total = losses.sum()
        self._log('loss/total', total, len(labels), prog_bar=True)
        return total

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:  # noqa: ARG002
        """Count the right answers."""
        images, labels = batch
        for task, logits in enumerate(self.network(images)):
            if (labels[:, task] != NO_ATTRIBUTE).any():
                self._counters()[task].update(logits.float(), labels[:, task])

    def on_validation_epoch_end(self) -> None:
        """Log the accuracy of each task; their mean chooses the checkpoint."""
        found = {
            f'val/accuracy_{name}': metric.compute()
            for name, metric in zip(self.tasks, self._counters(), strict=True)
        }
        self.log_dict(found, prog_bar=True)
        self.log('val/mean', torch.stack(list(found.values())).mean())
        for metric in self._counters():
            metric.reset()

    def _counters(self) -> list[MulticlassAccuracy]:
        return [metric for metric in self.accuracies if isinstance(metric, MulticlassAccuracy)]

    def _log(self, name: str, value: Tensor, samples: int, *, prog_bar: bool = False) -> None:
        self.log(
            name,
            value.detach(),
            batch_size=samples,
            prog_bar=prog_bar,
            on_step=False,
            on_epoch=True,
        )
