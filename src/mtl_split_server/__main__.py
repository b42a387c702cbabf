# SPDX-License-Identifier: Apache-2.0
"""Runs the server node."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from mtl_split_ros.spin import run

if TYPE_CHECKING:
    from mtl_split_server.node import ServerNode


def main() -> int:
    """Run the server node until Ctrl-C.

    Returns:
        The exit code.
    """
    return run('server', _load)


def _load() -> 'Callable[[], ServerNode]':
    from mtl_split_server.node import ServerNode  # noqa: PLC0415  once Ctrl-C is handled

    return ServerNode


if __name__ == '__main__':
    sys.exit(main())
