# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime as inference backend."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from mtl_split_core.backend import BackendOptions, Network
from mtl_split_core.errors import BackendError

CPU = 'CPUExecutionProvider'

_ERRORS_ONLY = 3


class OnnxRuntimeNetwork:
    """A session of ONNX Runtime.

    Args:
        session: The session.
        path: Its file, for the errors.
    """

    def __init__(self, session: onnxruntime.InferenceSession, path: Path) -> None:
        self._session = session
        self._path = path
        self._shapes = {
            entry.name: tuple(size if isinstance(size, int) else None for size in entry.shape)
            for entry in session.get_inputs()
        }
        self._outputs = tuple(entry.name for entry in session.get_outputs())

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """See Network.input_shapes."""
        return self._shapes

    @property
    def output_names(self) -> tuple[str, ...]:
        """See Network.output_names."""
        return self._outputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See Network.run()."""
        try:
            outputs = self._session.run(None, dict(inputs))
        # Its exceptions have no common base below Exception.
        except Exception as error:
            msg = f'{self._path}: does not run: {_first_line(error)}'
            raise BackendError(msg) from error
        return dict(zip(self._outputs, outputs, strict=True))


class OnnxRuntimeBackend:
    """Runs ONNX files; providers are ONNX Runtime's execution providers."""

    def load(self, path: Path, options: BackendOptions) -> Network:
        """See Backend.load()."""
        providers = list(options.providers) or [CPU]
        available = onnxruntime.get_available_providers()
        for provider in providers:
            if provider not in available:
                msg = (
                    f"provider '{provider}' is not in this ONNX Runtime, there are: "
                    f'{", ".join(available)}'
                )
                raise BackendError(msg)
        if options.threads < 1:
            msg = f'threads is {options.threads}, expected at least 1'
            raise BackendError(msg)
        session_options = onnxruntime.SessionOptions()
        session_options.intra_op_num_threads = options.threads
        session_options.inter_op_num_threads = 1
        session_options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        session_options.log_severity_level = _ERRORS_ONLY
        # A thread that spins between frames takes a core from the other nodes of the machine.
        session_options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        session_options.add_session_config_entry('session.inter_op.allow_spinning', '0')
        try:
            session = onnxruntime.InferenceSession(path, session_options, providers=providers)
        except Exception as error:
            msg = f'{path}: does not load: {_first_line(error)}: copy or export the bundle again'
            raise BackendError(msg) from error
        if providers[0] not in session.get_providers():
            msg = (
                f"provider '{providers[0]}' is installed but does not start, only "
                f'{", ".join(session.get_providers())} would run: check its driver and libraries'
            )
            raise BackendError(msg)
        return OnnxRuntimeNetwork(session, path)


def _first_line(error: Exception) -> str:
    return str(error).split('\n', maxsplit=1)[0]
