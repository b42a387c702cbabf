# SPDX-License-Identifier: Apache-2.0
"""Names of the codecs, for whoever codes nothing: launch files run without the entropy coder."""

from enum import IntEnum

from mtl_split_core.pictures import PictureFormat


class CodecId(IntEnum):
    """Codec field of a feature message."""

    ENTROPY = 1
    """Quantised by the rate's gains, entropy-coded by its tables."""
    FLOAT16 = 2
    """Half precision, little endian, any rate."""
    LOSSLESS = 3
    """Bit-exact float32: bytes by significance, deflated, any rate."""
    JPEG = 4
    """The letterboxed picture; the rate is an index into PICTURE_QUALITY."""
    WEBP = 5
    """The letterboxed picture; the rate is an index into PICTURE_QUALITY."""


PICTURE_FORMATS: dict[CodecId, PictureFormat] = {CodecId.JPEG: 'jpeg', CodecId.WEBP: 'webp'}
"""The codecs that carry the picture in place of Z_b."""
