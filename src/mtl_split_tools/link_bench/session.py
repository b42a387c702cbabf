# SPDX-License-Identifier: Apache-2.0
"""A lab in which one measurement after another is made with the same nodes."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from mtl_split_core.bundle import Bundle
from mtl_split_edge.modes import AUTO
from mtl_split_tools.lab import Answer, Finding, Lab, Process, Published, Traffic
from mtl_split_tools.lab.processes import wait_for
from mtl_split_tools.link_bench.frames import Frame, Measured, count_disorder, match_frames
from mtl_split_tools.link_bench.plan import Cell, edge_settings, trace_steps
from mtl_split_tools.simulation.trace import Trace

RATE_HZ = 15.0
TOPICS = ('detections', 'classification')
"""What must be there for an image to be answered: what is small enough to travel back."""
SETTLE_S = 2.5
"""From the change of a link or a way to the measurement; images of that time do not count."""
CLIMB_S = 6.0
"""The same for mode auto, which climbs rate by rate; what a change costs it, a trace shows."""
DRAIN_S = 1.0
"""Behind a measurement: for answers that are late."""
KEPT_S = 1.0
"""Before a measurement: answers that the consumer may still have."""
RETURN_S = 4.0
"""Behind a cut: for the server to answer again."""
_START_S = 30.0
_FIRST_ANSWERS = 10

_SIDES = {'edge: features': 'edge', 'server: results': 'server'}
"""By the status that tells the stages."""
_MEDIAN, _FRAMES = ' ms p50', ' frames'
WINDOW = 128
"""Frames in the windows of the nodes."""


@dataclass(frozen=True, slots=True)
class _Marks:
    at: float
    traffic: Traffic
    edge_cpu_s: float
    server_cpu_s: float


class Session:
    """Camera, edge, server and a consumer on the edge's side; use it as a context manager.

    Args:
        bundle: What the nodes run.
        folder: Gets logs and reports.
        deadline_s: Time of an image, seconds.
        loopback: Without a link, see Lab.
        environment: Added to that of the processes.

    Raises:
        LabError: This machine gives no rights to one.
    """

    def __init__(
        self,
        bundle: Bundle,
        folder: Path,
        deadline_s: float,
        *,
        loopback: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._bundle = bundle
        self._deadline_s = deadline_s
        self._changed = time.monotonic()
        self._lab = Lab(folder, environment, loopback=loopback)
        try:
            self._server, self._edge = self._start()
            self._consumer = self._lab.consumer()
            self._camera = self._lab.camera(rate=RATE_HZ)
            self._consumer.wait_for_answers(_FIRST_ANSWERS, timeout_s=_START_S)
        except BaseException:
            self._lab.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lab.close()

    def _start(self) -> tuple[Process, Process]:
        """Start the two sides, the server first."""
        bundle, deadline_ms = self._bundle.path, self._deadline_s * 1e3
        server = self._lab.server(bundle=bundle)
        return server, self._lab.edge(bundle=bundle, deadline_ms=deadline_ms)

    def measure(self, cell: Cell, images: int) -> Measured:
        """Measure a way over a link.

        Args:
            cell: Way and link.
            images: How many images count.
        """
        condition = cell.condition
        self._prepare(cell.way)
        self._changed = time.monotonic()
        self._lab.link.shape(condition.up_mbit, condition.down_mbit)
        time.sleep(CLIMB_S if cell.way == AUTO else SETTLE_S)
        if condition.cut:
            self._lab.link.cut()
        before = self._marks()
        self._wait_for_images(before.at, images)
        after = self._marks()
        restored = None
        if condition.cut:
            self._lab.link.restore()
            restored = time.monotonic()
            time.sleep(RETURN_S)
        time.sleep(DRAIN_S)
        measured = self._measured(condition.name, cell.way, before, after)
        frames = measured.frames[:images]
        if restored is None:
            return replace(measured, frames=frames)
        behind = self._frames(restored, time.monotonic() - DRAIN_S)
        return replace(measured, frames=frames, restored=restored, after=behind)

    def play(self, trace: Trace, way: str, on_second: Callable[[float], object]) -> Measured:
        """Measure a way over a link that follows a trace, both directions alike.

        Args:
            trace: The trace.
            way: The way.
            on_second: Called with the seconds played.
        """
        steps = trace_steps(trace)
        self._prepare(way)
        self._changed = time.monotonic()
        self._set(steps[0][1])
        time.sleep(CLIMB_S if way == AUTO else SETTLE_S)
        before = self._marks()
        for moment, mbit in steps[1:]:
            self._sleep_until(before.at, moment, on_second)
            self._set(mbit)
        self._sleep_until(before.at, trace.seconds, on_second)
        after = self._marks()
        self._lab.link.restore()
        time.sleep(DRAIN_S)
        return self._measured(trace.name, way, before, after)

    def _sleep_until(
        self, begin: float, moment: float, on_second: Callable[[float], object]
    ) -> None:
        while (left := begin + moment - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            on_second(time.monotonic() - begin)

    def _set(self, mbit: float) -> None:
        if mbit > 0:
            self._lab.link.shape(mbit, mbit)
            self._lab.link.restore()
        else:
            self._lab.link.cut()

    def _prepare(self, way: str) -> None:
        """Let what the last measurement left in the queues go, and change the way."""
        self._lab.link.restore()
        self._lab.link.shape(None, None)
        self._consumer.set('edge', **edge_settings(way, self._bundle))

    def _marks(self) -> _Marks:
        now = time.monotonic()
        return _Marks(now, self._lab.link.traffic(), self._edge.cpu_s, self._server.cpu_s)

    def _wait_for_images(self, since: float, count: int) -> None:
        time.sleep(count / RATE_HZ)
        limit_s = 5.0 + count / RATE_HZ
        wait_for(lambda: len(self._camera.published(since)) >= count, f'{count} images', limit_s)

    def _measured(self, link: str, way: str, before: _Marks, after: _Marks) -> Measured:
        spent = after.traffic.since(before.traffic)
        return Measured(
            link,
            way,
            self._frames(before.at, after.at),
            self._frames(before.at - KEPT_S, before.at),
            before.at,
            spent.up_bytes,
            spent.down_bytes,
            after.edge_cpu_s - before.edge_cpu_s,
            after.server_cpu_s - before.server_cpu_s,
            self._edge.rss_mb,
            self._server.rss_mb,
            self._stages(after.at),
            sum(count_disorder(*self._stream(before.at, after.at))),
        )

    def _frames(self, begin: float, end: float) -> list[Frame]:
        published, topics = self._stream(begin, end)
        frames = match_frames(published, topics, self._consumer.fates(begin))
        return [self._named(*pair) for pair in zip(published, frames, strict=True)]

    def _named(self, image: Published, frame: Frame) -> Frame:  # noqa: ARG002
        """Return a frame with the way by which its answer is known."""
        return frame

    def _stream(self, begin: float, end: float) -> tuple[list[Published], list[list[Answer]]]:
        published = [image for image in self._camera.published(begin) if image.at < end]
        return published, [self._consumer.answers(topic, begin) for topic in TOPICS]

    def _stages(self, end: float) -> dict[str, float]:
        """Return the medians that the nodes tell: their windows end with the measurement."""
        found: dict[str, float] = {}
        for name, side in _SIDES.items():
            told = self._consumer.findings(name, self._changed)
            found |= own_stages([f for f in told if f.at <= end + DRAIN_S], side)
        return found


def own_stages(told: Sequence[Finding], side: str) -> dict[str, float]:
    """Return the medians of a node's stages, where most of the window is of one measurement.

    A way that a node has no part in, and a link that lets little through, leave in the windows what
    was before them. So does a way without one of the stages, as the split has no encoder on the
    server.

    Args:
        told: What the node said from the change of way or link to the end, in that order.
        side: For the names.
    """
    found = {}
    if told:
        first, last = told[0].values, told[-1].values
        for stage in (key.removesuffix(_MEDIAN) for key in last if key.endswith(_MEDIAN)):
            total, before = (int(said.get(stage + _FRAMES, 0)) for said in (last, first))
            if 2 * (total - before) > min(total, WINDOW):
                found[f'{side} {stage}'] = float(last[stage + _MEDIAN])
    return found
