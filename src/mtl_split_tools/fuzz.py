# SPDX-License-Identifier: Apache-2.0
"""`mtl-split fuzz`: damaged messages through all that reads the wire, and what came of them."""

import argparse
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.errors import DataError
from mtl_split_tools.console import console, figure, progress_bar, table
from mtl_split_tools.files import write_json
from mtl_split_tools.fuzz_target import Failure, Finished, Target, work

DESCRIPTION = """Feed damaged feature messages, contracts and link reports to the code that reads
them in the nodes, without a graph: bit flips, cuts, giant sizes, NaN transforms, wrong shapes,
right checksums over nonsense. A crash is any error but a refusal, also of native code; a hang is a
message that takes more than 100 ms three times in a row. Writes summary.json and failures.json."""
EPILOG = """examples:
  mtl-split fuzz
  mtl-split fuzz --messages 20000 --seed 7
  mtl-split fuzz --seed 7 --only 1234
"""
STUCK_S = 30.0
MOST_FAILURES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='camvid', help='name or directory (default: camvid)')
    parser.add_argument('--messages', type=int, default=1_000_000, help='default: %(default)s')
    parser.add_argument('--seed', type=int, default=1, help='of all messages (default: 1)')
    parser.add_argument(
        '--only', type=int, metavar='N', help='feed message N of the seed alone, here, and say more'
    )
    parser.add_argument('--out', type=Path, default=Path('out/fuzz'), help='default: %(default)s')


def run(options: argparse.Namespace) -> int:
    """Fuzz and report.

    Returns:
        0, or 1 where a message crashed or hung.
    """
    for name, least in (('messages', 1), ('seed', 0), ('only', 0)):
        if (value := getattr(options, name)) is not None and value < least:
            msg = f'--{name} {value} is not at least {least}'
            raise DataError(msg)
    bundle = load_bundle(options.bundle)
    if options.only is not None:
        target = Target(bundle, options.seed)
        message = target.make(options.only)
        console.print(message, markup=False)
        console.print(target.feed(message), markup=False)
        return 0
    with progress_bar() as progress:
        task = progress.add_task('fuzzing', total=options.messages)
        found = fuzz(
            bundle,
            options.messages,
            options.seed,
            lambda done: progress.update(task, completed=done),
        )
    summary = found.document(options.messages, options.seed)
    write_json(options.out / 'summary.json', summary)
    failures = [asdict(failure) for failure in found.failures]
    write_json(options.out / 'failures.json', {'seed': options.seed, 'failures': failures})
    rows = [
        (key, figure(value, 1) if isinstance(value, float) else value)
        for key, value in summary.items()
    ]
    rows += sorted(found.outcomes.items())
    console.print(table(f'{bundle.name}, {options.messages} messages', ('', ''), rows))
    for failure in found.failures[:10]:
        again = f'mtl-split fuzz --seed {options.seed} --only {failure.number}'
        console.print(f'{failure.kind}: {failure.text}; again: {again}', markup=False)
    return 1 if found.failures else 0


@dataclass(slots=True)
class Found:
    """What came of the messages; `failures` keeps the first ones, `counts` counts all."""

    failures: list[Failure] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_ms: float = 0.0
    rss_growth_mb: float = 0.0

    def add(self, item: Failure | Finished) -> None:
        """Take in what a process said."""
        if isinstance(item, Finished):
            self.slowest_ms = max(self.slowest_ms, item.slowest_ms)
            self.rss_growth_mb = max(self.rss_growth_mb, item.rss_growth_mb)
            self.outcomes.update(item.outcomes)
            return
        self.counts[item.kind] += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures.append(item)

    def document(self, messages: int, seed: int) -> dict[str, Any]:
        """Return the content of summary.json."""
        return {
            'messages': messages,
            'crashes': self.counts['crash'],
            'hangs': self.counts['hang'],
            'slowest_ms': round(self.slowest_ms, 3),
            'rss_growth_mb': round(self.rss_growth_mb, 1),
            'seed': seed,
        }


def fuzz(bundle: Bundle, messages: int, seed: int, on_progress: Callable[[int], object]) -> Found:
    """Feed messages in a process of its own; a new one goes on behind what ended the old one.

    Args:
        bundle: The bundle.
        messages: How many.
        seed: Of all messages.
        on_progress: Called with the messages done.

    Returns:
        What came of them.
    """
    # Not forked: the networks' threads would not come along.
    context = multiprocessing.get_context('spawn')
    found, first = Found(), 0
    while first < messages:
        at = context.Value('q', -1)
        ours, theirs = context.Pipe(duplex=False)
        arguments = (bundle.path, seed, first, messages, at, theirs)
        process = context.Process(target=work, args=arguments, daemon=True)
        process.start()
        theirs.close()
        seen, since = -2, time.monotonic()
        finished = stuck = False
        while not finished:
            try:
                if ours.poll(0.2):
                    item = ours.recv()
                    found.add(item)
                    finished = isinstance(item, Finished)
            except EOFError:
                break
            on_progress(max(first, at.value))
            if at.value != seen:
                seen, since = at.value, time.monotonic()
            elif stuck := time.monotonic() - since > STUCK_S:
                process.kill()
                break
        process.join()
        if finished:
            break
        if at.value < 0:
            msg = f'the fuzzed process ended with {process.exitcode} before its first message'
            raise DataError(msg)
        text = (
            f'did not end in {STUCK_S:.0f} s' if stuck else f'process ended with {process.exitcode}'
        )
        found.add(Failure('hang' if stuck else 'crash', at.value, text))
        first = at.value + 1
    on_progress(messages)
    return found
