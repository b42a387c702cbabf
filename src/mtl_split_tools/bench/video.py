# SPDX-License-Identifier: Apache-2.0
"""H.264 and H.265 for a live stream: one packet in, one picture out, a key picture every second.

Settings as ffmpeg_image_transport recommends them where delay counts: no B frames, no look-ahead.
"""

from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

CODECS = {'h264': ('libx264', 'h264'), 'h265': ('libx265', 'hevc')}
"""Names of encoder and decoder in FFmpeg."""
_PRESET = 'veryfast'


class VideoEncoder:
    """Encodes pictures of one size.

    Args:
        codec: One of CODECS.
        quality: Constant rate factor, 0 (best) to 51.
        width: Of the pictures, even.
        height: Of the pictures, even.
        fps: Pictures a second, and pictures from key to key.
    """

    def __init__(self, codec: str, quality: int, width: int, height: int, fps: int) -> None:
        context = av.VideoCodecContext.create(CODECS[codec][0], 'w')
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = width, height, 'yuv420p'
        context.time_base, context.framerate = Fraction(1, fps), Fraction(fps)
        context.gop_size, context.max_b_frames, context.thread_count = fps, 0, 1
        context.options = {'preset': _PRESET, 'tune': 'zerolatency', 'crf': str(quality)}
        if codec == 'h265':
            # it counts key pictures and threads by itself, and prints to the terminal
            quiet = 'log-level=none:pools=1:frame-threads=1'
            context.options |= {'x265-params': f'keyint={fps}:min-keyint={fps}:{quiet}'}
        self._context = context
        self._count = 0

    def encode(self, picture: NDArray[np.uint8]) -> bytes:
        """Encode a picture, RGB uint8 [H, W, 3], as an Annex B byte stream."""
        frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
        frame.pts = self._count
        self._count += 1
        return b''.join(bytes(packet) for packet in self._context.encode(frame))


class VideoDecoder:
    """Decodes the packets of a VideoEncoder.

    Args:
        codec: One of CODECS.
    """

    def __init__(self, codec: str) -> None:
        context = av.VideoCodecContext.create(CODECS[codec][1], 'r')
        assert isinstance(context, av.VideoCodecContext)
        self._context = context
        self._context.thread_count = 1
        self._context.flags |= Flags.low_delay

    def decode(self, data: bytes) -> NDArray[np.uint8] | None:
        """Decode a packet.

        Returns:
            The newest picture, RGB uint8 [H, W, 3]; None where it gives none, as before the first
            key picture.
        """
        try:
            frames = self._context.decode(av.Packet(data))
        except av.error.InvalidDataError:
            return None
        if not frames:
            return None
        return np.asarray(frames[-1].to_ndarray(format='rgb24'), np.uint8)
