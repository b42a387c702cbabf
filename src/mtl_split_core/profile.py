# SPDX-License-Identifier: Apache-2.0
"""The measured table by which the edge chooses: cost and worth of each way to answer a frame."""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import PICTURE_FORMATS, CodecId
from mtl_split_core.document import Field, read_document
from mtl_split_core.errors import BundleError
from mtl_split_core.packet import MAX_PAYLOAD
from mtl_split_core.pictures import PICTURE_QUALITY

FORMAT = 2
"""Version of the file's layout; 1 had no `edge_memory_mb`, and is still read."""

_MAX_MS = 600_000.0
_MAX_MB = 1e7
_MAX_RATES = 256
_MACHINE = r'[a-z0-9][a-z0-9_-]{0,62}'
_METRICS = ('miou', 'map50', 'accuracy')


class Mode(StrEnum):
    """Who computes what."""

    LOCAL = 'local'
    """The edge answers alone; nothing travels."""
    REMOTE = 'remote'
    """The picture travels; the server runs the whole network."""
    SPLIT = 'split'
    """Z_b travels."""


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """One way of answering a frame, as measured.

    Args:
        mode: Who computes what.
        codec: What travels; None where nothing does.
        rate: Rate index of the codec, 0 where nothing travels.
        edge_ms: Median work of the edge on a frame, milliseconds.
        server_ms: Median work of the server on a frame, milliseconds.
        bytes_mean: Mean payload, bytes.
        bytes_p95: 95th percentile of the payload, bytes.
        bytes_max: Largest payload, bytes.
        miou: Mean intersection over union, 0 to 1, None without that task.
        map50: Mean average precision at IoU 0.5, 0 to 1, None without that task.
        accuracy: Share of right classifications, 0 to 1, None without that task.
        edge_memory_mb: Peak of the edge's process without ROS, MB (10^6 bytes), None if unmeasured.
    """

    mode: Mode
    codec: CodecId | None
    rate: int
    edge_ms: float
    server_ms: float
    bytes_mean: float
    bytes_p95: float
    bytes_max: float
    miou: float | None
    map50: float | None
    accuracy: float | None
    edge_memory_mb: float | None = None

    @property
    def name(self) -> str:
        """Short name: `local`, `split:2`, `float16`, `jpeg:50` (with the picture's quality)."""
        if self.codec is None:
            return 'local'
        if self.codec in PICTURE_FORMATS:
            return f'{PICTURE_FORMATS[self.codec]}:{PICTURE_QUALITY[self.rate]}'
        if self.codec is not CodecId.ENTROPY:
            return self.codec.name.lower()
        return f'split:{self.rate}'

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that were measured."""
        return tuple(name for name in _METRICS if getattr(self, name) is not None)

    @property
    def quality(self) -> float:
        """Mean of the metrics that were measured, 0 to 1: what the policy makes the most of."""
        values = [getattr(self, name) for name in self.metrics]
        return sum(values) / len(values) if values else 0.0

    def document(self) -> dict[str, Any]:
        """Return the entry of the file."""
        return {
            'mode': str(self.mode),
            'codec': self.codec.name.lower() if self.codec else None,
            'rate': self.rate,
            'edge_ms': self.edge_ms,
            'server_ms': self.server_ms,
            'bytes': {'mean': self.bytes_mean, 'p95': self.bytes_p95, 'max': self.bytes_max},
            'accuracy': {name: getattr(self, name) for name in _METRICS},
            'edge_memory_mb': self.edge_memory_mb,
        }


def unmeasured(mode: Mode, codec: CodecId | None, rate: int) -> ProfilePoint:
    """Return a point without figures, for who does not choose by them.

    Args:
        mode: Who computes what.
        codec: What travels; None where nothing does.
        rate: Rate index of the codec, 0 where nothing travels.
    """
    return ProfilePoint(mode, codec, rate, 0.0, 0.0, 0.0, 0.0, 0.0, None, None, None)


@dataclass(frozen=True, slots=True)
class Profile:
    """All points of one bundle on one machine.

    Args:
        bundle: Name of the bundle.
        fingerprint: Its fingerprint; another one makes the profile void.
        machine: Name of the machine that measured, as in the file's name.
        frames: Frames that it measured on.
        points: The points, each (codec, rate) once.
    """

    bundle: str
    fingerprint: int
    machine: str
    frames: int
    points: tuple[ProfilePoint, ...]

    def select(self, mode: Mode, rate: int | None = None) -> tuple[ProfilePoint, ...]:
        """Return the points of a mode, or of one rate of it; empty where none was measured.

        Args:
            mode: The mode.
            rate: Rate index; every one if None.
        """
        return tuple(
            point for point in self.points if point.mode is mode and rate in (None, point.rate)
        )


def machine_name() -> str:
    """Return the name of this machine as profiles carry it: its host name, plain characters."""
    name = re.sub(r'[^a-z0-9_-]+', '-', socket.gethostname().lower()).strip('-_')
    return name[:63] or 'machine'


def profile_path(bundle: Bundle, machine: str) -> Path:
    """Return where the profile of a machine lies.

    Args:
        bundle: The bundle.
        machine: Name of the machine.

    Raises:
        BundleError: A name that cannot be part of a file name.
    """
    if not re.fullmatch(_MACHINE, machine):
        msg = f"machine '{machine}' is no name for a profile, allowed are texts like {_MACHINE}"
        raise BundleError(msg)
    return bundle.path / f'profile-{machine}.yaml'


def profile_paths(bundle: Bundle) -> list[Path]:
    """Return the profiles that lie beside a bundle, this machine's first.

    Args:
        bundle: The bundle.
    """
    own = profile_path(bundle, machine_name())
    return sorted(bundle.path.glob('profile-*.yaml'), key=lambda path: (path != own, path.name))


def load_profile(bundle: Bundle, path: Path | None = None) -> Profile:
    """Read and check a profile.

    Args:
        bundle: The bundle that it must have been measured with.
        path: The file; beside the bundle, this machine's, if None.

    Returns:
        The profile.

    Raises:
        BundleError: Missing, damaged, wrong, or of another bundle.
    """
    remedy = f'run `mtl-split profile --bundle {bundle.path}` on this machine'
    file = path or profile_path(bundle, machine_name())
    if not file.is_file():
        others = ', '.join(found.name for found in profile_paths(bundle)) or 'none'
        msg = f'{file}: no profile (beside {bundle.name} there are: {others}): {remedy}'
        raise BundleError(msg)
    profile = _parse(Field(str(file), '', read_document(file, remedy)), len(bundle.rates))
    if profile.fingerprint != bundle.fingerprint:
        msg = (
            f'{file}: was measured with bundle {profile.bundle} ({profile.fingerprint:016x}), '
            f'this is {bundle.name} ({bundle.fingerprint:016x}): {remedy}'
        )
        raise BundleError(msg)
    return profile


def read_profile(path: Path) -> Profile:
    """Read and check a profile whose bundle need not be on this machine.

    Args:
        path: The file.

    Returns:
        The profile; whether it is of the bundle that is meant is not checked.

    Raises:
        BundleError: Missing, damaged or wrong.
    """
    remedy = 'give a file that `mtl-split profile` wrote'
    return _parse(Field(str(path), '', read_document(path, remedy)), _MAX_RATES)


def save_profile(profile: Profile, path: Path) -> None:
    """Write a profile in one step.

    Args:
        profile: The profile.
        path: The file.
    """
    document = {
        'format': FORMAT,
        'bundle': profile.bundle,
        'fingerprint': f'{profile.fingerprint:016x}',
        'machine': profile.machine,
        'frames': profile.frames,
        'points': [point.document() for point in profile.points],
    }
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=160)
    scratch = path.with_name(f'.{path.name}.tmp')
    scratch.write_text(text, 'utf-8')
    scratch.replace(path)


def _parse(root: Field, rates: int) -> Profile:
    layout = root.keys_of('format').integer(1, FORMAT)
    root.keys('format', 'bundle', 'fingerprint', 'machine', 'frames', 'points')
    most = 1 + rates + len(PICTURE_FORMATS) * len(PICTURE_QUALITY)
    points = tuple(_point(entry, rates, layout) for entry in root['points'].items(1, most))
    _check_points(root['points'], points)
    return Profile(
        bundle=root['bundle'].text(),
        fingerprint=int(root['fingerprint'].text('[0-9a-f]{16}'), 16),
        machine=root['machine'].text(_MACHINE),
        frames=root['frames'].integer(1, 2**31),
        points=points,
    )


def _point(entry: Field, rates: int, layout: int) -> ProfilePoint:
    fields = ('mode', 'codec', 'rate', 'edge_ms', 'server_ms', 'bytes', 'accuracy')
    entry.keys(*fields, *(('edge_memory_mb',) if layout > 1 else ()))
    mode = Mode(entry['mode'].text('|'.join(Mode)))
    codec, limit, least = None, 1, 0.0
    if mode is Mode.SPLIT:
        codec, limit = CodecId[entry['codec'].text('entropy').upper()], rates
    elif mode is Mode.REMOTE:
        codec = CodecId[entry['codec'].text('jpeg|webp').upper()]
        limit = len(PICTURE_QUALITY)
    elif entry.mapping()['codec'] is not None:
        entry['codec'].fail('null, as nothing travels')
    if codec:
        least = 1.0
    sizes = entry['bytes'].keys('mean', 'p95', 'max')
    metrics = entry['accuracy'].keys(*_METRICS)
    mean, p95, largest = (sizes[name].number(least, MAX_PAYLOAD) for name in ('mean', 'p95', 'max'))
    miou, map50, accuracy = (metrics[name].number_or_none(0, 1) for name in _METRICS)
    return ProfilePoint(
        mode,
        codec,
        entry['rate'].integer(0, limit - 1),
        entry['edge_ms'].number(0, _MAX_MS),
        entry['server_ms'].number(0, _MAX_MS),
        *(mean, p95, largest),
        *(miou, map50, accuracy),
        entry['edge_memory_mb'].number_or_none(1, _MAX_MB),
    )


def _check_points(field: Field, points: Sequence[ProfilePoint]) -> None:
    if len({(point.codec, point.rate) for point in points}) < len(points):
        field.fail('a list with each mode and rate once')
    measured = {point.metrics for point in points}
    if len(measured) > 1 or not next(iter(measured)):
        field.fail('a list whose entries all have the same metrics, at least one')
