# SPDX-License-Identifier: Apache-2.0
"""The drive itself: the nodes in their lab, the faults, and samples of their memory."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mtl_split_core.bundle import Bundle
from mtl_split_tools.lab import Lab, Process
from mtl_split_tools.link_bench.frames import Frame, count_disorder, match_frames
from mtl_split_tools.link_bench.session import DRAIN_S, RATE_HZ, TOPICS
from mtl_split_tools.soak.faults import FAST_MBIT, Fault, Kind

SAMPLE_S = 1.0
WARM_UP_S = 5.0
"""Before the drive: mode auto climbs from its lowest rate."""
_HEIGHT = 3 / 4
_FIRST_ANSWERS = 10


@dataclass(slots=True)
class Memory:
    """Resident size of a node over time, MB; None while it is not running."""

    seconds: list[float] = field(default_factory=list)
    mb: list[float | None] = field(default_factory=list)

    def add(self, at: float, process: Process) -> None:
        """Take a sample."""
        self.seconds.append(round(at, 1))
        self.mb.append(round(process.rss_mb, 1) if process.alive else None)


@dataclass(frozen=True, slots=True)
class Drive:
    """What came of a drive.

    Args:
        begin: When it began, monotonic seconds.
        frames: Images of the camera.
        duplicates: Answers to an image that had one, over all topics.
        out_of_order: Answers after one to a later image, over all topics.
        edge: Memory of the edge.
        server: Memory of the server.
        edge_alive: Whether the edge, which nobody kills, lived to the end.
    """

    begin: float
    frames: Sequence[Frame]
    duplicates: int
    out_of_order: int
    edge: Memory
    server: Memory
    edge_alive: bool


def drive(
    bundle: Bundle,
    folder: Path,
    seconds: float,
    faults: Sequence[Fault],
    deadline_s: float,
    on_sample: Callable[[float, str], object],
) -> Drive:
    """Drive.

    Args:
        bundle: What the nodes run.
        folder: Gets logs and reports.
        seconds: Length.
        faults: In the order of time, none begins before the one before it is over.
        deadline_s: Time of an image, seconds.
        on_sample: Called every second with the seconds driven and the fault that is on.

    Raises:
        LabError: This machine gives no rights to it, or the edge died.
    """
    with Lab(folder) as lab:
        server = lab.server(bundle=bundle.path)
        edge = lab.edge(bundle=bundle.path, mode='auto', deadline_ms=deadline_s * 1e3)
        consumer = lab.consumer()
        camera = lab.camera(rate=RATE_HZ)
        lab.link.shape(FAST_MBIT, FAST_MBIT)
        consumer.wait_for_answers(_FIRST_ANSWERS)
        time.sleep(WARM_UP_S)
        memories = Memory(), Memory()
        begin = time.monotonic()

        def sleep_until(moment: float, doing: str) -> None:
            while (left := begin + moment - time.monotonic()) > 0:
                time.sleep(min(left, SAMPLE_S))
                at = time.monotonic() - begin
                memories[0].add(at, edge)
                memories[1].add(at, server)
                on_sample(at, doing)

        for fault in faults:
            sleep_until(fault.at, 'no fault')
            match fault.kind:
                case Kind.KILL:
                    server.kill()
                case Kind.STALL:
                    server.stall()
                case Kind.CUT:
                    lab.link.cut()
                case Kind.SLOW:
                    lab.link.shape(fault.value, fault.value)
                case Kind.LOSS:
                    lab.link.lose(fault.value)
                case Kind.STILL:
                    camera.say('rate 0')
                case Kind.SIZE:
                    camera.say(f'size {fault.value:.0f} {fault.value * _HEIGHT:.0f}')
            sleep_until(fault.end, fault.text)
            match fault.kind:
                case Kind.KILL:
                    server = lab.server(bundle=bundle.path, wait=False)
                case Kind.STALL:
                    server.go_on()
                case Kind.CUT:
                    lab.link.restore()
                case Kind.SLOW:
                    lab.link.shape(FAST_MBIT, FAST_MBIT)
                case Kind.LOSS:
                    lab.link.lose(0.0)
                case Kind.STILL:
                    camera.say(f'rate {RATE_HZ:g}')
                case Kind.SIZE:
                    camera.say('size')
        sleep_until(seconds, 'no fault')
        end = time.monotonic()
        time.sleep(DRAIN_S)
        published = [image for image in camera.published(begin) if image.at < end]
        topics = [consumer.answers(topic, begin) for topic in TOPICS]
        frames = match_frames(published, topics, consumer.fates(begin))
        disorder = count_disorder(published, topics)
        return Drive(begin, frames, *disorder, *memories, edge.alive)
