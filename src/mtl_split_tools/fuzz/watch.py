# SPDX-License-Identifier: Apache-2.0
"""Runs the process that feeds, starts it anew behind input that ended it, and adds up."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from mtl_split_core.errors import DataError
from mtl_split_tools.fuzz.worker import Failure, Job, Tally, work

STUCK_S = 30.0
"""Wall time after which input that did not end is a hang, whatever it waits for."""
START_S = 120.0
"""The same for a process that has not begun yet."""
MOST_FAILURES = 100


@dataclass(slots=True)
class Found:
    """What came of the input; `failures` keeps the first ones, `counts` counts all."""

    failures: list[Failure] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    tallies: dict[str, Tally] = field(default_factory=dict)

    def fail(self, failure: Failure) -> None:
        """Take in a failure."""
        self.counts[failure.kind, failure.problem] += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures.append(failure)

    def told(self, kind: str, tally: Tally) -> None:
        """Take in what a process counted."""
        whole = self.tallies.setdefault(kind, Tally())
        whole.inputs += tally.inputs
        whole.networks += tally.networks
        whole.outcomes += tally.outcomes
        whole.slowest_ms = max(whole.slowest_ms, tally.slowest_ms)
        whole.slowest_wall_ms = max(whole.slowest_wall_ms, tally.slowest_wall_ms)
        whole.rss_growth_mb = max(whole.rss_growth_mb, tally.rss_growth_mb)
        whole.rss_mb += tally.rss_mb

    def document(self, job: Job, seconds: float) -> dict[str, Any]:
        """Return the content of summary.json.

        Args:
            job: What was done.
            seconds: How long it took.
        """
        targets = {}
        for kind, count in job.plan:
            tally = self.tallies.get(kind, Tally())
            targets[kind] = {
                'inputs': count,
                'crashes': self.counts[kind, 'crash'],
                'hangs': self.counts[kind, 'hang'],
                'slowest_ms': round(tally.slowest_ms, 3),
                'slowest_wall_ms': round(tally.slowest_wall_ms, 3),
                'rss_growth_mb': round(tally.rss_growth_mb, 1),
                'rss_mb': tally.rss_mb,
                'outcomes': dict(sorted(tally.outcomes.items())),
            }
        problems = Counter(problem for _, problem in self.counts.elements())
        wire = self.tallies.get('features', Tally())
        return {
            'messages': dict(job.plan)['features'],
            'crashes': problems['crash'],
            'hangs': problems['hang'],
            'slowest_ms': round(wire.slowest_ms, 3),
            'rss_growth_mb': round(wire.rss_growth_mb, 1),
            'seed': job.seed,
            'networks_ran': wire.networks,
            'inputs': sum(count for _, count in job.plan),
            'seconds': round(seconds, 1),
            'targets': targets,
        }


def fuzz(job: Job, on_progress: Callable[[int, str], object]) -> Found:
    """Feed all input in a process of its own; a new one goes on behind what ended the old one.

    Args:
        job: What to do.
        on_progress: Called with the inputs done, over all kinds, and what is being done.

    Returns:
        What came of them.
    """
    # Not forked: the networks' threads would not come along.
    context = multiprocessing.get_context('spawn')
    found, end = Found(), sum(count for _, count in job.plan)
    lost: Failure | None = None
    while job.first < end or job.lost is not None:
        at = context.Value('q', -1)
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(job, at, theirs), daemon=True)
        process.start()
        theirs.close()
        seen, since = -2, time.monotonic()
        finished = stuck = False
        while not finished:
            try:
                if ours.poll(0.2):
                    item = ours.recv()
                    if isinstance(item, Failure):
                        # Without a problem it is the input that ended the process before.
                        found.fail(
                            replace(lost, data=item.data) if lost and not item.problem else item
                        )
                    elif item.kind:
                        found.told(item.kind, item.tally)
                    else:
                        finished = True
            except EOFError:
                break
            if 0 <= at.value < end:
                failed = f', {found.counts.total()} failed' if found.counts else ''
                on_progress(at.value, f'{job.place(at.value)[0]}{failed}')
            if at.value != seen:
                seen, since = at.value, time.monotonic()
            elif stuck := time.monotonic() - since > (START_S if at.value < 0 else STUCK_S):
                process.kill()
                break
        process.join()
        if finished:
            break
        if at.value < 0 and lost and job.lost is not None:
            # Not even making it again works.
            found.fail(lost)
            job = replace(job, lost=None)
            continue
        if at.value < 0:
            msg = f'the fuzzed process ended with {process.exitcode} before its first input'
            raise DataError(msg)
        problem = 'hang' if stuck else 'crash'
        text = f'not through after {STUCK_S:.0f} s' if stuck else f'ended with {process.exitcode}'
        lost = Failure(problem, *job.place(at.value), text)
        job = replace(job, first=at.value + 1, lost=at.value)
    on_progress(end, '')
    return found
