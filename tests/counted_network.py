# SPDX-License-Identifier: Apache-2.0
"""A network that counts the frames of its runs, and is slow or fails when told to."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from mtl_split_core.backend import Network
from mtl_split_core.errors import BackendError


@dataclass
class CountedNetwork:
    """A network and the number of frames of each of its runs."""

    network: Network
    runs: list[int] = field(default_factory=list)
    broken: bool = False
    pause_s: float = 0.0

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """See Network.input_shapes."""
        return self.network.input_shapes

    @property
    def output_names(self) -> tuple[str, ...]:
        """See Network.output_names."""
        return self.network.output_names

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See Network.run()."""
        if self.broken:
            msg = 'does not run any more'
            raise BackendError(msg)
        (frames,) = {len(array) for array in inputs.values()}
        time.sleep(self.pause_s * frames)
        self.runs.append(frames)
        return self.network.run(inputs)
