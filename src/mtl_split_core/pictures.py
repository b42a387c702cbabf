# SPDX-License-Identifier: Apache-2.0
"""Picture codecs: the letterboxed picture itself as payload, for running the network elsewhere."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.errors import ImageError, PacketError, RefusalReason

PictureFormat = Literal['jpeg', 'webp']

PICTURE_QUALITY = (10, 30, 50, 80, 95)
"""Quality of JPEG and WebP by rate index."""

_EXTENSION = {'jpeg': '.jpg', 'webp': '.webp'}
_QUALITY_FLAG = {'jpeg': cv2.IMWRITE_JPEG_QUALITY, 'webp': cv2.IMWRITE_WEBP_QUALITY}
_JPEG_BASELINE = 0xC0
_JPEG_SEGMENTS = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})


def encode_picture(image: NDArray[np.uint8], kind: PictureFormat, quality: int) -> bytes:
    """Compress a picture.

    Args:
        image: RGB, uint8 [H, W, 3].
        kind: Picture format.
        quality: 1 to 100.

    Returns:
        The file content.

    Raises:
        ImageError: The format cannot hold the picture.
    """
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    try:
        done, data = cv2.imencode(_EXTENSION[kind], bgr, [_QUALITY_FLAG[kind], quality])
    except cv2.error as error:
        done, reason = False, error.err
    else:
        reason = 'no reason given'
    if not done:
        msg = f'picture of {image.shape[1]}x{image.shape[0]} does not compress as {kind}: {reason}'
        raise ImageError(msg)
    return data.tobytes()


def decode_picture(
    payload: bytes | memoryview, kind: PictureFormat, width: int, height: int
) -> NDArray[np.uint8]:
    """Decompress a picture whose size is known; the size it claims is checked before that.

    Args:
        payload: The file content.
        kind: Picture format.
        width: Expected width, pixels.
        height: Expected height, pixels.

    Returns:
        RGB, uint8 [height, width, 3].

    Raises:
        PacketError: PAYLOAD, when it is another format or size, or damaged.
    """
    data = bytes(payload)
    size = _jpeg_size(data) if kind == 'jpeg' else _webp_size(data)
    if size != (width, height):
        found = f'one of {size[0]}x{size[1]}' if size else 'none, or not in its plain form'
        msg = f'expected a {kind} picture of {width}x{height}, found {found}'
        raise PacketError(RefusalReason.PAYLOAD, msg)
    try:
        bgr = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error:
        bgr = None
    if bgr is None or bgr.shape != (height, width, 3):
        msg = f'{kind} picture of {len(data)} bytes is damaged'
        raise PacketError(RefusalReason.PAYLOAD, msg)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Read the size of a whole baseline JPEG; progressive ones can ask for unbounded work."""
    if not (data.startswith(b'\xff\xd8') and data.endswith(b'\xff\xd9')):
        return None
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == _JPEG_BASELINE:
            if data[position + 4] != 8:
                return None
            height = int.from_bytes(data[position + 5 : position + 7], 'big')
            return int.from_bytes(data[position + 7 : position + 9], 'big'), height
        length = int.from_bytes(data[position + 2 : position + 4], 'big')
        if marker not in _JPEG_SEGMENTS or length < 2:
            return None
        position += 2 + length
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Read the size of a plain lossy WebP: one VP8 key frame, no animation, no metadata."""
    plain = data[:4] == b'RIFF' and data[8:16] == b'WEBPVP8 ' and data[23:26] == b'\x9d\x01\x2a'
    if not plain or len(data) < 30 or int.from_bytes(data[4:8], 'little') + 8 != len(data):
        return None
    width = int.from_bytes(data[26:28], 'little') & 0x3FFF
    return width, int.from_bytes(data[28:30], 'little') & 0x3FFF
