# SPDX-License-Identifier: Apache-2.0
"""Model bundles on disk: find, check, read and write them."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mtl_split_core.bundle_schema import (
    FILES,
    FORMAT,
    KEYS,
    ClassInfo,
    InputInfo,
    Manifest,
    RateInfo,
    TaskInfo,
    TaskType,
    compute_fingerprint,
    parse_manifest,
)
from mtl_split_core.bundle_search import MANIFEST, bundle_directories, find_bundle
from mtl_split_core.document import read_document
from mtl_split_core.errors import BundleError
from mtl_split_core.tables import CodecTables

__all__ = [
    'Bundle',
    'ClassInfo',
    'InputInfo',
    'RateInfo',
    'TaskInfo',
    'TaskType',
    'bundle_directories',
    'load_bundle',
    'update_figures',
    'write_bundle',
]

_MAX_NETWORK_BYTES = 2**31


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A checked model bundle.

    Args:
        path: Its directory.
        name: Its name.
        version: Its version.
        family: Family of networks.
        description: One or two sentences.
        licence: Licence of the weights and what it comes from.
        input: Network input.
        feature_shape: C, H, W of Z_b.
        rates: Measured figures by rate.
        default_rate: Index of the rate to start with.
        tasks: Tasks of the tail.
        fingerprint: uint64, equal where two ends can talk to each other.
        tables: Tables of the entropy coder.
        encoder_path: Network from image to Z_b.
        tail_path: Network from Z_b to the answers.
        training: Free notes of the training, for people.
        features_of: Name and version of the bundle whose features this one answers, '' for its
            own; see other_tail.py.
    """

    path: Path
    name: str
    version: str
    family: str
    description: str
    licence: str
    input: InputInfo
    feature_shape: tuple[int, int, int]
    rates: tuple[RateInfo, ...]
    default_rate: int
    tasks: tuple[TaskInfo, ...]
    fingerprint: int
    tables: CodecTables
    encoder_path: Path
    tail_path: Path
    training: Mapping[str, Any] = field(default_factory=dict)
    features_of: str = ''

    def task(self, kind: TaskType) -> TaskInfo | None:
        """Return the first task of a kind, None when there is none.

        Args:
            kind: Kind of answer.
        """
        return next((task for task in self.tasks if task.type is kind), None)

    def check_unchanged(self) -> None:
        """Refuse to go on with files that were replaced since this bundle was read.

        Raises:
            BundleError: Says so.
        """
        if load_bundle(self.path).fingerprint != self.fingerprint:
            msg = f'{self.path} holds another bundle by now: call ~/reload_bundle or start anew'
            raise BundleError(msg)

    @property
    def title(self) -> str:
        """Name, version and fingerprint, as logs and diagnostics write them."""
        made = f' for features of {self.features_of}' if self.features_of else ''
        return f'{self.name} {self.version}{made} ({self.fingerprint:016x})'

    @property
    def classifications(self) -> tuple[TaskInfo, ...]:
        """The classification tasks, in the order of the bundle."""
        return tuple(task for task in self.tasks if task.type is TaskType.CLASSIFICATION)


def load_bundle(path_or_name: Path | str) -> Bundle:
    """Read and check a bundle.

    Args:
        path_or_name: Directory of a bundle, or the name of one in bundle_directories().

    Returns:
        The bundle, with its checksums and fingerprint verified.

    Raises:
        BundleError: Not found, damaged or wrong.
    """
    path = find_bundle(path_or_name)
    manifest = parse_manifest(_read_manifest(path), str(path / MANIFEST))
    for name in FILES:
        found = _checksum(path / name)
        if found != manifest.checksums[name]:
            msg = (
                f'{path / name}: damaged, its SHA-256 starts with {found[:12]} and {MANIFEST} '
                f'says {manifest.checksums[name][:12]}: copy or export the bundle again'
            )
            raise BundleError(msg)
    fingerprint = compute_fingerprint(manifest)
    if fingerprint != manifest.fingerprint:
        msg = (
            f'{path / MANIFEST}: fingerprint is {manifest.fingerprint:016x}, the content gives '
            f'{fingerprint:016x}: the file was edited by hand, export the bundle again'
        )
        raise BundleError(msg)
    tables = CodecTables.load(path / FILES[2])
    expected = (len(manifest.rates), manifest.feature_shape[0])
    if (tables.rates, tables.channels) != expected:
        msg = (
            f'{path / FILES[2]}: has {tables.rates} rates and {tables.channels} channels, '
            f'{MANIFEST} has {expected[0]} and {expected[1]}: export the bundle again'
        )
        raise BundleError(msg)
    return _bundle(path, manifest, tables)


def write_bundle(
    directory: Path, manifest: Mapping[str, Any], encoder: Path, tail: Path, tables: CodecTables
) -> Bundle:
    """Write a bundle in one step: the directory holds the old one or the whole new one.

    Other files of an existing directory, such as a model card, stay.

    Args:
        directory: Where to write it.
        manifest: Content of bundle.yaml without format, files and fingerprint; rates may be left
            out while nothing is measured, default_rate then is 0.
        encoder: ONNX file.
        tail: ONNX file.
        tables: Tables of the entropy coder.

    Returns:
        The bundle as read back.

    Raises:
        BundleError: The content fails a check; nothing is written then.
    """
    directory = directory.resolve()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{directory.name}-', dir=directory.parent) as scratch:
        staging, old = Path(scratch) / 'new', Path(scratch) / 'old'
        if directory.exists():
            shutil.copytree(directory, staging)
        staging.mkdir(exist_ok=True)
        shutil.copyfile(encoder, staging / FILES[0])
        shutil.copyfile(tail, staging / FILES[1])
        tables.save(staging / FILES[2])
        document = {
            'rates': [RateInfo(index).document() for index in range(tables.rates)],
            'default_rate': 0,
            **manifest,
            'format': FORMAT,
            'files': {name: _checksum(staging / name) for name in FILES},
            'fingerprint': '0' * 16,
        }
        checked = parse_manifest(document, MANIFEST)
        document['fingerprint'] = f'{compute_fingerprint(checked):016x}'
        _write_manifest(staging, document)
        load_bundle(staging)
        if directory.exists():
            directory.rename(old)
        try:
            staging.rename(directory)
        except OSError:
            if old.exists():
                old.rename(directory)
            raise
    return load_bundle(directory)


def update_figures(bundle: Bundle, rates: Sequence[RateInfo], default_rate: int) -> Bundle:
    """Write measured figures into bundle.yaml; the fingerprint stays.

    Args:
        bundle: Bundle to update.
        rates: Figures of every rate.
        default_rate: Index of the rate to start with.

    Returns:
        The bundle as read back.

    Raises:
        BundleError: Another number of rates, or a figure out of range; nothing is written then.
    """
    if [rate.index for rate in rates] != list(range(len(bundle.rates))):
        msg = f'figures for {len(rates)} rates do not fit the {len(bundle.rates)} of {bundle.name}'
        raise BundleError(msg)
    document = _read_manifest(bundle.path)
    document['rates'] = [rate.document() for rate in rates]
    document['default_rate'] = default_rate
    parse_manifest(document, str(bundle.path / MANIFEST))
    _write_manifest(bundle.path, document)
    return load_bundle(bundle.path)


def _bundle(path: Path, manifest: Manifest, tables: CodecTables) -> Bundle:
    return Bundle(
        path=path,
        name=manifest.name,
        version=manifest.version,
        family=manifest.family,
        description=manifest.description,
        licence=manifest.licence,
        input=manifest.input,
        feature_shape=manifest.feature_shape,
        rates=manifest.rates,
        default_rate=manifest.default_rate,
        tasks=manifest.tasks,
        fingerprint=manifest.fingerprint,
        tables=tables,
        encoder_path=path / FILES[0],
        tail_path=path / FILES[1],
        training=manifest.training,
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    document = read_document(file, 'copy or export the bundle again')
    if not isinstance(document, dict):
        msg = f'{file}: is no mapping of fields: copy or export the bundle again'
        raise BundleError(msg)
    return document


def _write_manifest(path: Path, document: Mapping[str, Any]) -> None:
    try:
        text = yaml.safe_dump(
            {key: document[key] for key in KEYS if key in document},
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=None,
            width=100,
        )
    except yaml.YAMLError as error:
        msg = f'{path / MANIFEST}: takes plain numbers, texts, lists and mappings only ({error})'
        raise BundleError(msg) from error
    # A workspace with --symlink-install has links to the files that are meant.
    file = (path / MANIFEST).resolve()
    scratch = file.with_name(f'.{MANIFEST}.tmp')
    scratch.write_text(text, 'utf-8')
    scratch.replace(file)


def _checksum(file: Path) -> str:
    try:
        size = file.stat().st_size
        if size > _MAX_NETWORK_BYTES:
            msg = f'{file}: has {size} bytes, allowed are {_MAX_NETWORK_BYTES}'
            raise BundleError(msg)
        with file.open('rb') as stream:
            return hashlib.file_digest(stream, 'sha256').hexdigest()
    except OSError as error:
        msg = f'{file}: {error.strerror or error}: copy or export the bundle again'
        raise BundleError(msg) from error
