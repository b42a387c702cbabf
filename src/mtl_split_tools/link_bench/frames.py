# SPDX-License-Identifier: Apache-2.0
"""The images of one measurement: when each was answered, by whom, and at what cost."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mtl_split_edge.fates import Outcome
from mtl_split_tools.lab import Answer, FrameFate, Published, Stream


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of the camera.

    Args:
        at: When it was published, monotonic seconds.
        index: Its picture in the clip, from 0.
        delay_s: Until the last of its results was at the consumer, seconds; None: not answered.
        way: How it was answered or sent, '' if neither.
        outcome: What the edge says became of it; None where it said nothing.
        reason: Why, in the edge's words.
        bytes: Payload sent for it.
    """

    at: float
    index: int
    delay_s: float | None
    way: str = ''
    outcome: Outcome | None = None
    reason: str = ''
    bytes: int = 0

    def in_time(self, deadline_s: float) -> bool:
        """Return whether all of its results were there in time."""
        return self.delay_s is not None and self.delay_s <= deadline_s


@dataclass(frozen=True, slots=True)
class Measured:
    """One way over one link.

    Args:
        link: Name of the link or trace.
        way: Name of the way.
        frames: Images of the measurement.
        before: Images of the seconds before it, whose answers the consumer still has.
        begin: When it began, monotonic seconds.
        bytes_up: Ethernet bytes from edge to server.
        bytes_down: Ethernet bytes from server to edge.
        edge_cpu_s: Processor time of the edge.
        server_cpu_s: Processor time of the server.
        edge_rss_mb: Memory of the edge at the end.
        server_rss_mb: Memory of the server at the end.
        stages_ms: Medians of the stages, from the diagnostics.
        disorder: Answers that came twice, or after one to a later image.
        restored: When a link that was cut was there again, monotonic seconds.
        after: Images from then on.
    """

    link: str
    way: str
    frames: Sequence[Frame]
    before: Sequence[Frame]
    begin: float
    bytes_up: int
    bytes_down: int
    edge_cpu_s: float
    server_cpu_s: float
    edge_rss_mb: float
    server_rss_mb: float
    stages_ms: dict[str, float] = field(default_factory=dict)
    disorder: int = 0
    restored: float | None = None
    after: Sequence[Frame] = ()


def count_disorder(
    published: Sequence[Published], topics: Sequence[Sequence[Answer]]
) -> tuple[int, int]:
    """Count, over all topics, answers that came twice and answers after one to a later image."""
    streams = [Stream(published, answers) for answers in topics]
    twice = sum(len(stream.duplicates) for stream in streams)
    return twice, sum(len(stream.out_of_order) for stream in streams)


def match_frames(
    published: Sequence[Published], topics: Sequence[Sequence[Answer]], fates: Sequence[FrameFate]
) -> list[Frame]:
    """Put together what camera, consumer and edge wrote down.

    Args:
        published: Images in the order of time, stamps unique.
        topics: Answers of each topic; an image is answered when it has one of each.
        fates: What the edge said of them.
    """
    said = {fate.stamp: fate for fate in fates}
    arrivals = [[answer for _, answer in Stream(published, answers).pairs] for answers in topics]
    frames = []
    for image, *answers in zip(published, *arrivals, strict=True):
        moments = [answer.at for answer in answers if answer]
        delay_s = max(moments) - image.at if len(moments) == len(topics) else None
        if fate := said.get(image.stamp):
            known = (fate.way, Outcome(fate.outcome), fate.reason, fate.bytes)
            frames.append(Frame(image.at, image.index, delay_s, *known))
        else:
            frames.append(Frame(image.at, image.index, delay_s))
    return frames
