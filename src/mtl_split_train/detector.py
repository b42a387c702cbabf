# SPDX-License-Identifier: Apache-2.0
"""A detector that stands alone: torchvision's FCOS on a whole backbone, to compare ours with."""

import argparse
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtl_split_train import vision  # noqa: F401  (declares operators before the next import)

import lightning.pytorch as pl  # isort: skip
from lightning.pytorch.callbacks import WeightAveraging  # isort: skip
from torchmetrics.detection import MeanAveragePrecision  # isort: skip
from torchvision.models.detection.anchor_utils import AnchorGenerator  # isort: skip
from torchvision.models.detection.fcos import FCOS  # isort: skip
from torchvision.models.detection.image_list import ImageList  # isort: skip
from torchvision.ops import FeaturePyramidNetwork  # isort: skip

from mtl_split_core.errors import DataError
from mtl_split_core.geometry import Letterbox
from mtl_split_core.postprocess import select_boxes
from mtl_split_core.results import Detections
from mtl_split_train import families
from mtl_split_train.backbone import Backbone, describe_stages
from mtl_split_train.config import TrainConfig, load_config, parse_config
from mtl_split_train.data import Batch, EvaluationSet, make_loader
from mtl_split_train.formats import read_split
from mtl_split_train.heads import DETECTION_STRIDES, start_alive
from mtl_split_train.initialise import read_weights
from mtl_split_train.meters import MEASURED_SCORE, box_truth
from mtl_split_train.metrics import DetectionMetrics, evaluate_detections
from mtl_split_train.module import config_mapping
from mtl_split_train.optimise import make_optimizer
from mtl_split_train.run import checkpoints, open_run
from mtl_split_train.samples import Dataset
from mtl_split_train.split_family import fit, moving_average
from mtl_split_train.tasks import MAX_DETECTIONS, NMS_IOU


class Trunk(nn.Module):
    """A whole backbone and torchvision's feature pyramid, as FCOS wants its backbone.

    Args:
        name: One of ``mtl_split_train.backbone.BACKBONES``.
        width: Channels of the pyramid.
        weights: torchvision's published weights, or None.
    """

    def __init__(self, name: str, width: int, weights: str | None = None) -> None:
        super().__init__()
        stages = [info for info in describe_stages(name) if info.stride <= DETECTION_STRIDES[-1]]
        self.backbone = Backbone(name, stages[-1].stage, weights, DETECTION_STRIDES[0])
        self.pyramid = FeaturePyramidNetwork([t.channels for t in self.backbone.taps], width)
        self.out_channels = width

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return features [N, width, H / stride, W / stride] for DETECTION_STRIDES."""
        levels = self.backbone.levels(x)
        found: dict[str, Tensor] = self.pyramid(
            OrderedDict((str(index), level) for index, level in enumerate(levels))
        )
        return found


class Detector(nn.Module):
    """FCOS (Tian et al., arXiv 1904.01355) as torchvision builds it, with torchvision's loss.

    Args:
        config: Its backbone, and ``head_width`` for pyramid and towers.
        classes: Number of classes.
    """

    def __init__(self, config: TrainConfig, classes: int) -> None:
        super().__init__()
        network = config.network
        sizes = tuple((stride,) for stride in DETECTION_STRIDES)
        self.fcos = FCOS(
            Trunk(network.backbone, network.head_width, network.weights),
            classes,
            anchor_generator=AnchorGenerator(sizes, ((1.0,),) * len(sizes)),
        )
        start_alive(self.fcos.head)

    def forward(self, x: Tensor) -> tuple[dict[str, Tensor], list[Tensor], list[int]]:
        """Return the outputs of the head, the anchors of each picture, locations by level.

        Args:
            x: Normalised pictures, [N, 3, H, W]. torchvision's own transform would normalise and
                scale them again, so it is left out, but for its padding to the largest stride.
        """
        height, width = x.shape[-2:]
        most = DETECTION_STRIDES[-1]
        x = nn.functional.pad(x, (0, -width % most, 0, -height % most))
        features = list(self.fcos.backbone(x).values())
        outputs: dict[str, Tensor] = self.fcos.head(features)
        images = ImageList(x, [(height, width)] * len(x))
        anchors: list[Tensor] = self.fcos.anchor_generator(images, features)
        return outputs, anchors, [f.shape[-2] * f.shape[-1] for f in features]

    def loss(self, x: Tensor, targets: list[dict[str, Tensor]]) -> Tensor:
        """Return the sum of torchvision's three losses; it knows no ignored regions."""
        outputs, anchors, levels = self(x)
        outputs = {name: value.float() for name, value in outputs.items()}
        losses: dict[str, Tensor] = self.fcos.compute_loss(targets, outputs, anchors, levels)
        return torch.stack(list(losses.values())).sum()

    def answer(self, x: Tensor, letterbox: Letterbox) -> Detections:
        """Return the boxes of one picture [1, 3, H, W] in pixels of its source."""
        outputs, anchors, _ = self(x)
        boxes = self.fcos.box_coder.decode(outputs['bbox_regression'][0].float(), anchors[0])
        inside = outputs['cls_logits'][0].sigmoid() * outputs['bbox_ctrness'][0].sigmoid()
        return select_boxes(
            boxes.cpu().numpy(),
            inside.sqrt().float().cpu().numpy(),
            letterbox,
            MEASURED_SCORE,
            NMS_IOU,
            MAX_DETECTIONS,
        )


class DetectorModule(pl.LightningModule):
    """Trains the detector with the schedule, the views and the averaging of the others.

    Args:
        config: The run, as plain mappings.
        classes: Number of classes.
    """

    def __init__(self, config: dict[str, Any], classes: int) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.config = parse_config(config)
        self.network = Detector(self.config, classes)
        self.map = MeanAveragePrecision(iou_type='bbox')

    def configure_optimizers(self) -> Any:
        """As for the split network."""
        steps = int(self.trainer.estimated_stepping_batches)
        return make_optimizer(self.network.named_parameters(), self.config.schedule, steps)

    def transfer_batch_to_device(
        self,
        batch: Batch,
        device: torch.device,
        dataloader_idx: int,  # noqa: ARG002
    ) -> Batch:
        """Move our batch type, which Lightning does not know."""
        return batch.to(device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of one batch."""
        loss = self.network.loss(batch.images, batch.targets)
        self.log('loss/total', loss.detach(), on_epoch=True, batch_size=len(batch.images))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Answer one frame, in pixels of its source."""
        found = self.network.answer(batch.images, _letterbox(batch))
        self.map.update(
            [{
                'boxes': torch.from_numpy(found.boxes),
                'scores': torch.from_numpy(found.scores),
                'labels': torch.from_numpy(found.class_ids).long(),
            }],
            [box_truth(batch.targets[0])],
        )  # fmt: skip

    def on_validation_epoch_end(self) -> None:
        """Log the figure over all frames."""
        self.log('val/map50', self.map.compute()['map_50'].clamp_min(0), prog_bar=True)
        self.map.reset()


def train(options: argparse.Namespace) -> int:
    """Train a detector with the options of `mtl-split train`.

    Args:
        options: Those of `cli_train`. Of the configuration counts the backbone, `head_width`, data
            and schedule; of ``--init`` the backbone.

    Raises:
        DataError: Something does not fit: names it and the remedy.
    """
    config = load_config(options.config)
    run = open_run(options, config.bundle.name, families.DEFAULT)
    root = options.data or Path(config.data.root)
    data = read_split(config.data.format, root, config.data.train)
    val = read_split(config.data.format, root, config.data.val)
    schedule = config.schedule
    pl.seed_everything(schedule.seed, workers=True, verbose=False)
    module = DetectorModule(config_mapping(config), len(data.classes.detection))
    if options.init:
        start_from(module.network, options.init)
    averaging = WeightAveraging(avg_fn=moving_average(schedule.ema_decay))
    fit(module, config, (data, val), options, run, [averaging, *checkpoints(run, 'val/map50')])
    return 0


def start_from(detector: Detector, source: Path) -> None:
    """Load what a network for three tasks has of the backbone; the later stages stay.

    Args:
        detector: Gets it.
        source: A checkpoint or bundle of ours, as `initialise` takes it.

    Raises:
        DataError: It is missing, damaged or of another backbone; the detector is unchanged then.
    """
    theirs, ours = 'network.encoder.backbone.', 'fcos.backbone.backbone.'
    given = {
        name.replace(theirs, ours, 1): value
        for name, value in read_weights(source).items()
        if name.startswith(theirs)
    }
    own = detector.state_dict()
    for name, value in given.items():
        if name not in own or own[name].shape != value.shape:
            msg = f'{source} has another backbone: {name.removeprefix(ours)} does not fit; give '
            raise DataError(msg + 'another --init, or a configuration with its network.backbone')
    detector.load_state_dict({**own, **given})


def load_detector(checkpoint: Path) -> DetectorModule:
    """Load what `train` kept, its averaged weights."""
    state = torch.load(checkpoint, map_location='cpu', weights_only=True)
    module = DetectorModule(**state['hyper_parameters'])
    module.load_state_dict(state['state_dict'])
    return module.eval()


def evaluate_detector(
    module: DetectorModule, data: Dataset, on_answer: Callable[[], None]
) -> DetectionMetrics:
    """Score a detector on whole frames, as `mtl-split eval` scores a bundle.

    Args:
        module: The detector.
        data: The frames.
        on_answer: Called after each frame.
    """
    found = []
    for batch in make_loader(EvaluationSet(data, module.config), 1, shuffle=False, workers=0):
        with torch.no_grad():
            found.append(module.network.answer(batch.images, _letterbox(batch)))
        on_answer()
    return evaluate_detections(data, found)


def _letterbox(batch: Batch) -> Letterbox:
    source, shown = batch.labels.shape, batch.images.shape
    return Letterbox.fit(source[-1], source[-2], shown[-1], shown[-2])
