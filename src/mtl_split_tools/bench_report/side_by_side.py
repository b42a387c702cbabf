# SPDX-License-Identifier: Apache-2.0
"""A video in two columns: what a car knows through Z_b and through JPEG, and how old that is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.overlay import draw_overlay
from mtl_split_core.results import Detections, FrameResults
from mtl_split_tools.bench_report.looks import Row, color, label, link_name
from mtl_split_tools.bench_report.reading import Shot, shots
from mtl_split_tools.console import kilobytes
from mtl_split_tools.frames import labelled_frames
from mtl_split_tools.link_bench.judge import Results

LINK_MBIT = 1.0
_HEADER, _STRIP, _GAP = 64, 76, 12
_FULL_MS = 1000.0
_FONT = cv2.FONT_HERSHEY_DUPLEX
_WHITE, _DARK, _GRID = (255, 255, 255), (24, 24, 24), (90, 90, 90)
_FRESH, _OLD = (60, 190, 110), (240, 90, 60)

Picture = NDArray[np.uint8]
Ages = Sequence[tuple[Shot | None, float]]


@dataclass(frozen=True, slots=True)
class Column:
    """One half of the video.

    Args:
        row: The measurement.
        seen: For each image the one that the answer at hand belongs to, and its age in ms.
    """

    row: Row
    seen: Ages


def choose_rows(measured: Sequence[Row]) -> tuple[Row, Row] | None:
    """Return the split and the JPEG that serve best over the link; None where one is missing.

    Args:
        measured: Measurements with their images.
    """

    def best(kind: str) -> Row | None:
        rows = [
            row
            for row in measured
            if row['link_mbit'] == LINK_MBIT and row['transport'].startswith(kind)
        ]
        return max(rows, key=lambda row: row['streaming_miou'] or 0.0, default=None)

    split, jpeg = best('split:'), best('jpeg:')
    return None if split is None or jpeg is None else (split, jpeg)


def answers_at_hand(images: Sequence[Shot]) -> Ages:
    """Return what the consumer has of each image's time: at its end, when the next one comes.

    Args:
        images: In their order.

    Returns:
        The image that the newest answer belongs to, and for how long that is over, ms.
    """
    period = (images[-1].at - images[0].at) / max(len(images) - 1, 1)
    found: list[tuple[Shot | None, float]] = []
    for place, image in enumerate(images):
        end = images[place + 1].at if place + 1 < len(images) else image.at + period
        newest = next(
            (
                shot
                for shot in images[place::-1]
                if shot.delay_s is not None and shot.at + shot.delay_s <= end
            ),
            None,
        )
        found.append((newest, 0.0 if newest is None else (end - newest.at) * 1e3))
    return found


def write_side_by_side(
    path: Path, measured: Sequence[Row], bundle: Bundle, answers: Path, deadline_ms: float
) -> bool:
    """Draw the clip twice with the answer at hand, Z_b left and JPEG right.

    The answers are made again by the stages of the nodes: same weights, same bytes, same answer.

    Args:
        path: MP4 file.
        measured: Measurements with their images.
        bundle: What the nodes ran.
        answers: Folder that keeps answers from run to run.
        deadline_ms: An age beyond it is drawn as old.

    Returns:
        Whether there was something to draw.
    """
    rows = choose_rows(measured)
    if rows is None:
        return False
    pictures = list(labelled_frames(None, bundle)[1])
    results = Results(bundle, pictures, answers)
    columns = [Column(row, answers_at_hand(shots(row))) for row in rows]
    turned = [_from_first_picture(column) for column in columns]
    count = min(len(images) for images, _ in turned)

    def drawn() -> Iterator[Picture]:
        for place in range(count):
            halves = []
            for column, (images, seen) in zip(columns, turned, strict=True):
                image, (shot, _) = pictures[images[place].index], seen[place]
                if shot is not None:
                    found = results.of(shot.way)[shot.index]
                    image = draw_overlay(image, _sure(found, bundle), bundle)
                ages = [age if shot else None for shot, age in seen[: place + 1]]
                halves.append(_half(image, column.row, ages, count, deadline_ms))
            gap = np.full((len(halves[0]), _GAP, 3), _DARK, np.uint8)
            yield np.hstack([halves[0], gap, halves[1]])

    times = [shot.at for shot in shots(rows[0])]
    fps = (len(times) - 1) / (times[-1] - times[0])
    _write(path, drawn(), fps)
    return True


def _from_first_picture(column: Column) -> tuple[list[Shot], list[tuple[Shot | None, float]]]:
    """Let a measurement of a clip in a loop begin with its first picture, to compare by eye."""
    images = shots(column.row)
    start = next((place for place, shot in enumerate(images) if shot.index == 0), 0)
    seen = list(column.seen)
    return images[start:] + images[:start], seen[start:] + seen[:start]


def _sure(found: FrameResults, bundle: Bundle) -> FrameResults:
    """Leave out the boxes that only a measurement of accuracy wants."""
    task, boxes = bundle.task(TaskType.DETECTION), found.detections
    if task is None or boxes is None:
        return found
    keep = boxes.scores >= task.score_threshold
    kept = Detections(boxes.boxes[keep], boxes.scores[keep], boxes.class_ids[keep])
    return replace(found, detections=kept)


def _half(
    image: Picture, row: Row, ages: Sequence[float | None], count: int, deadline_ms: float
) -> Picture:
    width = image.shape[1]
    head = np.full((_HEADER, width, 3), _DARK, np.uint8)
    rgb = tuple(int(color(row['transport'])[place : place + 2], 16) for place in (1, 3, 5))
    cv2.rectangle(head, (0, 0), (width, 5), rgb, -1)
    _text(head, label(row['transport']), (8, 30), 0.72)
    sent = f'{kilobytes(row["bytes_app"])} a frame sent over {link_name(row["link_mbit"])}'
    _text(head, sent, (8, 54), 0.46)
    age = ages[-1]
    shade = _OLD if age is None or age > deadline_ms else _FRESH
    said = 'no answer' if age is None else f'{age:.0f} ms old'
    (wide, _), _ = cv2.getTextSize(said, _FONT, 0.72, 1)
    cv2.rectangle(head, (width - wide - 20, 10), (width - 4, 42), shade, -1)
    _text(head, said, (width - wide - 12, 34), 0.72)
    return np.vstack([head, image, _strip(ages, count, width, deadline_ms)])


def _strip(ages: Sequence[float | None], count: int, width: int, deadline_ms: float) -> Picture:
    """Draw the age so far, a bar an image."""
    strip = np.full((_STRIP, width, 3), _DARK, np.uint8)
    room = _STRIP - 22
    for place, age in enumerate(ages):
        height = max(
            1, round(room * min(age if age is not None else _FULL_MS, _FULL_MS) / _FULL_MS)
        )
        left, right = (round(width * end / count) for end in (place, place + 1))
        shade = _OLD if age is None or age > deadline_ms else _FRESH
        corner = (max(left, right - 2), _STRIP - 1)
        cv2.rectangle(strip, (left, _STRIP - height), corner, shade, -1)
    line = _STRIP - round(room * deadline_ms / _FULL_MS)
    cv2.line(strip, (0, line), (width, line), _GRID, 1)
    _text(strip, f'age of the answer; line: {deadline_ms:g} ms, top: 1 s', (8, 15), 0.42)
    return strip


def _text(picture: Picture, text: str, place: tuple[int, int], scale: float) -> None:
    cv2.putText(picture, text, place, _FONT, scale, _WHITE, 1, cv2.LINE_AA)


def _write(path: Path, pictures: Iterator[Picture], fps: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f'.{path.name}.part')
    try:
        with av.open(str(scratch), 'w', format='mp4', options={'movflags': 'faststart'}) as video:
            rate = Fraction(fps).limit_denominator(100)
            stream = video.add_stream('libx264', rate, {'crf': '22', 'preset': 'veryfast'})
            stream.pix_fmt = 'yuv420p'
            for number, picture in enumerate(pictures):
                even = picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2]
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format='rgb24')
                if not number:
                    stream.width, stream.height = frame.width, frame.height
                video.mux(stream.encode(frame))
            video.mux(stream.encode(None))
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
