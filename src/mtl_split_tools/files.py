# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.errors import ImageError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f'.{path.name}.part')
    scratch.write_bytes(data)
    scratch.replace(path)


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write JSON; NaN is refused, because readers of other languages refuse it."""
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + '\n').encode())


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB picture in the format that the name ends with.

    Raises:
        ImageError: The name ends with no known format.
    """
    try:
        _, data = cv2.imencode(path.suffix or '.', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error:
        msg = f'{path} does not end with a known picture format, such as .png'
        raise ImageError(msg) from None
    write_bytes(path, data.tobytes())
