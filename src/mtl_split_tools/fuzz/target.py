# SPDX-License-Identifier: Apache-2.0
"""What a target of the fuzzing is: it makes input from a number, and lets input in."""

from collections.abc import Mapping
from random import Random
from typing import Any, Protocol

from numpy.typing import NDArray

from mtl_split_core.backend import Network
from mtl_split_core.errors import MtlSplitError, PacketError


class Target(Protocol):
    """A door through which damaged input comes in.

    All input is bytes, as it would come over the wire or out of a file, so that what failed can be
    kept and let in again. How a target came to its bytes is decided by the number alone.
    """

    def make(self, random: Random) -> bytes:
        """Make input.

        Args:
            random: Decides.
        """

    def feed(self, data: bytes) -> str:
        """Let input in as the nodes or the commands do.

        Args:
            data: What make() made.

        Returns:
            How it ended, of a small set of texts.

        Raises:
            MtlSplitError: It was refused.
        """


def outcome(target: Target, data: bytes) -> str:
    """Feed a target; a refusal is an outcome as good as any, every other error is a crash.

    Args:
        target: The target.
        data: The input.
    """
    try:
        return target.feed(data)
    except PacketError as error:
        return f'refused: {error.reason}'
    except MtlSplitError as error:
        return f'refused: {type(error).__name__}'


class SparedError(Exception):
    """This input passed every check; the networks are left out, as they run for a share only."""


class Ration:
    """Lets the networks run for a share of the messages, because they take most of the time.

    Args:
        share: Of all messages, 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._seen = self._spent = 0
        self._paid = False

    @property
    def spent(self) -> int:
        """For how many messages they ran."""
        return self._spent

    def next(self) -> None:
        """The next message begins."""
        self._seen += 1
        self._paid = False

    def spend(self) -> None:
        """A network is about to run.

        Raises:
            SparedError: Not for this message.
        """
        if self._paid:
            return
        if self._spent >= 1 + self._share * self._seen:
            raise SparedError
        self._spent += 1
        self._paid = True


class RationedNetwork:
    """A network that runs while there is ration.

    Args:
        network: The network.
        ration: Shared by all networks of the pipeline.
    """

    def __init__(self, network: Network, ration: Ration) -> None:
        self._network = network
        self._ration = ration

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """See Network.input_shapes."""
        return self._network.input_shapes

    @property
    def output_names(self) -> tuple[str, ...]:
        """See Network.output_names."""
        return self._network.output_names

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See Network.run()."""
        self._ration.spend()
        return self._network.run(inputs)
