# SPDX-License-Identifier: Apache-2.0
"""The camera, the edge, the link and the server of a simulated drive, event by event."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from mtl_split_core.profile import Mode, ProfilePoint
from mtl_split_edge.decision import Decision
from mtl_split_edge.link import Report
from mtl_split_edge.link_estimate import PACKET_BYTES
from mtl_split_server.link_accounting import LinkAccounting
from mtl_split_tools.simulation.trace import Trace

_CAMERA = 'camera'


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is the same for all who drive.

    Args:
        trace: Bandwidth from the edge to the server; where it is 0 nothing comes back either.
        fingerprint: Of the bundle.
        deadline_s: From image to answer, seconds.
        fps: Images per second.
        delay_s: One way, seconds.
        jitter_s: Standard deviation of the way there, seconds.
        loss: Share of lost packets, 0 to 1.
        report_hz: Link reports per second while nothing is answered.
        seed: Of sizes, jitter and loss.
    """

    trace: Trace
    fingerprint: int
    deadline_s: float = 0.15
    fps: float = 15.0
    delay_s: float = 0.01
    jitter_s: float = 0.002
    loss: float = 0.0
    report_hz: float = 10.0
    seed: int = 0

    @property
    def frames(self) -> int:
        """Images of one round of the trace."""
        return int(self.trace.seconds * self.fps)

    def at(self, frame: int) -> float:
        """Return when an image arrives, seconds."""
        return frame / self.fps


@dataclass(slots=True)
class Frame:
    """What became of an image.

    Args:
        at: When it arrived, seconds.
        point: How it was answered, or was to be; None if dropped.
        delay_s: Until its answer, None without one.
        fate: `answered`, `lost`, or why it was dropped.
        sent: Bytes.
    """

    at: float
    point: ProfilePoint | None = None
    delay_s: float | None = None
    fate: str = 'lost'
    sent: int = 0


class Driver(Protocol):
    """Who decides on the edge."""

    def decide(self, age_s: float, now: float) -> Decision:
        """Decide about the frame that is next."""

    def sent(self, sequence: int, size: int, point: ProfilePoint, now: float) -> None:
        """Learn that a frame goes out."""

    def reported(self, report: Report, now: float) -> None:
        """Learn from a link report."""


class Chance:
    """Sizes, jitter and loss of each frame, the same whoever drives.

    Args:
        world: The world.
    """

    def __init__(self, world: World) -> None:
        random = np.random.default_rng(world.seed)
        self._sizes = random.standard_normal(world.frames).tolist()
        self._jitter = np.abs(random.normal(0, world.jitter_s, world.frames)).tolist()
        self._luck = random.random(world.frames).tolist()
        self._loss = world.loss

    def size(self, frame: int, point: ProfilePoint) -> int:
        """Return the bytes of a frame."""
        spread = (point.bytes_p95 - point.bytes_mean) / 1.645
        size = point.bytes_mean + spread * self._sizes[frame]
        return round(float(min(max(size, point.bytes_mean / 2), point.bytes_max)))

    def jitter_s(self, frame: int) -> float:
        """Return what a frame takes longer than it should, seconds."""
        return float(self._jitter[frame])

    def lost(self, frame: int, size: int) -> bool:
        """Return whether a frame gets lost on the way."""
        arrives = (1 - self._loss) ** -(-size // PACKET_BYTES)
        return bool(self._luck[frame] > arrives)


class Drive:
    """One round of the trace with one driver.

    Args:
        world: The world.
        driver: Decides.
    """

    def __init__(self, world: World, driver: Driver) -> None:
        self._world = world
        self._driver = driver
        self._chance = Chance(world)
        self._frames = [Frame(world.at(number)) for number in range(world.frames)]
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._now = 0.0
        self._waiting: int | None = None
        self._edge_busy = self._link_busy = self._server_busy = False
        self._writer: tuple[int, int, ProfilePoint] | None = None
        self._server_slot: tuple[int, ProfilePoint] | None = None
        self._sequence = 0
        self._busy_s = self._reported = 0.0
        self._accounting = LinkAccounting(0.0)

    def run(self) -> list[Frame]:
        """Drive to the end of the trace.

        Returns:
            The frames, in the order of the camera.
        """
        world = self._world
        for number in range(world.frames):
            self._at(world.at(number), partial(self._camera, number))
        for number in range(1, int(world.trace.seconds * world.report_hz)):
            self._at(number / world.report_hz, self._report_in_time)
        end = world.trace.seconds + world.deadline_s
        while self._events and self._events[0][0] <= end:
            self._now, _, action = heapq.heappop(self._events)
            action()
        return self._frames

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), action))

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._at(self._now + seconds, action)

    def _camera(self, number: int) -> None:
        if self._waiting is not None:
            self._frames[self._waiting].fate = 'replaced'
        self._waiting = number
        self._work()

    def _work(self) -> None:
        if self._edge_busy or self._waiting is None:
            return
        number, self._waiting = self._waiting, None
        frame = self._frames[number]
        decision = self._driver.decide(self._now - frame.at, self._now)
        point = decision.point
        if point is None:
            frame.fate = str(decision.reason)
            return
        frame.point, self._edge_busy = point, True
        busy_s = point.edge_ms / 1e3
        if point.mode is Mode.LOCAL:
            self._after(busy_s, lambda: self._answer(number))
            if probe := decision.probe:
                busy_s += probe.edge_ms / 1e3
                self._after(busy_s, lambda: self._send(number, probe))
        else:
            self._after(busy_s, lambda: self._send(number, point))
        self._after(busy_s, self._idle)

    def _idle(self) -> None:
        self._edge_busy = False
        self._work()

    def _send(self, number: int, point: ProfilePoint) -> None:
        size = self._chance.size(number, point)
        self._frames[number].sent += size
        self._driver.sent(self._sequence, size, point, self._now)
        # The writer keeps the newest frame alone.
        self._writer = (number, self._sequence, point)
        self._sequence += 1
        self._transmit()

    def _transmit(self) -> None:
        if self._link_busy or self._writer is None:
            return
        number, sequence, point = self._writer
        self._writer, self._link_busy = None, True
        size = self._chance.size(number, point)
        done = self._world.trace.finish(self._now, size)
        self._at(done, self._link_idle)
        if not self._chance.lost(number, size):
            way_s = self._world.delay_s + self._chance.jitter_s(number)
            self._at(done + way_s, lambda: self._arrive(number, sequence, size, point))

    def _link_idle(self) -> None:
        self._link_busy = False
        self._transmit()

    def _arrive(self, number: int, sequence: int, size: int, point: ProfilePoint) -> None:
        self._accounting.arrived(_CAMERA, sequence, size, self._now)
        self._server_slot = (number, point)
        self._serve()

    def _serve(self) -> None:
        if self._server_busy or self._server_slot is None:
            return
        (number, point), self._server_slot = self._server_slot, None
        self._server_busy = True
        service_s = point.server_ms / 1e3

        def done() -> None:
            self._server_busy = False
            self._busy_s += service_s
            self._accounting.answered(_CAMERA, number, service_s)
            if self._up():
                self._after(self._world.delay_s, lambda: self._answer(number))
            self._report()
            self._serve()

        self._after(service_s, done)

    def _answer(self, number: int) -> None:
        frame = self._frames[number]
        if frame.delay_s is None:
            frame.delay_s, frame.fate = self._now - frame.at, 'answered'

    def _report_in_time(self) -> None:
        # as the server does: a report follows each answer, and others fill what is left open
        if self._now - self._reported > 0.75 / self._world.report_hz:
            self._report()

    def _report(self) -> None:
        self._reported = self._now
        figures = self._accounting.close_interval(self._busy_s, self._now)
        report = Report(
            fingerprint=self._world.fingerprint,
            session=1,
            interval=figures.interval,
            received=figures.received,
            lost=figures.lost,
            refused=figures.refused,
            answered=figures.answered,
            goodput=figures.goodput,
            last_sequence=figures.last_sequence,
            hold_s=figures.hold_us / 1e6,
            service_s=figures.service_us / 1e6,
            busy_fraction=figures.busy_fraction,
            refusal=figures.refusal,
        )
        if self._up():
            arrival = self._now + self._world.delay_s
            self._at(arrival, lambda: self._driver.reported(report, arrival))

    def _up(self) -> bool:
        return self._world.trace.mbit(self._now) > 0
