# SPDX-License-Identifier: Apache-2.0
"""Runs the edge node."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from mtl_split_ros.spin import run

if TYPE_CHECKING:
    from mtl_split_edge.node import EdgeNode


def main() -> int:
    """Run the edge node until Ctrl-C.

    Returns:
        The exit code.
    """
    return run('edge', _load)


def _load() -> 'Callable[[], EdgeNode]':
    from mtl_split_edge.node import EdgeNode  # noqa: PLC0415  once Ctrl-C is handled

    return EdgeNode


if __name__ == '__main__':
    sys.exit(main())
