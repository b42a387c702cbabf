# SPDX-License-Identifier: Apache-2.0
"""What py-spy saw of a node: stacks as it writes them raw, without those that only wait."""

import linecache
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import rclpy.executors

NETWORK, NATIVE, DDS = 'network', 'other threads of the libraries', 'threads of the DDS'
_PARTS = (
    (NETWORK, ('onnxruntime/',)),
    ('quantising and entropy coding', ('core/context', 'core/entropy', 'core/codecs')),
    ('boxes, mask, class', ('core/postprocess.py',)),
    ('image to the input', ('ros/images.py', 'core/geometry.py', 'Encoder.normalise')),
    ('messages and publishing', ('rclpy/publisher.py', 'ros/packets.py', 'ros/result_')),
    ('own bookkeeping', ('mtl_split_',)),
    ('taking messages (rclpy)', ('Executor._take_',)),
)
_REST = 'waiting for messages (rclpy)'
PARTS = (*(name for name, _ in _PARTS), _REST, NATIVE, DDS)
_LEAF = re.compile(r'\((?P<file>[^()]*):(?P<line>\d+)\)$')
_THREAD = re.compile(r'^thread \((?P<id>\d+)\)')
_WAITING = {'threading.py': threading.__file__, 'rclpy/executors.py': rclpy.executors.__file__}
_ROOTS = ('threading.py', '<frozen runpy>', '__main__.py', 'ros/spin.py', 'ros/worker.py')

Stacks = Mapping[int, Counter[tuple[str, ...]]]
"""By number of the thread: how often each stack was seen, the root first."""


@dataclass(slots=True)
class Node:
    """A function in the tree of stacks.

    Args:
        part: Of PARTS; '' where it calls several.
        ms: Processor time by image, with all that it calls.
        calls: What it calls.
    """

    part: str
    ms: float = 0.0
    calls: dict[str, 'Node'] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Share:
    """What one stack takes.

    Args:
        path: Functions with their files, the root first.
        part: Of PARTS.
        ms: Processor time by image.
    """

    path: tuple[str, ...]
    part: str
    ms: float


def read_stacks(text: str) -> dict[int, Counter[tuple[str, ...]]]:
    """Return how often each stack was seen at work, by number of its thread.

    Args:
        text: Of `py-spy record --threads --format raw`.
    """
    found: dict[int, Counter[tuple[str, ...]]] = {}
    for line in text.splitlines():
        stack, _, count = line.rpartition(' ')
        name, *frames = stack.split(';')
        thread = _THREAD.match(name)
        if thread and frames and not _waits(frames[-1]):
            counts = found.setdefault(int(thread['id']), Counter())
            counts[tuple(frames)] += int(count)
    return found


def part_of(frames: Sequence[str]) -> str:
    """Return the part of the work that a stack belongs to."""
    inside = frames[_root(frames) :]
    for name, marks in _PARTS:
        if any(mark in frame for mark in marks for frame in inside):
            return name
    return _REST


def shares_of(
    seen: Stacks, cpu_ms: Mapping[int, float], names: Mapping[int, str]
) -> Iterator[Share]:
    """Yield what each stack takes of the time that the kernel counted for its thread.

    Args:
        seen: Of read_stacks().
        cpu_ms: Processor time of every thread by image.
        names: Of the threads, as the kernel has them.
    """
    for thread, ms in cpu_ms.items():
        stacks = seen.get(thread)
        if not stacks:
            part = DDS if names.get(thread, '').startswith('dds') else NATIVE
            yield Share((part,), part, ms)
            continue
        whole = sum(stacks.values())
        for frames, count in stacks.items():
            path = tuple(_LEAF.sub(r'(\g<file>)', frame) for frame in frames[_root(frames) :])
            yield Share(path, part_of(frames), ms * count / whole)


def make_tree(shares: Iterable[Share]) -> Node:
    """Return all stacks as one tree."""
    root = Node('')
    for share in shares:
        node = root
        node.ms += share.ms
        for name in share.path:
            node = node.calls.setdefault(name, Node(share.part))
            node.ms += share.ms
            if node.part != share.part:
                node.part = ''
    return root


def _root(frames: Sequence[str]) -> int:
    """Return how many frames from the root on every stack of the thread has."""
    place = 0
    while place < len(frames) - 1 and any(mark in frames[place] for mark in _ROOTS):
        place += 1
    return place


def _waits(frame: str) -> bool:
    """Tell whether a stack ends in a wait, which takes no processor time."""
    match = _LEAF.search(frame)
    source = match and _WAITING.get(match['file'])
    if not match or not source:
        return False
    line = linecache.getline(source, int(match['line']))
    return '.wait(' in line or '.acquire(' in line
