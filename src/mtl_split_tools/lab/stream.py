# SPDX-License-Identifier: Apache-2.0
"""What came of the images of a camera at one consumer: delays, duplicates, disorder."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Published:
    """An image of the camera.

    Args:
        stamp: Seconds and nanoseconds of its header.
        at: When it went out, monotonic seconds.
        index: Which picture of the clip it shows, from 0.
        good: Whether it can be decoded.
    """

    stamp: Stamp
    at: float
    index: int
    good: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A result that arrived: stamp of its header, and when, monotonic seconds."""

    stamp: Stamp
    at: float


@dataclass(frozen=True, slots=True)
class FrameFate:
    """A message on `frame_status`; fields as there, `at` is when it arrived."""

    stamp: Stamp
    at: float
    outcome: int
    mode: str
    way: str
    reason: str
    bytes: int
    expected_ms: float
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One status in the diagnostics; `at` is when it arrived."""

    at: float
    name: str
    level: int
    message: str
    values: dict[str, str]


class Stream:
    """Answers assigned to images.

    Each answer belongs to the next image with its stamp; so a clip whose stamps repeat is judged
    rightly, too: the answers are in order if they are a subsequence of the images.

    Args:
        published: In the order of time.
        answers: One topic's, in the order of arrival.

    Attributes:
        pairs: Each image, and its answer if it has one.
        duplicates: Answers to an image that has one.
        out_of_order: Answers to an image before one that is answered.
        strangers: Answers whose stamp no image has.
    """

    def __init__(self, published: Sequence[Published], answers: Sequence[Answer]) -> None:
        places: dict[Stamp, list[int]] = {}
        for number, image in enumerate(published):
            places.setdefault(image.stamp, []).append(number)
        found: dict[int, Answer] = {}
        self.duplicates: list[Answer] = []
        self.out_of_order: list[Answer] = []
        self.strangers: list[Answer] = []
        following = 0
        for answer in answers:
            candidates = places.get(answer.stamp, [])
            place = bisect_left(candidates, following)
            if place < len(candidates) and published[candidates[place]].at <= answer.at:
                found[candidates[place]] = answer
                following = candidates[place] + 1
            elif not candidates:
                self.strangers.append(answer)
            elif any(candidate in found for candidate in candidates):
                self.duplicates.append(answer)
            else:
                self.out_of_order.append(answer)
        self.pairs = [(image, found.get(number)) for number, image in enumerate(published)]

    @property
    def orderly(self) -> bool:
        """Whether no answer came twice, late behind another, or from nowhere."""
        return not (self.duplicates or self.out_of_order or self.strangers)

    def delays_s(self) -> list[float]:
        """Return the time from image to answer of the images that have one."""
        return [answer.at - image.at for image, answer in self.pairs if answer]

    def in_time(self, deadline_s: float) -> float:
        """Return the share of the good images answered within a time, 0 to 1; 1 without images."""
        good = [(image, answer) for image, answer in self.pairs if image.good]
        made = [1 for image, answer in good if answer and answer.at - image.at <= deadline_s]
        return len(made) / len(good) if good else 1.0

    def describe(self) -> dict[str, Any]:
        """Return the counts, for messages and reports."""
        return {
            'published': len(self.pairs),
            'answered': len(self.delays_s()),
            'duplicates': len(self.duplicates),
            'out_of_order': len(self.out_of_order),
            'strangers': len(self.strangers),
        }
