# SPDX-License-Identifier: Apache-2.0
"""The joint training of encoder, quantiser and tail: loss, schedule, validation."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import torch
from torch import Tensor

import mtl_split_train.vision  # noqa: F401  (Lightning imports torchvision)

import lightning.pytorch as pl  # isort: skip

from mtl_split_train.bottleneck import RateController
from mtl_split_train.config import TrainConfig, parse_config
from mtl_split_train.data import NO_ATTRIBUTE, Batch
from mtl_split_train.dataset import camvid_classes
from mtl_split_train.heads import ClassificationHead, SegmentationHead
from mtl_split_train.meters import TaskMeters
from mtl_split_train.network import NetworkOutput, SplitNetwork, TailGraph
from mtl_split_train.optimise import freeze, make_optimizer
from mtl_split_train.samples import VOID, Classes


class Guide(Protocol):
    """A teacher, as ``distillation.Teacher``."""

    def loss(self, images: Tensor, output: NetworkOutput) -> Tensor:
        """Return how far the answers are from the teacher's."""


class SplitModule(pl.LightningModule):
    """Trains one network for up to three tasks and several rates.

    Loss = sum over tasks of weight * loss, as MTL-Split adds them up (arXiv 2407.05982, section
    3.2), plus lambda[rate] * kB, plus ``loss.distillation`` times what ``teacher`` wants, where
    there is one.

    Args:
        config: The run, as plain mappings (Lightning keeps it in the checkpoint).
        classes: Classes of the data, ``Classes.mapping()``.
        class_weights: Weight of each segmentation class, [K], before ``loss.balance``.
        value_weights: Weight of each value of the attribute, before
            ``loss.classification_balance``; none are all alike.
    """

    class_weights: Tensor
    value_weights: Tensor

    def __init__(
        self,
        config: dict[str, Any],
        classes: dict[str, Any],
        class_weights: list[float],
        value_weights: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.config: TrainConfig = parse_config(config)
        self.classes = Classes.from_mapping(classes)
        sizes = self.classes.sizes()
        data, stride = self.config.data, self.config.network.stride
        self.positions = math.ceil(data.input_height / stride) * math.ceil(
            data.input_width / stride
        )
        places = self.positions * self.config.network.z_channels
        bits = [8.0 * target / places for target in self.config.rates.targets]
        self.network = SplitNetwork(self.config.network, sizes, bits)
        self.teacher: Guide | None = None
        self._frozen = freeze(self.network, self.config.schedule.frozen)
        self.rate_controller = RateController(self.config.rates.targets, self.config.rates.speed)
        balanced = torch.tensor(class_weights) ** self.config.loss.balance
        self.register_buffer('class_weights', balanced)
        values = torch.tensor(list(value_weights) or [1.0] * max(1, sizes['classification']))
        # Not kept with the weights: older checkpoints are of the same network.
        self.register_buffer(
            'value_weights', values**self.config.loss.classification_balance, persistent=False
        )
        self.meters = TaskMeters(self.classes)
        self.train()  # Lightning leaves the modes as they are

    def configure_optimizers(self) -> Any:
        """AdamW without decay on biases, norms, quantiser; linear warm-up, then a cosine."""
        steps = int(self.trainer.estimated_stepping_batches)
        return make_optimizer(self.network.named_parameters(), self.config.schedule, steps)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and use, but for what is frozen: that stays in use."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def transfer_batch_to_device(
        self,
        batch: Batch,
        device: torch.device,
        dataloader_idx: int,  # noqa: ARG002
    ) -> Batch:
        """Move our batch type, which Lightning does not know."""
        batch = batch.to(device)
        batch.images = batch.images.contiguous(memory_format=torch.channels_last)
        return batch

    def on_fit_start(self) -> None:
        """Lay the weights out as the pictures are: a fifth of the time of a step on a CPU."""
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the joint loss of one batch, with a random rate for each sample."""
        samples = len(batch.images)
        rate = torch.randint(self.network.encoder.bottleneck.rates, (samples,), device=self.device)
        # Within one batch: the statistics of the tail's norms then are those of its use.
        whole = torch.rand(samples, device=self.device) < self.config.rates.unquantised
        whole = whole | batch.jpeg
        output: NetworkOutput = self.network(batch.images, rate, whole)
        losses = self.task_losses(output, batch)
        assert output.bits is not None
        frame_bytes = output.bits * (self.positions / 8.0)
        if self.config.rates.constrain:
            losses['rate'] = self.rate_controller(frame_bytes, rate)
        if self.teacher is not None:
            losses['distillation'] = self.config.loss.distillation * self.teacher.loss(
                batch.images, output
            )
        for k in range(len(self.config.rates.targets)):
            if (rate == k).any():
                self._log(f'bytes/{k}', frame_bytes[rate == k].mean(), samples)
        loss = torch.stack(list(losses.values())).sum()
        for name, value in losses.items():
            self._log(f'loss/{name}', value, samples)
        self._log('loss/total', loss, samples, prog_bar=True)
        return loss

    def task_losses(self, output: NetworkOutput, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted loss of each task; frames without labels for it add nothing."""
        weights, tail = self.config.loss, self.network.tail
        losses: dict[str, Tensor] = {}
        if tail.detection is not None and output.detection is not None:
            losses['detection'] = weights.detection * tail.detection.loss(
                output.detection, batch.targets
            )
        if output.segmentation is not None:
            losses['segmentation'] = weights.segmentation * SegmentationHead.loss(
                output.segmentation, batch.labels, self.class_weights, VOID, weights.lovasz
            )
        if output.guess is not None:
            losses['guess'] = weights.guess * SegmentationHead.loss(
                output.guess, batch.labels[..., 1::2, 1::2], self.class_weights, VOID
            )
        if output.classification is not None:
            losses['classification'] = weights.classification * ClassificationHead.loss(
                output.classification, batch.attribute, NO_ATTRIBUTE, self.value_weights
            )
        return losses

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Answer one frame at the default rate, in pixels of its source, as the server does."""
        rate = torch.tensor([self.config.rates.default], device=self.device)
        output: NetworkOutput = self.network(batch.images, rate)
        height, width = batch.images.shape[-2:]
        graph = TailGraph(self.network.tail, (height, width), self.classes.attribute)
        answers = {k: v[0].float().cpu().numpy() for k, v in graph.answers(output).items()}
        self.meters.update(answers, batch)
        assert output.bits is not None
        size = output.bits.mean() * (self.positions / 8.0)
        self.log('val/bytes', size, batch_size=1, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Log the figure of each task over all frames; their mean chooses the checkpoint."""
        found = self.meters.compute()
        self.log_dict(found, prog_bar=True)
        self.log(
            'val/mean', torch.stack([v.float().to(self.device) for v in found.values()]).mean()
        )

    def _log(self, name: str, value: Tensor, samples: int, *, prog_bar: bool = False) -> None:
        self.log(
            name,
            value.detach(),
            batch_size=samples,
            prog_bar=prog_bar,
            on_step=False,
            on_epoch=True,
        )


def config_mapping(config: TrainConfig) -> dict[str, Any]:
    """Return a configuration as plain mappings, the inverse of ``parse_config``."""
    return dataclasses.asdict(config)


def read_parameters(hyper_parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``SplitModule`` from what a checkpoint keeps.

    The first checkpoints named the detection classes alone, those of the other tasks being
    CamVid's. The published weights that training started from are not wanted again.

    Raises:
        KeyError: Something is missing: the checkpoint is of another family.
    """
    found = dict(hyper_parameters)
    network = {**found['config']['network'], 'weights': None}
    found['config'] = {**found['config'], 'network': network}
    if 'detection_classes' in found:
        found['classes'] = camvid_classes(found['detection_classes']).mapping()
    found.setdefault('value_weights', ())
    return {key: found[key] for key in ('config', 'classes', 'class_weights', 'value_weights')}
