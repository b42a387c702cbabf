# SPDX-License-Identifier: Apache-2.0
"""The joint training of encoder, quantiser and tail: loss, schedule, validation."""

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

import mtl_split_train.vision  # noqa: F401  (Lightning imports torchvision)

import lightning.pytorch as pl  # isort: skip
from torchmetrics.classification import MulticlassJaccardIndex  # isort: skip
from torchmetrics.detection import MeanAveragePrecision  # isort: skip

from mtl_split_core.geometry import Letterbox
from mtl_split_core.postprocess import select_boxes
from mtl_split_train.bottleneck import RateController
from mtl_split_train.config import TrainConfig, parse_config
from mtl_split_train.data import Batch
from mtl_split_train.dataset import SEGMENTATION_CLASSES, TIME_OF_DAY, VOID
from mtl_split_train.heads import SegmentationHead
from mtl_split_train.network import NetworkOutput, SplitNetwork, TailGraph
from mtl_split_train.tasks import MAX_DETECTIONS, NMS_IOU

#: Boxes from this score on count in the precision-recall curve.
MEASURED_SCORE = 0.05
#: Learning rate of gains, steps and densities relative to the weights.
_QUANTISER_SPEED = 4.0


class SplitModule(pl.LightningModule):
    """Trains one network for three tasks and several rates.

    Loss = sum over tasks of weight * loss, as MTL-Split adds them up (arXiv 2407.05982, section
    3.2), plus lambda[rate] * kB.

    Args:
        config: The run, as plain mappings (Lightning keeps it in the checkpoint).
        class_weights: Weight of each segmentation class, [K].
        detection_classes: Names of the detection classes, in class order.
    """

    class_weights: Tensor

    def __init__(
        self, config: dict[str, Any], class_weights: list[float], detection_classes: list[str]
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.config: TrainConfig = parse_config(config)
        classes = {
            'detection': len(detection_classes),
            'segmentation': len(SEGMENTATION_CLASSES),
            'classification': len(TIME_OF_DAY),
        }
        data, stride = self.config.data, self.config.network.stride
        self.positions = math.ceil(data.input_height / stride) * math.ceil(
            data.input_width / stride
        )
        values = self.positions * self.config.network.channels
        bits = [8.0 * target / values for target in self.config.rates.targets]
        self.network = SplitNetwork(self.config.network, classes, bits)
        self.rate_controller = RateController(self.config.rates.targets, self.config.rates.speed)
        self.register_buffer('class_weights', torch.tensor(class_weights))
        self.miou = MulticlassJaccardIndex(classes['segmentation'], ignore_index=VOID)
        self.map = MeanAveragePrecision(iou_type='bbox')

    def configure_optimizers(self) -> Any:
        """AdamW without decay on biases, norms, quantiser; linear warm-up, then a cosine."""
        schedule = self.config.schedule
        decayed: list[torch.nn.Parameter] = []
        free: list[torch.nn.Parameter] = []
        quantiser: list[torch.nn.Parameter] = []
        for name, parameter in self.network.named_parameters():
            if 'bottleneck.log_' in name or '.density.' in name:
                quantiser.append(parameter)
            else:
                (decayed if parameter.ndim > 1 else free).append(parameter)
        rate = schedule.learning_rate
        optimizer = torch.optim.AdamW(
            [
                {'params': decayed, 'lr': rate, 'weight_decay': schedule.weight_decay},
                {'params': free, 'lr': rate, 'weight_decay': 0.0},
                # Logarithms of scales: they have far to go and no gradient noise to fear.
                {'params': quantiser, 'lr': _QUANTISER_SPEED * rate, 'weight_decay': 0.0},
            ]
        )
        total = max(1, int(self.trainer.estimated_stepping_batches))
        warmup = max(1, round(total * schedule.warmup_epochs / schedule.epochs))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (
                1.0 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup)))
            )

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            'optimizer': optimizer,
            'lr_scheduler': {'scheduler': scheduler, 'interval': 'step'},
        }

    def transfer_batch_to_device(
        self,
        batch: Batch,
        device: torch.device,
        dataloader_idx: int,  # noqa: ARG002
    ) -> Batch:
        """Move our batch type, which Lightning does not know."""
        return batch.to(device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the joint loss of one batch, with a random rate for each sample."""
        samples = len(batch.images)
        rate = torch.randint(self.network.encoder.bottleneck.rates, (samples,), device=self.device)
        whole = torch.rand(()) < self.config.rates.unquantised
        output: NetworkOutput = self.network(batch.images, None if whole else rate)
        weights = self.config.loss
        losses = {
            'detection': weights.detection
            * self.network.tail.detection.loss(output.detection, batch.targets),
            'segmentation': weights.segmentation
            * SegmentationHead.loss(output.segmentation, batch.labels, self.class_weights, VOID),
            'classification': weights.classification
            * torch.nn.functional.cross_entropy(output.classification.float(), batch.attribute),
        }
        if output.bits is not None:
            frame_bytes = output.bits * (self.positions / 8.0)
            losses['rate'] = self.rate_controller(frame_bytes, rate)
            for k in range(len(self.config.rates.targets)):
                if (rate == k).any():
                    self._log(f'bytes/{k}', frame_bytes[rate == k].mean(), samples)
        loss = torch.stack(list(losses.values())).sum()
        for name, value in losses.items():
            self._log(f'loss/{name}', value, samples)
        self._log('loss/total', loss, samples, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Answer one frame at the default rate, in pixels of its source, as the server does."""
        rate = torch.tensor([self.config.rates.default], device=self.device)
        output: NetworkOutput = self.network(batch.images, rate)
        height, width = batch.images.shape[-2:]
        graph = TailGraph(self.network.tail, (height, width))
        boxes, scores, mask, _ = (answer.float().cpu().numpy() for answer in graph.answers(output))
        letterbox = Letterbox.fit(batch.labels.shape[-1], batch.labels.shape[-2], width, height)
        found = select_boxes(boxes, scores, letterbox, MEASURED_SCORE, NMS_IOU, MAX_DETECTIONS)
        answer = letterbox.mask_to_source(mask.astype(np.uint8))
        self.miou.update(torch.from_numpy(answer)[None].to(self.device), batch.labels)
        target = batch.targets[0]
        self.map.update(
            [{
                'boxes': torch.from_numpy(found.boxes),
                'scores': torch.from_numpy(found.scores),
                'labels': torch.from_numpy(found.class_ids).long(),
            }],
            [{
                'boxes': torch.cat((target['boxes'], target['ignored'])),
                'labels': torch.cat((target['labels'], target['ignored_labels'])),
                'iscrowd': torch.cat((
                    torch.zeros_like(target['labels']), torch.ones_like(target['ignored_labels'])
                )),
            }],
        )  # fmt: skip
        assert output.bits is not None
        self._log('val/bytes', output.bits.mean() * (self.positions / 8.0), 1)

    def on_validation_epoch_end(self) -> None:
        """Log mIoU and mAP50 over all frames, and their mean, which chooses the checkpoint."""
        miou, map50 = self.miou.compute(), self.map.compute()['map_50'].clamp_min(0)
        self.log_dict({'val/miou': miou, 'val/map50': map50}, prog_bar=True)
        self.log('val/mean', (miou + map50.to(miou)) / 2)
        self.miou.reset()
        self.map.reset()

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
