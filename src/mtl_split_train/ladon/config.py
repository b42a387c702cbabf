# SPDX-License-Identifier: Apache-2.0
"""What a configuration with ``family: ladon`` says; the defaults are Ladon's own for ResNet-50.

Figures of the stages: github.com/yoshitomo-matsubara/ladon-multi-task-sc2, folder configs.
"""

from dataclasses import dataclass, field

from mtl_split_core.errors import DataError
from mtl_split_train.config import BundleConfig, DataConfig

#: The betas of the paper's table for ResNet-50 (arXiv 2501.01420).
PUBLISHED_BETAS = (0.32, 1.28, 5.12, 10.24, 20.48)
#: ResNets whose first layers the codec can stand for; the paper has the third and ResNeSt-269e.
BACKBONES = ('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152')
#: One network per beta, or one for all betas whose rates are gains.
FORMS = ('published', 'extended')
#: Stage after stage, or all losses at once.
TRAININGS = ('staged', 'joint')


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Sizes of the network; the heads have torchvision's but for the number of proposals.

    Args:
        backbone: One of ``BACKBONES``.
        form: One of ``FORMS``.
        width: Channels of the detection's pyramid.
        representation: Width of the two layers that classify a region.
        proposals: Regions of a picture that are classified; torchvision takes 1000, which is
            most of a tail's time on a CPU.
        anchor: Side of an anchor at each level of the pyramid over the stride of the level; 8 in
            arXiv 1612.03144, whose pictures are large. On small ones it takes a smaller number:
            four times this should be about the side of the smallest objects, in pixels.
    """

    backbone: str = 'resnet50'
    form: str = 'published'
    width: int = 256
    representation: int = 1024
    proposals: int = 200
    anchor: float = 8.0

    def __post_init__(self) -> None:
        for name, known in (('backbone', BACKBONES), ('form', FORMS)):
            if getattr(self, name) not in known:
                msg = (
                    f'network.{name} is {getattr(self, name)!r}; it must be one of '
                    f'{", ".join(known)}'
                )
                raise DataError(msg)
        for name in ('width', 'representation', 'proposals'):
            if getattr(self, name) < 1:
                msg = f'network.{name} is {getattr(self, name)}; it must be 1 or more'
                raise DataError(msg)
        if self.anchor <= 0:
            msg = f'network.anchor is {self.anchor}; it must be above 0'
            raise DataError(msg)


@dataclass(frozen=True, slots=True)
class TeacherConfig:
    """Where the network to learn from comes from; the stage ``teacher`` trains it further.

    Args:
        weights: torchvision's published weights by name, such as ``IMAGENET1K_V2``, or None.
        checkpoint: A file: ``last.ckpt`` of an earlier stage ``teacher``, or weights of a ResNet
            as torchvision saves them; or None.
    """

    weights: str | None = None
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        if self.weights and self.checkpoint:
            msg = 'teacher has weights and a checkpoint; give one of them'
            raise DataError(msg)


@dataclass(frozen=True, slots=True)
class StageConfig:
    """One stage.

    Args:
        epochs: 0 leaves the stage out.
        batch_size: Pictures of a step, 2 or more: the heads normalise over them.
        learning_rate: At the start.
    """

    epochs: int
    batch_size: int
    learning_rate: float

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_size < 2 or self.learning_rate <= 0:
            msg = (
                f'a stage has epochs {self.epochs}, batch_size {self.batch_size}, learning_rate '
                f'{self.learning_rate}; it needs 0 or more, 2 or more, and more than 0'
            )
            raise DataError(msg)


@dataclass(frozen=True, slots=True)
class StagesConfig:
    """The stages; which of them run depends on ``training`` and on the labels of the data."""

    teacher: StageConfig = StageConfig(0, 16, 1e-3)
    mimic: StageConfig = StageConfig(10, 32, 1e-3)
    distil: StageConfig = StageConfig(10, 16, 1e-3)
    detection: StageConfig = StageConfig(26, 8, 0.02)
    segmentation: StageConfig = StageConfig(60, 16, 0.02)
    joint: StageConfig = StageConfig(30, 16, 1e-3)


@dataclass(frozen=True, slots=True)
class LadonConfig:
    """A whole run: every beta of it.

    Args:
        bundle: What the bundles say of themselves.
        network: Sizes and form.
        data: Where the pictures are and how they are fed; 416 pixels in the paper.
        betas: Weights of a bit; a larger one gives fewer bytes.
        training: One of ``TRAININGS``.
        teacher: Where it comes from.
        stages: Their lengths.
        validate_every: Epochs between two validations.
        seed: Of everything random.
    """

    bundle: BundleConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    betas: list[float] = field(default_factory=lambda: list(PUBLISHED_BETAS))
    training: str = 'staged'
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    stages: StagesConfig = field(default_factory=StagesConfig)
    validate_every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.betas or min(self.betas) <= 0 or len(set(self.betas)) < len(self.betas):
            msg = f'betas is {self.betas}; list different numbers above 0'
            raise DataError(msg)
        if self.training not in TRAININGS:
            msg = f'training is {self.training!r}; it must be one of {", ".join(TRAININGS)}'
            raise DataError(msg)
        if self.validate_every < 1:
            msg = f'validate_every is {self.validate_every}; it must be 1 or more'
            raise DataError(msg)

    def networks(self) -> dict[str, tuple[float, ...]]:
        """Return the betas of each network to train by the name of its folder.

        The betas of a network fall, so that rate 0 is its smallest.
        """
        betas = sorted(self.betas, reverse=True)
        if self.network.form == 'extended':
            return {'all-rates': tuple(betas)}
        return {f'beta-{beta:g}': (beta,) for beta in betas}
