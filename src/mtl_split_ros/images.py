# SPDX-License-Identifier: Apache-2.0
"""The one place where ROS images become arrays and arrays become ROS images."""

from array import array
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mtl_split_core.errors import ImageError
from mtl_split_core.geometry import MAX_PIXELS, MAX_SIDE

RGBImage = NDArray[np.uint8]

CHANNELS = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1}
JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'
PNG_START, PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a segment
_JPEG_SCAN = b'\xff\xda'
MAX_SCANS = 20
"""Scans of a progressive JPEG; each costs as much as the whole picture and may be a few bytes."""


@dataclass(frozen=True, slots=True)
class _Pixels:
    """A checked image without padding, in the attributes that both conversion libraries read."""

    height: int
    width: int
    encoding: str
    step: int
    data: NDArray[np.uint8]
    is_bigendian: int = 0


def _load_conversion() -> Any:
    """Take cv_bridge where it works, else rosbags-image.

    The cv_bridge of Humble and Jazzy is built for NumPy 1 and crashes with NumPy 2.
    """
    if np.lib.NumpyVersion(np.__version__) < '2.0.0':
        try:
            from cv_bridge import CvBridge  # noqa: PLC0415  only where the underlay has it
        except ImportError:
            pass
        else:
            bridge = CvBridge()
            return lambda pixels: bridge.imgmsg_to_cv2(pixels, 'rgb8')
    try:
        from rosbags.image import message_to_cvimage  # noqa: PLC0415  only without cv_bridge
    except ImportError as error:
        msg = (
            'neither cv_bridge (for NumPy 1) nor rosbags-image is installed: '
            'pip install rosbags-image, or apt install ros-$ROS_DISTRO-cv-bridge'
        )
        raise ImageError(msg) from error
    return lambda pixels: message_to_cvimage(pixels, 'rgb8')


_to_rgb8 = _load_conversion()


def to_rgb(message: Image | CompressedImage, untyped_encoding: str = '') -> RGBImage:
    """Convert a ROS image to RGB.

    Args:
        message: rgb8, bgr8, rgba8, bgra8 or mono8 in any step, or JPEG or PNG.
        untyped_encoding: What '8UC3' is to be taken for, 'rgb8' or 'bgr8'; '' refuses it.

    Returns:
        uint8 HxWx3; a view of the message where it is rgb8 without padding.

    Raises:
        ImageError: Names the field, its value and the remedy.
    """
    if isinstance(message, CompressedImage):
        return _decompress(message)
    return _from_raw(message, untyped_encoding)


def to_image_msg(image: NDArray[np.uint8], encoding: str, header: Header) -> Image:
    """Make a ROS image.

    Args:
        image: uint8 HxW (mono8) or HxWx3 (rgb8).
        encoding: 'mono8' or 'rgb8'.
        header: Goes out as it is.
    """
    height, width = image.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding)
    message.step = width * CHANNELS[encoding]
    message.data = _bytes_of(image)
    return message


def _bytes_of(image: NDArray[np.uint8]) -> 'array[int]':
    # array.array is the one type that rclpy takes without looking at every byte
    data = array('B')
    data.frombytes(np.ascontiguousarray(image).data.cast('B'))
    return data


def _from_raw(message: Image, untyped_encoding: str) -> RGBImage:
    height, width = message.height, message.width
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        msg = f'image is {width}x{height} pixels; each side has to be 1 to {MAX_SIDE}'
        raise ImageError(msg)
    encoding = _checked_encoding(message.encoding, untyped_encoding)
    channels = CHANNELS[encoding]
    if message.step < width * channels:
        msg = (
            f'image step is {message.step} bytes, {width} pixels of {encoding} take '
            f'{width * channels}: the publisher has to set step to at least that'
        )
        raise ImageError(msg)
    if len(message.data) < message.step * height:
        msg = (
            f'image data has {len(message.data)} bytes, step {message.step} x height {height} '
            f'asks for {message.step * height}: the publisher sends it cut short'
        )
        raise ImageError(msg)
    rows = np.ndarray(
        (height, width * channels), np.uint8, buffer=message.data, strides=(message.step, 1)
    )
    tight = np.ascontiguousarray(rows)
    rgb: RGBImage = _to_rgb8(_Pixels(height, width, encoding, width * channels, tight))
    return rgb


def _checked_encoding(encoding: str, untyped_encoding: str) -> str:
    if encoding in CHANNELS:
        return encoding
    if encoding == '8UC3':
        if untyped_encoding:
            return untyped_encoding
        remedy = (
            "it leaves the order of the channels open; set untyped_encoding to 'rgb8' or 'bgr8'"
        )
    elif encoding.startswith('bayer_'):
        remedy = 'it is a raw sensor pattern; run image_proc and use its image_color topic'
    elif 'yuv' in encoding or encoding in {'uyvy', 'yuyv', 'nv12', 'nv21', 'nv24'}:
        remedy = 'it is YUV; let the camera driver or image_proc convert it to rgb8'
    else:
        remedy = f'use one of {", ".join(CHANNELS)}; image_proc converts others'
    msg = f'image encoding {encoding!r} is not supported: {remedy}'
    raise ImageError(msg)


def _decompress(message: CompressedImage) -> RGBImage:
    # OpenCV itself: both libraries only call it here, and fail on grey pictures
    data = np.frombuffer(message.data, np.uint8)
    kind = f'compressed image (format {message.format!r}, {data.size} bytes)'
    head = data[: len(PNG_START)].tobytes()
    if head.startswith(JPEG_START):
        end = JPEG_END
    elif head == PNG_START:
        end = PNG_END
    else:
        msg = f'{kind} is neither JPEG nor PNG; set the publisher to one of them'
        raise ImageError(msg)
    # OpenCV fills what a truncated picture lacks with grey and does not say so; some cameras pad
    # their pictures with zeros
    if data[-len(end) :].tobytes() != end and not data.tobytes().rstrip(b'\0').endswith(end):
        msg = f'{kind} has no end marker: it was cut on its way; send it whole'
        raise ImageError(msg)
    _check_claims(data.tobytes(), kind, is_png=end is PNG_END)
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        msg = f'{kind} cannot be decoded: {error.err}; check what the publisher sends'
        raise ImageError(msg) from error
    if bgr is None:
        msg = f'{kind} cannot be decoded; check what the publisher sends'
        raise ImageError(msg)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _check_claims(data: bytes, kind: str, *, is_png: bool) -> None:
    """Check what a picture says of itself before memory and time are spent on it."""
    width, height = _png_size(data) if is_png else _jpeg_size(data)
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        msg = (
            f'{kind} is {width}x{height}; each side may be at most {MAX_SIDE} and the whole '
            f'{MAX_PIXELS} pixels: send it smaller'
        )
        raise ImageError(msg)
    if is_png and not _png_is_whole(data):
        # OpenCV would look for the rest for a second
        msg = f'{kind} has chunks that do not fit together; check what the publisher sends'
        raise ImageError(msg)
    # 0xff within the coded pixels is followed by 0, so this counts markers.
    if not is_png and (scans := data.count(_JPEG_SCAN)) > MAX_SCANS:
        msg = f'{kind} has {scans} scans, at most {MAX_SCANS} are decoded: send it baseline'
        raise ImageError(msg)


def _png_size(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[16:20], 'big'), int.from_bytes(data[20:24], 'big')


def _png_is_whole(data: bytes) -> bool:
    """Tell whether the chunks of a PNG follow one another up to its end (PNG, section 5.3)."""
    position = len(PNG_START)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], 'big')
        kind = data[position + 4 : position + 8]
        position += 12 + length
        if kind == b'IEND':
            return position <= len(data)
    return False


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Read the size in the frame header, found as libjpeg finds it; zeros where there is none."""
    position = 2
    while (position := data.find(b'\xff', position)) >= 0:
        while data[position : position + 1] == b'\xff':
            position += 1
        marker = data[position] if position < len(data) else 0
        position += 1
        if not marker or marker in _JPEG_ALONE:
            continue
        if marker in _JPEG_FRAMES:
            size = data[position + 3 : position + 7]
            return int.from_bytes(size[2:], 'big'), int.from_bytes(size[:2], 'big')
        position += int.from_bytes(data[position : position + 2], 'big')
    return 0, 0
