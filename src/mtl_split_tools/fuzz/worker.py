# SPDX-License-Identifier: Apache-2.0
"""The process that feeds the targets, so that a crash of native code is seen from outside.

Time is measured as this thread's CPU time: on a busy machine the wall clock says how busy the
machine is. Networks and codecs run in this one thread, so nothing is missed; input that waits
without working is found by the watchdog of the process outside.

Memory is measured after the allocator has given back what is free (malloc_trim): large buffers of
single messages stay in its heap for a while, so that the size of the process goes up and down by
50 MB without anything being kept.
"""

import ctypes
import faulthandler
import os
import resource
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from random import Random

import cv2

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_tools.fuzz.edge import ImageDoor, ReportDoor
from mtl_split_tools.fuzz.files import BagDoor, BundleDoor, ProfileDoor
from mtl_split_tools.fuzz.server import ContractDoor, ServerDoor
from mtl_split_tools.fuzz.target import Target, outcome

WIRE_MS = 100.0
"""CPU time from which on a message of the other machine is a hang."""
IMAGE_MS = 1000.0
"""The same for an image: a valid one of the largest size that is allowed takes 400 ms."""
FILE_MS = 5000.0
"""The same for a file that a person lets the program open."""

NETWORKS_SHARE = 0.01
"""Share of the feature messages for which the networks run, at 20 to 60 ms each."""

_TRIES = 3
_SAMPLES = 40
_WARM = 0.1  # share of a target's messages before memory counts
_MEMORY = 8 * 2**30  # what the process may take beyond what it has after its start


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of input.

    Args:
        share: Its number of inputs, relative to that of the feature messages.
        hang_ms: CPU time from which on one is a hang, milliseconds.
        build: Makes the target.
    """

    share: float
    hang_ms: float
    build: Callable[[Bundle], Target]


KINDS: dict[str, Kind] = {
    'features': Kind(1.0, WIRE_MS, lambda bundle: ServerDoor(bundle, NETWORKS_SHARE)),
    'contracts': Kind(0.02, WIRE_MS, ContractDoor),
    'reports': Kind(0.05, WIRE_MS, ReportDoor),
    'images': Kind(0.01, IMAGE_MS, lambda _: ImageDoor()),
    'profiles': Kind(0.002, FILE_MS, ProfileDoor),
    'bundles': Kind(0.001, FILE_MS, BundleDoor),
    'bags': Kind(0.002, FILE_MS, lambda _: BagDoor()),
}


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is to do.

    Args:
        path: Directory of the bundle.
        seed: Of all input.
        plan: Kind and number of inputs, one kind after another.
        first: Where to begin, counted over all kinds.
        lost: An input that ended the process before, to be kept; None without one.
    """

    path: Path
    seed: int
    plan: tuple[tuple[str, int], ...]
    first: int = 0
    lost: int | None = None

    def place(self, index: int) -> tuple[str, int]:
        """Return kind and number of an input.

        Args:
            index: Counted over all kinds.
        """
        for kind, count in self.plan:
            if index < count:
                return kind, index
            index -= count
        msg = f'the plan has no input {index} more'
        raise IndexError(msg)


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that did what none may do.

    Args:
        problem: `crash` or `hang`.
        kind: Of the input.
        number: Its number; with kind and seed it can be made again.
        text: The error, or how long it took.
        data: The input.
    """

    problem: str
    kind: str
    number: int
    text: str
    data: bytes = b''


@dataclass(slots=True)
class Tally:
    """What came of the input of one kind.

    Args:
        inputs: How many.
        slowest_ms: CPU time of the slowest, the best of its tries.
        slowest_wall_ms: Wall time of the slowest.
        rss_mb: Memory in use, samples over the run, MB.
        rss_growth_mb: Its peak less what it was after the warm-up.
        networks: For how many the networks ran.
        outcomes: How many ended how.
    """

    inputs: int = 0
    slowest_ms: float = 0.0
    slowest_wall_ms: float = 0.0
    rss_mb: list[float] = field(default_factory=list)
    rss_growth_mb: float = 0.0
    networks: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Told:
    """A process is through with one kind, or with all.

    Args:
        kind: The kind; '' at the end of all.
        tally: What came of its input in this process.
    """

    kind: str
    tally: Tally


def make(target: Target, seed: int, kind: str, number: int) -> bytes:
    """Make input; the same one whatever was made before."""
    return target.make(Random(f'{seed} {kind} {number}'))


def work(job: Job, at: 'Synchronized[int]', out: Connection) -> None:
    """Feed input; the body of the process.

    Args:
        job: What to do.
        at: The input that is being fed, counted over all kinds, for who watches.
        out: Takes Failure and Told.
    """
    _quiet()
    _limit_memory()
    feed_all(job, at, out)


def feed_all(job: Job, at: 'Synchronized[int]', out: Connection) -> None:
    """Feed input, within any process; arguments as of work()."""
    bundle = load_bundle(job.path)
    if job.lost is not None:
        kind, number = job.place(job.lost)
        data = make(KINDS[kind].build(bundle), job.seed, kind, number)
        out.send(Failure('', kind, number, '', data))
    passed = 0
    for kind, count in job.plan:
        numbers = range(max(0, job.first - passed), count)
        if numbers:
            target = KINDS[kind].build(bundle)
            tally = Tally()
            for number in _sampled(numbers, tally):
                at.value = passed + number
                _one(job.seed, kind, number, target, tally, out)
            ration = getattr(target, 'ration', None)
            tally.networks = ration.spent if ration else 0
            out.send(Told(kind, tally))
        passed += count
    at.value = passed
    out.send(Told('', Tally()))


def _one(seed: int, kind: str, number: int, target: Target, tally: Tally, out: Connection) -> None:
    limit = KINDS[kind].hang_ms
    data, best = b'', float('inf')
    tally.inputs += 1
    try:
        data = make(target, seed, kind, number)
        for _ in range(_TRIES):
            wall, cpu = time.perf_counter(), time.thread_time()
            ended = outcome(target, data)
            cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
            best = min(best, cpu * 1e3)
            tally.slowest_wall_ms = max(tally.slowest_wall_ms, wall * 1e3)
            # Again where it took long: a page fault or a cold cache does not stay.
            if best <= limit:
                break
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f'{type(error).__name__}: {error}'[:500]
        text = f'{text} ({Path(place.filename).name}:{place.lineno})'
        out.send(Failure('crash', kind, number, text, data))
        return
    tally.outcomes[ended] += 1
    tally.slowest_ms = max(tally.slowest_ms, best)
    if best > limit:
        out.send(Failure('hang', kind, number, f'{best:.0f} ms of CPU time, {ended}', data))


def _sampled(numbers: range, tally: Tally) -> Iterator[int]:
    """Yield the numbers and measure memory in between."""
    warm = round(len(numbers) * _WARM)
    step = max(1, (len(numbers) - warm) // _SAMPLES)
    for done, number in enumerate(numbers):
        if done >= warm and not (done - warm) % step:
            tally.rss_mb.append(round(memory_mb(), 1))
        yield number
    tally.rss_mb.append(round(memory_mb(), 1))
    tally.rss_growth_mb = max(tally.rss_mb) - tally.rss_mb[0]


def memory_mb() -> float:
    """Return the memory that this process keeps, MB; gives back first what the heap has free."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)  # of glibc alone
    if trim:
        trim(0)
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


def _quiet() -> None:
    """Keep what codecs and middleware write about each bad input off the terminal."""
    faulthandler.enable(os.fdopen(os.dup(2), 'w'))
    with Path(os.devnull).open('w') as nowhere:
        os.dup2(nowhere.fileno(), 2)
    cv2.setNumThreads(1)


def _limit_memory() -> None:
    """Let an allocation of any size that an input asks for fail, before the machine does."""
    size = int(Path('/proc/self/statm').read_text().split()[0]) * os.sysconf('SC_PAGE_SIZE')
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY, hard))
