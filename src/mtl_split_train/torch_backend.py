# SPDX-License-Identifier: Apache-2.0
"""PyTorch as inference backend: the trained modules themselves, without a graph compiler."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from mtl_split_core.backend import BackendOptions, Network, fits
from mtl_split_core.errors import BackendError
from mtl_split_train.torch_weights import load_weights


class TorchNetwork:
    """A module with its weights.

    Args:
        module: Takes one tensor and gives one or several.
        shapes: Shape of its input by name, None where a size is open.
        outputs: Names of its outputs.
        device: Where it runs.
        path: Its file, for the errors.
    """

    def __init__(
        self,
        module: nn.Module,
        shapes: Mapping[str, tuple[int | None, ...]],
        outputs: list[str],
        device: torch.device,
        path: Path,
    ) -> None:
        self._module = module.to(device)
        self._shapes = shapes
        self._outputs = tuple(outputs)
        self._device = device
        self._path = path

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """See Network.input_shapes."""
        return dict(self._shapes)

    @property
    def output_names(self) -> tuple[str, ...]:
        """See Network.output_names."""
        return self._outputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See Network.run()."""
        found = {name: (str(array.dtype), array.shape) for name, array in inputs.items()}
        if found.keys() != self._shapes.keys() or not all(
            kind == 'float32' and fits(shape, self._shapes[name])
            for name, (kind, shape) in found.items()
        ):
            msg = f'{self._path}: takes float32 {dict(self._shapes)}, got {found}'
            raise BackendError(msg)
        (array,) = inputs.values()
        try:
            with torch.inference_mode():
                # The copy leaves the caller's array, which may be read-only, to the caller.
                answer = self._module(torch.tensor(array, device=self._device))
        except RuntimeError as error:
            msg = f'{self._path}: does not run: {" ".join(str(error).split())[:200]}'
            raise BackendError(msg) from error
        tensors = answer if isinstance(answer, tuple) else (answer,)
        return {n: t.cpu().numpy() for n, t in zip(self._outputs, tensors, strict=True)}


class TorchBackend:
    """Runs the safetensors files beside the ONNX files; providers are torch's devices.

    The number of threads is one of the process: the network loaded last sets it for all.
    """

    def load(self, path: Path, options: BackendOptions) -> Network:
        """See Backend.load()."""
        if options.threads < 1:
            msg = f'threads is {options.threads}, expected at least 1'
            raise BackendError(msg)
        device = options.providers[0] if options.providers else 'cpu'
        try:
            torch.zeros(1, device=device)
        except (AssertionError, RuntimeError) as error:
            reason = str(error).split('\n', maxsplit=1)[0]
            msg = f"provider '{device}' is no device of this torch, such as cpu or cuda: {reason}"
            raise BackendError(msg) from error
        module, shapes, outputs = load_weights(path)
        torch.set_num_threads(options.threads)
        return TorchNetwork(module, shapes, outputs, torch.device(device), path)
