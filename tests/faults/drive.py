# SPDX-License-Identifier: Apache-2.0
"""A car that drives: real nodes, camera and consumer in the lab, and what must hold at any time.

Bounds are those of the specification, with an allowance (tests/allowance.py) because all processes
of both hosts share one machine, and perhaps a busy one. Where it has nothing else to do, the
figures are within the specification itself.
"""

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.made_profile import point

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.profile import Mode, Profile, ProfilePoint, save_profile
from mtl_split_tools.lab import Answer, Consumer, FrameFate, Lab, Process, Published, Stream
from mtl_split_tools.lab.processes import wait_for

BY_EDGE, BY_SERVER = 1, 2
FALLBACK_S = 0.2
"""From the first missed deadline to the first answer of the edge."""
RETURN_S = 2.0
"""From the return of the server to its first answer."""
GROWTH_MB = 25.0
"""Leaks show as more; the allocator of a process that works for the first time takes some."""
PROFILE = 'made.yaml'
PATIENCE_S = 40.0
_STEADY = 5


def write_made_profile(bundle: Bundle, edge_ms: float, server_ms: float, local_ms: float) -> None:
    """Write figures as a small computer has them, by which sending features is best.

    Args:
        bundle: In a directory of the test.
        edge_ms: What the edge does for a feature map.
        server_ms: What the server does with it.
        local_ms: What the edge does to answer alone.
    """
    best = 0.70
    rates = len(bundle.rates)
    measured = [info.bytes_mean or 300.0 * (rate + 1) for rate, info in enumerate(bundle.rates)]
    qualities = [best - 0.02 * (rates - 1 - rate) for rate in range(rates)]
    points: list[ProfilePoint] = [point(Mode.LOCAL, None, 0, local_ms, 0.0, 0, best - 0.12)]
    points += [
        point(Mode.SPLIT, CodecId.ENTROPY, rate, edge_ms, server_ms, size, quality)
        for rate, (size, quality) in enumerate(zip(measured, qualities, strict=True))
    ]
    profile = Profile(bundle.name, bundle.fingerprint, 'made', 100, tuple(points))
    save_profile(profile, bundle.path / PROFILE)


@dataclass
class Memory:
    """Resident sizes, MB, of a process that has been working for a while."""

    process: Process
    at_first: float


class Drive:
    """The whole system, healthy between two tests.

    Args:
        lab: Empty.
        bundle: For both nodes, with a made profile.
        rate: Images a second.
        deadline_s: From an image to its answer.
    """

    def __init__(self, lab: Lab, bundle: Bundle, rate: float, deadline_s: float) -> None:
        self.lab = lab
        self.deadline_s = deadline_s
        self.bundle = bundle
        self.server = lab.server(wait=False, bundle=bundle.path, threads=1)
        self.edge = self._edge(wait=False)
        self.consumer: Consumer = lab.consumer()
        lab.ready()
        self.camera = lab.camera(rate)
        self._memory: dict[str, Memory] = {}
        self.settle()

    def start_server(self, bundle: Path | None = None) -> float:
        """Start a server in place of one that was killed.

        Args:
            bundle: Another one, perhaps.

        Returns:
            When it was ready, monotonic seconds.
        """
        self.server = self.lab.server(bundle=bundle or self.bundle.path, threads=1)
        return time.monotonic()

    def start_edge(self) -> float:
        """The same for the edge."""
        self.edge = self._edge(wait=True)
        return time.monotonic()

    def settle(self) -> float:
        """Wait until the server answers steadily.

        Returns:
            When it did, monotonic seconds.
        """

        def steady() -> bool:
            outcomes = [fate.outcome for fate in self.consumer.fates(since)]
            return len(outcomes) >= _STEADY and set(outcomes[-_STEADY:]) == {BY_SERVER}

        since = time.monotonic()
        wait_for(steady, 'the server to answer steadily', PATIENCE_S)
        for process in (self.edge, self.server):
            known = self._memory.get(process.name)
            if known is None or known.process is not process:
                self._memory[process.name] = Memory(process, process.rss_mb)
        return time.monotonic()

    def check(self) -> None:
        """What must hold at any time, since the very beginning."""
        assert self.edge.alive, self.edge.log
        assert self.server.alive, self.server.log
        for topic in ('detections', 'classification'):
            stream = self.stream(topic)
            assert stream.orderly, (topic, stream.describe())
        for name, memory in self._memory.items():
            if memory.process.alive:
                assert memory.process.rss_mb - memory.at_first < GROWTH_MB, name

    def stream(self, topic: str = 'detections') -> Stream:
        """All answers so far, assigned to the images."""
        # the answers first: each belongs to an image that is written down already
        answers = self.consumer.answers(topic)
        return Stream(self.camera.published(), answers)

    def pairs(self, since: float, until: float = float('inf')) -> list[tuple[Published, Answer]]:
        """Images that were published within a time and are answered, with their answers."""
        return [
            (image, answer)
            for image, answer in self.stream().pairs
            if answer and since <= image.at < until
        ]

    def by(self, outcome: int, since: float) -> list[FrameFate]:
        """What became of the images in one way, since a moment."""
        return [fate for fate in self.consumer.fates(since) if fate.outcome == outcome]

    def wait_for_answer_by(self, outcome: int, since: float) -> float:
        """Wait for an answer to an image that was published after a moment.

        Returns:
            Seconds from that moment to the arrival of the answer.
        """
        found: list[float] = []

        def arrived() -> bool:
            stamps = {fate.stamp for fate in self.by(outcome, since)}
            found[:] = [a.at for image, a in self.pairs(since) if image.stamp in stamps]
            return bool(found)

        who = {BY_EDGE: 'edge', BY_SERVER: 'server'}[outcome]
        wait_for(arrived, f'an answer by the {who}', PATIENCE_S)
        return found[0] - since

    def fallback_s(self, since: float) -> float:
        """Return the time from the first deadline missed after a moment to the edge's answer."""
        self.wait_for_answer_by(BY_EDGE, since)
        here = {fate.stamp for fate in self.by(BY_EDGE, since)}
        missed: float | None = None
        for image, answer in self.stream().pairs:
            due = image.at + self.deadline_s
            if due < since:
                continue
            if answer and image.stamp in here and answer.at >= since:
                return answer.at - missed if missed else 0.0
            if missed is None and (answer is None or answer.at > due):
                missed = due
        msg = 'the edge did not answer'
        raise AssertionError(msg)

    def longest_gap_s(self, since: float, until: float) -> float:
        """Return the longest time without an answer within a time."""
        arrived = [answer.at for answer in self.consumer.answers() if since <= answer.at <= until]
        moments = [since, *arrived, until]
        return max(later - earlier for earlier, later in pairwise(moments))

    def wait_for_finding(self, name: str, text: str, since: float, level: int = 1) -> None:
        """Wait until the diagnostics name a cause, at least so gravely."""
        wait_for(
            lambda: any(
                text in finding.message and finding.level >= level
                for finding in self.consumer.findings(name, since)
            ),
            f'{text!r} in the diagnostics {name}',
            PATIENCE_S,
        )

    def wait_for_link_trouble(self, since: float) -> None:
        """Wait until the diagnostics say that frames do not get through."""
        causes = {
            'edge: link': 'the link loses packets or is slower than the stream',
            'edge: answers': 'has shown no sign of the frames sent',
        }
        wait_for(
            lambda: any(
                text in finding.message and finding.level
                for name, text in causes.items()
                for finding in self.consumer.findings(name, since)
            ),
            'frames that do not get through, in the diagnostics',
            PATIENCE_S,
        )

    def lost(self) -> int:
        """Return how many frames did not arrive so far, by the newest diagnostics."""
        found = self.consumer.findings('edge: link')
        return int(found[-1].values['lost total']) if found else 0

    def _edge(self, *, wait: bool) -> Process:
        return self.lab.edge(
            wait=wait,
            bundle=self.bundle.path,
            profile=PROFILE,
            mode='auto',
            deadline_ms=self.deadline_s * 1e3,
        )
