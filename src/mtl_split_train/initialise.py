# SPDX-License-Identifier: Apache-2.0
"""Weights to start from: those of another run, or of a bundle that ships."""

from pathlib import Path
from pickle import UnpicklingError

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from mtl_split_core.bundle import load_bundle
from mtl_split_core.errors import DataError
from mtl_split_train import families
from mtl_split_train.module import SplitModule
from mtl_split_train.torch_weights import HALVES, verify

#: Parts that depend on the classes: where these are others, a head starts anew.
_HEADS = ('network.tail.detection.', 'network.tail.segmentation.', 'network.tail.classification.')
_GUESS = 'network.encoder.detail.guess.'
#: Parts that only some of the tasks have: heads, the levels that they want, and the guess.
_OF_TASKS = (*_HEADS, _GUESS, 'network.tail.pyramid.merge.', 'network.tail.pyramid.up.')


def initialise(module: SplitModule, source: Path) -> list[str]:
    """Load the weights of another run or bundle, of the same network or one with less in Z_b.

    Targets of rates, their multipliers and class weights are this run's own, and so is what
    belongs to classes or tasks that the source does not have.

    Args:
        module: Gets them.
        source: A checkpoint; or the directory or name of a bundle with ``encoder.safetensors``
            and ``tail.safetensors`` (``mtl-split export --with-torch``).

    Returns:
        Names of the tensors of heads that start anew.

    Raises:
        DataError: It is missing, damaged or of another network; the module is unchanged then.
    """
    state = read_weights(source)
    own = module.state_dict()
    anew = []
    for name, value in own.items():
        given = state.get(name)
        mine = name.startswith('rate_controller.') or name == 'class_weights'
        if mine or (given is None and '.detail.' in name):
            state[name] = value
        elif name.startswith((*_HEADS, _GUESS)) and (given is None or given.shape != value.shape):
            state[name] = value
            anew.append(name)
        elif 'bottleneck.' in name and given is not None and given.shape != value.shape:
            state[name] = _grown(given, value)
    for name in [n for n in state if n.startswith(_OF_TASKS) and n not in own]:
        del state[name]  # of a task that this run does not have
    shapes, wanted = ({n: tuple(v.shape) for n, v in of.items()} for of in (state, own))
    for name in sorted(shapes.keys() | wanted.keys()):
        if shapes.get(name) != wanted.get(name):
            msg = (
                f'{source} is of another network: {name} is {shapes.get(name, "missing")} there '
                f'and {wanted.get(name, "missing")} here; give another --init, or a configuration '
                'with the `network` of its run'
            )
            raise DataError(msg)
    module.load_state_dict(state)
    return anew


def read_weights(source: Path) -> dict[str, Tensor]:
    """Return the weights of a run or bundle, by their names in the module that trains.

    Args:
        source: As `initialise` takes it.

    Raises:
        DataError: It is missing, damaged or of another family.
    """
    if source.suffix == '.ckpt':
        families.check_family(source, families.DEFAULT)
        try:
            content = torch.load(source, map_location='cpu', weights_only=True)
            return dict(content['state_dict'])
        except (OSError, KeyError, RuntimeError, UnpicklingError) as error:
            reason = ' '.join(str(error).split())[:200]
            msg = f'{source} is no checkpoint of `mtl-split train` ({reason}): give another --init'
            raise DataError(msg) from error
    folder = load_bundle(str(source)).path
    state = {}
    for half in HALVES:
        path = folder / f'{half}.safetensors'
        if not path.is_file():
            msg = (
                f'{path} is missing: start from a .ckpt, or from a bundle that was exported '
                '--with-torch'
            )
            raise DataError(msg)
        verify(path)
        try:
            weights = safetensors.torch.load_file(path)
        except SafetensorError as error:
            msg = f'{path} cannot be read ({error}): copy or export the bundle again'
            raise DataError(msg) from error
        state.update({f'network.{half}.{name}': value for name, value in weights.items()})
    return state


def _grown(given: Tensor, own: Tensor) -> Tensor:
    """Return the larger ``own`` with ``given`` in its first places; else ``given`` as it is."""
    fits = given.ndim == own.ndim and all(
        a <= b for a, b in zip(given.shape, own.shape, strict=True)
    )
    if not fits:
        return given
    grown = own.clone()
    grown[tuple(slice(0, side) for side in given.shape)] = given
    return grown
