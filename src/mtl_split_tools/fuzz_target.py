# SPDX-License-Identifier: Apache-2.0
"""What reads the wire, in a process of its own, so that a crash of native code is seen too."""

import os
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from random import Random

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.codecs import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import PacketError
from mtl_split_core.packet import FeaturePacket
from mtl_split_core.profile import Mode, Profile, ProfilePoint
from mtl_split_core.tail import TailStage
from mtl_split_edge.chooser import Chooser
from mtl_split_edge.decision import PolicySettings
from mtl_split_edge.link import LinkState, Report
from mtl_split_ros.status import Status
from mtl_split_server.pipeline import Contract, ServerFigures
from mtl_split_tools.fuzz_messages import Corpus

HANG_MS = 100.0
"""A message that takes longer, and does so again and again, is a hang."""

_TRIES = 3
_WARM = 0.05  # share of the messages before memory is measured


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that did what none may do.

    Args:
        kind: `crash` or `hang`.
        number: Its number; with the seed it can be made again.
        text: The error, or how long it took.
    """

    kind: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A process came to the end of its messages.

    Args:
        slowest_ms: The slowest message, the best of its tries.
        rss_growth_mb: Growth of memory after the first messages, MB.
        outcomes: How many messages ended how.
    """

    slowest_ms: float
    rss_growth_mb: float
    outcomes: dict[str, int]


class Target:
    """The pure pipeline of both ends, fed as the nodes feed it.

    Args:
        bundle: The bundle.
        seed: Of the messages.
    """

    def __init__(self, bundle: Bundle, seed: int) -> None:
        self._bundle, self._seed = bundle, seed
        encoder = load_network(bundle.encoder_path)
        self._tail = TailStage(bundle, load_network(bundle.tail_path), encoder=encoder)
        self._tail.warm_up()
        self._corpus = Corpus(bundle, EncodeStage(bundle, encoder))
        self._figures = ServerFigures(bundle, lambda _: None)
        self._link = LinkState(bundle.fingerprint)
        self._chooser = Chooser(_profile(bundle), PolicySettings())
        self._point = _profile(bundle).points[0]

    def make(self, number: int) -> FeaturePacket | Contract | Report:
        """Make a message.

        Args:
            number: Its number.
        """
        random = Random(self._seed * 2**40 + number)
        kind = random.random()
        if kind < 0.9:
            return self._corpus.packet(random)
        return self._corpus.contract(random) if kind < 0.93 else self._corpus.report(random)

    def feed(self, message: FeaturePacket | Contract | Report) -> str:
        """Let a message in as the nodes do.

        Args:
            message: The message.

        Returns:
            How it ended: `answered`, `noted`, or why it was refused.
        """
        if isinstance(message, Contract):
            self._figures.contract(message)
            self._figures.fill_contract(Status())
            return 'noted'
        if isinstance(message, Report):
            self._link.sent(message.last_sequence)
            self._link.reported(message)
            self._link.fill(Status(), 1)
            self._chooser.sent(message.last_sequence, 4000, self._point)
            self._chooser.reported(message)
            self._chooser.decide(0.0)
            return 'noted'
        size = len(message.payload)
        self._figures.arrived('camera', message.fingerprint, message.sequence, size)
        try:
            results = self._tail.run(message)
        except PacketError as error:
            self._figures.refused(error.reason, str(error))
            if message.sequence % 64 == 0:
                self._figures.link.close_interval(0.0)
                self._figures.fill_features(Status())
            return f'refused: {error.reason}'
        self._figures.answered(results.times, 0.0, 0.0)
        return 'answered'


def work(
    path: Path, seed: int, first: int, end: int, at: 'Synchronized[int]', out: Connection
) -> None:
    """Feed messages; the body of the process.

    Args:
        path: Directory of the bundle.
        seed: Of the messages.
        first: Number of the first one.
        end: Number after the last one.
        at: The number that is being fed, for who watches.
        out: Takes Failure, then Finished.
    """
    target = Target(load_bundle(path), seed)
    slowest, outcomes = 0.0, dict[str, int]()
    warm, before = first + max(1, round((end - first) * _WARM)), 0.0
    for number in range(first, end):
        at.value = number
        if number == warm:
            before = rss_mb()
        try:
            message = target.make(number)
            taken, outcome = _timed(target, message)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = f'{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})'
            out.send(Failure('crash', number, text))
            continue
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        slowest = max(slowest, taken)
        if taken > HANG_MS:
            out.send(Failure('hang', number, f'{taken:.0f} ms, {outcome}'))
    at.value = end
    grown = max(0.0, rss_mb() - before) if before else 0.0
    out.send(Finished(slowest, grown, outcomes))


def _timed(target: Target, message: FeaturePacket | Contract | Report) -> tuple[float, str]:
    """Feed a message, again where it took long: a busy machine is not a hang, and does not stay."""
    best, outcome = float('inf'), ''
    for _ in range(_TRIES):
        start = time.perf_counter()
        outcome = target.feed(message)
        best = min(best, (time.perf_counter() - start) * 1e3)
        if best <= HANG_MS:
            break
    return best, outcome


def rss_mb() -> float:
    """Return the memory of this process, MB."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


def _profile(bundle: Bundle) -> Profile:
    """Points enough for the policy to work with; no figure in it matters here."""
    local = ProfilePoint(Mode.LOCAL, None, 0, 50.0, 0.0, 0, 0, 0, 0.5, None, None)
    split = ProfilePoint(Mode.SPLIT, CodecId.ENTROPY, 0, 10.0, 20.0, 4e3, 5e3, 6e3, 0.5, None, None)
    return Profile(bundle.name, bundle.fingerprint, 'fuzz', 1, (split, local))
