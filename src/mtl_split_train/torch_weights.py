# SPDX-License-Identifier: Apache-2.0
"""The two halves of a network as safetensors files that say of themselves how to build them."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import yaml
from safetensors import SafetensorError, safe_open
from torch import nn

from mtl_split_core.errors import BackendError
from mtl_split_train.config import TrainConfig
from mtl_split_train.network import Encoder, NetworkConfig, SplitNetwork, Tail, TailGraph
from mtl_split_train.samples import Classes

CHECKSUMS = 'torch_weights'
"""Field below `training` of bundle.yaml: SHA-256 by file name. The fingerprint leaves it out, since
both backends decode the same bytes."""

HALVES = ('encoder', 'tail')
"""Names of the files, without `.safetensors`."""

_KEY = 'mtl_split'
_LIMIT = 2**20


def save_weights(
    network: SplitNetwork, config: TrainConfig, classes: Classes, folder: Path
) -> list[Path]:
    """Write encoder.safetensors and tail.safetensors into a folder and return their paths."""
    facts = {
        # The published weights that training started from are not wanted again.
        'network': {**dataclasses.asdict(config.network), 'weights': None},
        'classes': classes.mapping(),
        'input': [config.data.input_height, config.data.input_width],
        'rates': len(config.rates.targets),
    }
    paths = []
    for name, module in zip(HALVES, (network.encoder, network.tail), strict=True):
        path = folder / f'{name}.safetensors'
        state = {key: value.contiguous() for key, value in module.state_dict().items()}
        safetensors.torch.save_file(state, path, {_KEY: json.dumps(facts)})
        paths.append(path)
    return paths


def load_weights(
    path: Path,
) -> tuple[nn.Module, dict[str, tuple[int | None, ...]], list[str]]:
    """Build one half of a network.

    Args:
        path: ONNX file of that half; the weights lie beside it.

    Returns:
        The module in evaluation mode, its input shape by name with None where a size is open, the
        names of its outputs.

    Raises:
        BackendError: The weights are missing, damaged, or of another network.
    """
    weights = path.with_suffix('.safetensors')
    if not weights.is_file():
        msg = (
            f"{weights} is missing, which backend 'torch' runs: use backend 'onnxruntime', or "
            'export the bundle again with --with-torch'
        )
        raise BackendError(msg)
    verify(weights)
    try:
        facts = _facts(weights)
        config, classes = _network(facts)
        height, width = facts['input']
        encoder = Encoder(config, [1.0] * facts['rates'], classes.sizes()['segmentation'])
        module = encoder if path.stem == 'encoder' else Tail(config, classes.sizes())
        module.load_state_dict(safetensors.torch.load_file(weights))
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise _not_ours(weights, error) from error
    if isinstance(module, Encoder):
        return module.eval(), {'image': (1, 3, height, width)}, ['z_b']
    size = tuple(-(-side // config.stride) for side in (height, width))
    graph = TailGraph(module, (height, width), classes.attribute)
    return graph.eval(), {'z_b': (None, config.z_channels, *size)}, graph.names


def read_facts(weights: Path) -> tuple[NetworkConfig, Classes]:
    """Return what a file of weights says of its network.

    Args:
        weights: One half, as `save_weights` writes it.

    Raises:
        BackendError: It is damaged, or something else.
    """
    try:
        return _network(_facts(weights))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise _not_ours(weights, error) from error


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open('rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()


def verify(weights: Path) -> None:
    """Compare a file with the checksum that its bundle has.

    Raises:
        BackendError: They differ, or there is none.
    """
    manifest = weights.with_name('bundle.yaml')
    try:
        with manifest.open(encoding='utf-8') as stream:
            content: Any = yaml.safe_load(stream.read(_LIMIT))
        wanted = content['training'][CHECKSUMS][weights.name]
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError):
        msg = (
            f'{manifest} has no training.{CHECKSUMS}.{weights.name}: these weights are not of this '
            'bundle, export it again with --with-torch'
        )
        raise BackendError(msg) from None
    if (found := checksum(weights)) != wanted:
        msg = (
            f'{weights}: damaged, its SHA-256 starts with {found[:12]} and {manifest.name} says '
            f'{str(wanted)[:12]}: copy or export the bundle again'
        )
        raise BackendError(msg)


def _facts(weights: Path) -> Any:
    with safe_open(weights, 'pt') as file:
        return json.loads((file.metadata() or {})[_KEY])


def _network(facts: Any) -> tuple[NetworkConfig, Classes]:
    return NetworkConfig(**facts['network']), Classes.from_mapping(facts['classes'])


def _not_ours(weights: Path, error: Exception) -> BackendError:
    reason = ' '.join(str(error).split())[:200]
    msg = f'{weights} is not what --with-torch writes ({reason}): export the bundle again'
    return BackendError(msg)
