# SPDX-License-Identifier: Apache-2.0
"""The results drawn over the clip: one telling frame, and a video that plays everywhere."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.overlay import draw_overlay
from mtl_split_core.results import FrameResults
from mtl_split_tools.demo.clip import Clip, Stamp
from mtl_split_tools.demo.recorded import RecordedResults
from mtl_split_tools.files import write_picture


def telling_frame(results: RecordedResults) -> Stamp:
    """Return the frame with most kinds of objects, and of these the one that is surest of them."""

    def worth(found: FrameResults | None) -> tuple[int, float]:
        if found is None or found.detections is None:
            return 0, 0.0
        scores = found.detections.scores
        kinds = len(set(found.detections.class_ids.tolist()))
        return kinds, float(scores.mean()) if kinds else 0.0

    return max(results.stamps, key=lambda stamp: worth(results.get(stamp)))


def write_overlay(path: Path, clip: Clip, results: RecordedResults) -> None:
    """Draw the most telling frame."""
    stamp = telling_frame(results)
    for at, picture in clip.pictures():
        found = results.get(at)
        if at == stamp and found is not None:
            write_picture(path, draw_overlay(picture, found, results.bundle))
            return


def write_video(path: Path, clip: Clip, results: RecordedResults) -> Iterator[None]:
    """Draw the whole clip as H.264; frames without an answer stay plain.

    The file is complete also when the iterator is dropped half-way: it then ends there.

    Args:
        path: The file.
        clip: The pictures.
        results: The answers.

    Yields:
        After each picture.
    """

    def drawn() -> Iterator[NDArray[np.uint8]]:
        for at, picture in clip.pictures():
            found = results.get(at)
            yield draw_overlay(picture, found, results.bundle) if found else picture

    return encode_video(path, drawn(), clip.fps)


def encode_video(path: Path, pictures: Iterable[NDArray[np.uint8]], fps: float) -> Iterator[None]:
    """Write pictures of one size, RGB uint8 [H, W, 3], as H.264; see `write_video`."""
    scratch = path.with_name(f'.{path.name}.part')
    frames = 0
    try:
        with av.open(str(scratch), 'w', format='mp4', options={'movflags': 'faststart'}) as video:
            rate = Fraction(fps).limit_denominator(1001)
            stream = video.add_stream('libx264', rate, {'crf': '20', 'preset': 'veryfast'})
            stream.pix_fmt = 'yuv420p'
            try:
                for picture in pictures:
                    frame = av.VideoFrame.from_ndarray(_even(picture), format='rgb24')
                    if not frames:
                        stream.width, stream.height = frame.width, frame.height
                    video.mux(stream.encode(frame))
                    frames += 1
                    yield
            finally:
                if frames:
                    video.mux(stream.encode(None))
        if frames:
            scratch.replace(path)
    finally:
        if frames and scratch.exists():  # interrupted: what was drawn is a video by now
            scratch.replace(path)
        scratch.unlink(missing_ok=True)


def _even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row or column where needed: yuv420p has even sizes."""
    height, width = picture.shape[:2]
    if not (height % 2 or width % 2):
        return picture
    border = (0, height % 2, 0, width % 2)
    return np.asarray(cv2.copyMakeBorder(picture, *border, cv2.BORDER_REPLICATE), np.uint8)
