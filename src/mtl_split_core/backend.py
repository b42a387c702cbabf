# SPDX-License-Identifier: Apache-2.0
"""Inference backends behind one small protocol, found by entry point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from mtl_split_core.errors import BackendError

GROUP = 'mtl_split.backends'
"""Entry point group; each entry is a class without constructor arguments that is a Backend."""

DEFAULT_BACKEND = 'onnxruntime'


_GPU = ('cuda', 'dml', 'migraphx', 'mps', 'nvtensorrt', 'rocm', 'tensorrt', 'webgpu', 'xpu')
"""How the names of GPU providers begin: ONNX Runtime's and torch's."""


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """How a network runs.

    Args:
        threads: Threads of one run, at least 1.
        providers: Names of the backend's devices, best first; empty: its CPU.
    """

    threads: int = 1
    providers: tuple[str, ...] = ()


class Network(Protocol):
    """A loaded network."""

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Shape by input name, None where a size is open."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run once.

        Args:
            inputs: Array by input name; may be reused by the caller afterwards.

        Returns:
            Array by output name, owned by the caller.

        Raises:
            BackendError: The backend refuses the inputs or fails.
        """


class Backend(Protocol):
    """Loads networks."""

    def load(self, path: Path, options: BackendOptions) -> Network:
        """Load a network.

        Args:
            path: ONNX file; a backend may use files of its own kind beside it.
            options: How to run it.

        Returns:
            The network.

        Raises:
            BackendError: The file or an option is no good.
        """


def on_gpu(providers: Sequence[str]) -> bool:
    """Return whether networks run on a GPU.

    Args:
        providers: As of BackendOptions; the first one runs, or loading fails.
    """
    return bool(providers) and providers[0].lower().startswith(_GPU)


def fits(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    """Return whether a shape is the expected one.

    Args:
        shape: Sizes of an array.
        expected: Sizes, None where any will do.
    """
    return len(shape) == len(expected) and all(
        want in (None, size) for size, want in zip(shape, expected, strict=True)
    )


def load_network(
    path: Path, backend: str = DEFAULT_BACKEND, options: BackendOptions | None = None
) -> Network:
    """Load a network with a backend.

    Args:
        path: ONNX file.
        backend: Name of the backend.
        options: How to run it; one CPU thread when left out.

    Returns:
        The network.

    Raises:
        BackendError: No such backend or provider, or the file does not load.
    """
    # Built in, so that it is there also where the package was installed without its metadata.
    target = 'mtl_split_core.ort_backend:OnnxRuntimeBackend'
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    known[DEFAULT_BACKEND] = EntryPoint(DEFAULT_BACKEND, target, GROUP)
    if backend not in known:
        msg = f"backend '{backend}' is not installed, there are: {', '.join(sorted(known))}"
        raise BackendError(msg)
    try:
        loaded: Backend = known[backend].load()()
    except ImportError as error:
        msg = f"backend '{backend}' does not import ({error}): install what it needs"
        raise BackendError(msg) from error
    return loaded.load(path, options or BackendOptions())
