# SPDX-License-Identifier: Apache-2.0
"""One YAML file says all about a training run; it is checked before any time is spent."""

import dataclasses
import itertools
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from mtl_split_core.errors import DataError
from mtl_split_train.formats import FORMATS
from mtl_split_train.network import INPUT_MULTIPLE, NetworkConfig

T = TypeVar('T')


@dataclass(frozen=True, slots=True)
class BundleConfig:
    """What the exported bundle says of itself."""

    name: str
    version: str
    description: str
    licence: str


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where the pictures are and how they are fed.

    Args:
        format: Layout of the data, one of ``mtl_split_train.formats.FORMATS``.
        root: Folder of the data set, where ``--data`` names no other.
        train: Split to train on: a folder of ``root`` for ``camvid``, else the split's name.
        val: Split for the figures along the way and for choosing a checkpoint.
        input_width: Width of the exported network's input, pixel.
        input_height: Its height.
        crop_width: Width of the training crops.
        crop_height: Their height.
        scale_min: Smallest random scale of a training picture.
        scale_max: Largest.
        paste: Chance that objects of rare classes are pasted into a picture.
        photometric: Chance that exposure, colour, sharpness and noise of a training picture are
            changed, 0 to 1.
        jpeg: Chance that a training picture goes through JPEG, 0 to 1. It stands for a picture that
            was sent, so its Z_b is not quantised.
        jpeg_quality_min: Smallest quality of these, 1 to 100.
        jpeg_quality_max: Largest.
        workers: Loader processes.
    """

    format: str = 'camvid'
    root: str = 'data/camvid'
    train: str = 'train'
    val: str = 'val'
    input_width: int = 480
    input_height: int = 368
    crop_width: int = 352
    crop_height: int = 272
    scale_min: float = 0.6
    scale_max: float = 1.6
    paste: float = 0.5
    photometric: float = 1.0
    jpeg: float = 0.0
    jpeg_quality_min: int = 5
    jpeg_quality_max: int = 95
    workers: int = 0

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            msg = f'data.format is {self.format!r}; it must be one of {", ".join(FORMATS)}'
            raise DataError(msg)
        for name in ('input_width', 'input_height', 'crop_width', 'crop_height'):
            value = getattr(self, name)
            if value <= 0 or value % INPUT_MULTIPLE:
                msg = f'data.{name} is {value}; it must be a positive multiple of {INPUT_MULTIPLE}'
                raise DataError(msg)
        if not 0.1 <= self.scale_min <= self.scale_max <= 4.0:
            msg = (
                f'data.scale_min..scale_max is {self.scale_min}..{self.scale_max}; '
                'use 0.1 <= min <= max <= 4'
            )
            raise DataError(msg)
        for name in ('paste', 'photometric', 'jpeg'):
            if not 0.0 <= getattr(self, name) <= 1.0:
                msg = f'data.{name} is {getattr(self, name)}; it is a chance, 0 to 1'
                raise DataError(msg)
        if not 1 <= self.jpeg_quality_min <= self.jpeg_quality_max <= 100:
            msg = (
                f'data.jpeg_quality_min..jpeg_quality_max is {self.jpeg_quality_min}..'
                f'{self.jpeg_quality_max}; use 1 <= min <= max <= 100'
            )
            raise DataError(msg)


@dataclass(frozen=True, slots=True)
class RateConfig:
    """The rates of the bundle.

    Args:
        targets: Bytes per frame that each rate is trained to, smallest first.
        default: Index of the rate that nodes use unless told otherwise.
        unquantised: Share of training samples that pass without quantisation, 0 to 1.
        speed: Step of the controller that holds the targets.
        constrain: Whether the bits count in the loss. Without, nothing holds the targets.
        finer: Gains of further rates over that of the last one, above 1 and growing. They are not
            trained: the export fits their steps. For links with room.
    """

    targets: list[float] = field(default_factory=lambda: [1500.0, 3000.0, 6000.0])
    default: int = 1
    unquantised: float = 0.1
    speed: float = 0.005
    constrain: bool = True
    finer: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if any(low >= high for low, high in itertools.pairwise([1.0, *self.finer])):
            msg = f'rates.finer is {self.finer}; list growing factors above 1, or none'
            raise DataError(msg)
        if not self.targets or sorted(self.targets) != self.targets or self.targets[0] <= 0:
            msg = f'rates.targets is {self.targets}; list positive bytes per frame, smallest first'
            raise DataError(msg)
        if not 0.0 <= self.unquantised <= 1.0:
            msg = f'rates.unquantised is {self.unquantised}; it is a share, 0 to 1'
            raise DataError(msg)
        if not 0 <= self.default < len(self.targets):
            msg = f'rates.default is {self.default}; there are rates 0 to {len(self.targets) - 1}'
            raise DataError(msg)


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """Optimisation: AdamW, linear warm-up, cosine decay, moving average of the weights.

    ``frozen``: parts of the network whose weights and statistics stay as they are, by the names of
    its modules, such as ``tail`` or ``encoder.backbone``.
    """

    epochs: int = 100
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_epochs: float = 2.0
    ema_decay: float = 0.998
    gradient_clip: float = 5.0
    validate_every: int = 5
    patience: int = 0
    seed: int = 0
    frozen: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Weights of the joint loss; 1.0 each is the sum of MTL-Split (section 3.2).

    A task whose weight is 0 has no head in the network.

    Args:
        detection: Weight of the boxes' loss.
        segmentation: Weight of the label map's.
        classification: Weight of the attribute's.
        lovasz: Lovasz-softmax beside the cross-entropy of the segmentation, relative to it.
        guess: Weight of the segmentation that the camera side's detail guesses while training.
        balance: Exponent of the class weights of the cross-entropy; 0 leaves all alike.
        classification_balance: The same for the values of the attribute, weighted 1 / share.
        teacher: A checkpoint of ``mtl-split train`` for the same classes, whose answers on the
            uncompressed picture are followed; empty for none.
        distillation: Weight of that.
    """

    detection: float = 1.0
    segmentation: float = 1.0
    lovasz: float = 0.0
    guess: float = 0.4
    balance: float = 1.0
    classification: float = 0.1
    classification_balance: float = 0.0
    teacher: str = ''
    distillation: float = 1.0

    def __post_init__(self) -> None:
        if not self.tasks:
            msg = 'loss.detection, loss.segmentation and loss.classification are all 0'
            raise DataError(msg)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that are trained, as ``Classes.sizes`` names them."""
        kinds = ('detection', 'segmentation', 'classification')
        return tuple(kind for kind in kinds if getattr(self, kind) > 0)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A whole training run."""

    bundle: BundleConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    rates: RateConfig = field(default_factory=RateConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loss: LossConfig = field(default_factory=LossConfig)


def load_config(path: Path) -> TrainConfig:
    """Read and check a configuration.

    Raises:
        DataError: The file is missing or not YAML, or a key is unknown, missing or of another
            type; names the dotted key.
    """
    return parse_config(read_config(path), str(path))


def read_config(path: Path) -> Any:
    """Read a configuration of any family, unchecked.

    Raises:
        DataError: The file is missing or not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        msg = f'{path} cannot be read ({error.strerror}); those that ship are in experiments/'
        raise DataError(msg) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f'{path} is not YAML: {" ".join(str(error).split())}'
        raise DataError(msg) from error


def parse_config(content: Any, source: str = 'configuration') -> TrainConfig:
    """Build a configuration from plain mappings, as in a YAML file or a checkpoint."""
    return build_config(TrainConfig, content, source)


def build_config(kind: type[T], content: Any, source: str) -> T:
    """Build a dataclass of a family's configuration from plain mappings.

    Args:
        kind: A dataclass; its fields are plain values, lists or dataclasses.
        content: What YAML gave.
        source: Name of the file, for errors.

    Raises:
        DataError: A key is unknown, missing or of another type; names the dotted key.
    """
    config: T = _build(kind, content, source, '')
    return config


def _build(kind: Any, content: Any, source: str, prefix: str) -> Any:
    if not isinstance(content, Mapping):
        msg = f'{source}: {prefix or "the file"} must be a mapping, not {type(content).__name__}'
        raise DataError(msg)
    known = {f.name: f for f in dataclasses.fields(kind)}
    for key in content:
        if key not in known:
            msg = f'{source}: {prefix}{key} is not known; known here: {", ".join(known)}'
            raise DataError(msg)
    hints = get_type_hints(kind)
    values = {}
    for name, spec in known.items():
        if name not in content:
            if spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
                msg = f'{source}: {prefix}{name} is missing'
                raise DataError(msg)
            continue
        values[name] = _value(hints[name], content[name], source, f'{prefix}{name}')
    try:
        return kind(**values)
    except DataError as error:
        msg = f'{source}: {error}'
        raise DataError(msg) from error


def _value(hint: Any, value: Any, source: str, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, source, f'{key}.')
    if get_origin(hint) is list and isinstance(value, list):
        return [
            _value(get_args(hint)[0], item, source, f'{key}[{i}]') for i, item in enumerate(value)
        ]
    allowed = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, tuple(a for a in allowed if isinstance(a, type))) and not (
        isinstance(value, bool) and bool not in allowed
    ):
        return value
    wanted = ' or '.join(getattr(a, '__name__', str(a)) for a in allowed)
    msg = f'{source}: {key} is {value!r}; it must be {wanted}'
    raise DataError(msg)
